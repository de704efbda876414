// One picture, large: those that the list does not have, keys, and odd captions.

import { count, drawn, equal, isOpen, pictures, snap, test, tiles } from "./harness.mjs";

const text = (id, expected) => `document.querySelector("#${id}").textContent === ${JSON.stringify(expected)}`;
const hash = "location.hash.slice(1)";

await test("a picture that is not in the list can be worked with", ["--model", "none"], async (server, page) => {
  const ids = await server.fill(pictures, 125);
  const id = ids.at(-1);
  await server.caption(id, "from long ago");
  await page.open(`${server.url}/#${id}`);
  await page.until(`${isOpen("detail")} && ${text("detail-caption", "from long ago")} && ${count(125)}`);
  equal(await page.value(`Boolean(document.querySelector('[data-id="${id}"]'))`), false, "the list has it");

  await page.click("#detail-change");
  equal(await page.value("document.querySelector('#detail-text').value"), "from long ago", "what is edited");
  await page.value("document.querySelector('#detail-text').value = 'written by hand'");
  await page.click("#detail-edit .main");
  await page.until(`${text("live", "The caption is saved.")} && ${text("detail-caption", "written by hand")}`);
  // What others do is seen here, too.
  await server.caption(id, "written by others");
  await page.until(`${isOpen("detail")} && ${text("detail-caption", "written by others")}`);
  await page.click("#detail-again");
  await page.until(text("live", "The picture is worked on again."));
  await page.until("document.querySelector('#detail-state').hidden && !document.querySelector('#detail-again').hidden");
  equal(await page.value(isOpen("detail")), true, "it is still open");

  // There is no next one.
  equal(await page.value("document.querySelector('#detail-next').disabled"), true, "no way on");
  await page.key("ArrowRight", "ArrowRight", 39);
  await page.value(drawn);
  equal(await page.value(hash), id, "the picture");

  await server.fetch(`/api/images/${ids[0]}`, { method: "DELETE" });
  await page.until(count(124));
  equal(await page.value(isOpen("detail")), true, "it is still open after another is deleted");
  await server.fetch(`/api/images/${id}`, { method: "DELETE" });
  await page.until(`!${isOpen("detail")}`);
});

await test("back and forward stay the browser's", ["--model", "none"], async (server, page) => {
  const ids = await server.fill(pictures, 3);
  await page.open(`${server.url}/`);
  await page.until(`${tiles("success")} === 3`);
  await page.click(`[data-id="${ids[1]}"]`);
  await page.until(isOpen("detail"));
  const press = (key, altKey) => `(() => {
    const event = new KeyboardEvent("keydown", { key: "${key}", altKey: ${altKey}, bubbles: true, cancelable: true });
    document.querySelector("#detail-caption").dispatchEvent(event);
    return event.defaultPrevented;
  })()`;
  for (const key of ["ArrowLeft", "ArrowRight"]) {
    equal(await page.value(press(key, true)), false, `Alt and ${key} are taken`);
    await page.value(drawn);
    equal(await page.value(hash), ids[1], "the picture");
  }
  equal(await page.value(press("ArrowRight", false)), true, "the key alone is taken");
  await page.until(`${hash} === "${ids[2]}"`);
});

await test("a caption that is odd is marked, with the reason", [], async (server, page) => {
  const [id, plain] = await server.fill(pictures, 2);
  const score = (await server.json(`/api/images/${id}`)).data.caption_info.score;
  // The model that is built in writes none.
  const odd = (image) => {
    if (image.data.image_id === id) {
      image.data.caption_info.warning = "repetition";
    }
    return image;
  };
  await page.intercept("*/api/images*", async ({ url, method }) => {
    const { pathname, search } = new URL(url);
    if (method !== "GET" || !/^\/api\/images(\/[^/]+)?$/.test(pathname)) {
      return undefined;
    }
    const response = await server.fetch(pathname + search);
    const json = await response.json();
    const headers = { "X-Total-Count": response.headers.get("X-Total-Count") ?? "" };
    return { headers, json: Array.isArray(json) ? json.map(odd) : odd(json) };
  });
  await page.open(`${server.url}/`);
  await page.until(`${tiles("success")} === 2`);
  const mark = (of) => `document.querySelector('[data-id="${of}"] .odd')`;
  const reason = "This caption goes round in circles: it says the same words over and over.";
  await page.until(`${mark(id)} && !${mark(id)}.hidden && ${mark(id)}.ariaLabel === ${JSON.stringify(reason)}`);
  equal(await page.value(`${mark(plain)}.hidden`), true, "no mark where nothing is odd");
  const name = await page.nameOf(`[data-id="${id}"]`);
  equal(name.includes(reason), true, `the reason is in the name: ${name}`);
  await page.click(`[data-id="${id}"]`);
  await page.until(`${isOpen("detail")} && !document.querySelector("#detail-warning").hidden`);
  equal(await page.text("#detail-warning"), reason, "the reason");
  const facts = await page.text("#detail-facts");
  equal(facts.includes(`${score.toFixed(2).replace("-", "−")} (0 is certain)`), true, `the score ${score} is in ${facts}`);
  equal(await page.nameless(), [], "controls without a name");
  await page.until("document.querySelector('#detail-picture').naturalWidth > 256");
  await snap(page, "odd-caption");
  await page.key("ArrowRight", "ArrowRight", 39);
  await page.until(`${hash} === "${plain}" && document.querySelector("#detail-warning").hidden`);
  await page.key("Escape", "Escape", 27);
  await snap(page, "odd-caption-grid");
});
