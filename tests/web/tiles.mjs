// Tiles: where the focus is, thumbnails that do not come, and marks.

import { count, equal, gate, pictures, test, tiles } from "./harness.mjs";

const stops = `[...document.querySelectorAll('.tile[tabindex="0"]')]`;
const focused = "document.activeElement.dataset.id";

/** There is one tile for the tab key to lead to, and it is seen. */
const isReachable = `(() => {
  const boxes = ${stops}.map((tile) => tile.getBoundingClientRect());
  return boxes.length === 1 && boxes[0].bottom > 0 && boxes[0].top < innerHeight;
})()`;

await test("the keyboard finds a tile wherever the page is", ["--model", "none"], async (server, page) => {
  const ids = await server.fill(pictures, 60);
  const right = () => page.key("ArrowRight", "ArrowRight", 39);
  await page.open(`${server.url}/`);
  await page.until(`${tiles("success")} > 10 && ${isReachable}`);

  // Pictures that come push the one with the focus on.
  await page.value(`${stops}[0].focus()`);
  equal(await page.value(focused), ids[0], "the first picture has the focus");
  ids.unshift(await server.upload(pictures[5]));
  await page.until(`${count(61)} && document.querySelector('[data-id="${ids[0]}"]')`);
  await right();
  equal(await page.value(focused), ids[2], "the picture after it");

  // One that is taken away hands it on.
  await server.fetch(`/api/images/${ids[2]}`, { method: "DELETE" });
  await page.until(`${count(60)} && ${focused} === "${ids[3]}"`);
  ids.splice(2, 1);

  // A tile out of sight keeps it.
  await page.value("scrollTo(0, document.documentElement.scrollHeight)");
  await page.until(`document.querySelector('[data-id="${ids.at(-1)}"]')`);
  equal(await page.value(focused), ids[2], "the focus after scrolling");
  await right();
  equal(await page.value(focused), ids[3], "the picture after it");
  equal(await page.value(isReachable), true, "it is in sight");

  // And without any, the tab key leads to one in sight.
  await page.value("document.activeElement.blur(); scrollTo(0, document.documentElement.scrollHeight)");
  await page.until(`document.querySelector('[data-id="${ids.at(-1)}"]') && ${isReachable}`);
  await page.value(`${stops}[0].focus()`);
  await page.value("document.querySelector('#query').focus(); document.querySelector('#query').value = 'picture 17.jpg'");
  await page.value("document.querySelector('#query').dispatchEvent(new Event('input'))");
  await page.until(count(1));
  await page.until(isReachable);
});

await test(
  "a thumbnail that does not come is asked for again",
  ["--model", "none"],
  async (server, page) => {
    const [id] = await server.fill(pictures, 3);
    const tries = new Map();
    await page.intercept("*/thumbnails/*", ({ url }) => {
      tries.set(url, (tries.get(url) ?? 0) + 1);
      return tries.get(url) > 2 ? undefined : { status: 429, json: { detail: "Too many requests" } };
    });
    await page.open(`${server.url}/`);
    await page.until(`document.querySelectorAll(".frame img.there").length === 3`);
    await page.click(`[data-id="${id}"]`);
    await page.until("document.querySelector('#detail-picture').naturalWidth > 256");
    equal(new Set(tries.values()), new Set([3]), "tries");
  },
  /status of 429/,
);

await test(
  "thumbnails are asked for as soon as the server is back",
  ["--model", "none", "--api-key", "write:0123456789-secret"],
  async (server, page) => {
    const refused = gate();
    const asked = new Set();
    let isBack = false;
    await page.intercept("*/thumbnails/*", ({ url }) => {
      if (isBack) {
        return undefined;
      }
      asked.add(url);
      if (asked.size === 3) {
        refused.open();
      }
      // Those that carry a key are asked for by script, which is told when to come again: never, as far as this test goes.
      return { status: 503, headers: { "Retry-After": 3600 }, json: {} };
    });
    await page.open(`${server.url}/`);
    await page.until("document.querySelector('#key').open");
    await page.value("document.querySelector('#key-value').value = '0123456789-secret'");
    await page.click("#key button");
    await page.until("!document.querySelector('#empty').hidden");
    await page.choose("#files", pictures.slice(0, 3));
    await page.until(`${tiles("success")} === 3`);
    await refused.opened;
    isBack = true;
    await server.restart();
    await page.until("document.querySelectorAll('.frame img.there').length === 3");
  },
  /status of (401|503)|ERR_/,
);
