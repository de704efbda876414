// The list of pictures while loading it goes wrong, or takes its time, or things happen meanwhile.

import { fail } from "./browser.mjs";
import { count, drawn, equal, gate, pictures, test, tiles } from "./harness.mjs";

const PLAIN = ["--model", "none"];
const LIST = "*/api/images?*";

const notice = (text) => {
  const shown = `document.querySelector("#notice")`;
  return `!${shown}.hidden && ${shown}.textContent.includes(${JSON.stringify(text)})`;
};
const search = (words) => `(() => {
  const query = document.querySelector("#query");
  query.value = ${JSON.stringify(words)};
  query.dispatchEvent(new Event("input"));
})()`;
/** The ids of the pictures that are drawn, by their places in the list. */
const places = `Object.fromEntries([...document.querySelectorAll(".cell")]
  .map((cell) => [cell.ariaPosInSet, cell.querySelector("button").dataset.id]))`;
const isAt = (id, place) => `(${places})[${place}] === "${id}"`;

/** Compares what is drawn with what it should be. */
async function inOrder(page, ids) {
  for (const [place, id] of Object.entries(await page.value(places))) {
    equal(id, ids[place - 1], `the picture at ${place}`);
  }
}

await test(
  "a list that is refused is asked for again, not before the server wants to be asked",
  PLAIN,
  async (server, page) => {
    await server.fill(pictures, 2);
    const asked = [];
    await page.intercept(LIST, () => {
      asked.push(performance.now());
      return asked.length > 2
        ? undefined
        : { status: asked.length === 1 ? 429 : 503, headers: { "Retry-After": 1 }, json: { detail: "Come back later." } };
    });
    await page.open(`${server.url}/`);
    await page.until(notice("Come back later."));
    await page.until(`${tiles("success")} === 2 && document.querySelector("#notice").hidden`);
    const pauses = asked.slice(1).map((time, index) => time - asked[index]);
    if (pauses.length !== 2 || pauses.some((pause) => pause < 950)) {
      fail(`asked again after ${pauses} ms`);
    }
  },
  /status of (429|503)/,
);

await test("a search in the middle of the list begins at its beginning", PLAIN, async (server, page) => {
  const ids = await server.fill(pictures, 300);
  const [asked, first, rest] = [gate(), gate(), gate()];
  await page.open(`${server.url}/`);
  await page.until(`${count(300)} && ${isAt(ids[0], 1)}`);
  // Until the second page is there.
  await page.value("scrollTo(0, document.documentElement.scrollHeight * 0.45)");
  await page.until(`(${places})[130]`);
  await page.intercept(LIST, async ({ url }) => {
    const { searchParams } = new URL(url);
    if (searchParams.has("q")) {
      asked.open();
      await (searchParams.has("cursor") ? rest : first).opened;
    }
  });
  // All of them are found.
  await page.value(search("picture"));
  await asked.opened;
  await page.value(drawn);
  first.open();
  await page.until(isAt(ids[0], 1));
  rest.open();
  await page.value("scrollTo(0, document.documentElement.scrollHeight)");
  await page.until(isAt(ids[299], 300));
  await inOrder(page, ids);
});

await test(
  "what was chosen without a connection is loaded when it is back, from the newest on",
  PLAIN,
  async (server, page) => {
    await server.fill(pictures, 130);
    const found = (await server.json("/api/images?q=picture+1")).map(({ data }) => data.image_id);
    await page.open(`${server.url}/`);
    await page.until(count(130));
    await page.network({ offline: true });
    await page.until(notice("cannot be reached"));
    await page.value(search("picture 1"));
    await page.until("performance.getEntriesByType('resource').some(({ name }) => name.includes('q=picture'))", "it has failed");
    await page.network();
    await page.until(`document.querySelector("#notice").hidden && ${count(found.length)} && ${isAt(found[0], 1)}`);
    await inOrder(page, found);
  },
  /ERR_INTERNET_DISCONNECTED/,
);

await test(
  "a filter that fails says so to everybody, and is tried again",
  PLAIN,
  async (server, page) => {
    await server.fill(pictures, 2);
    const repaired = gate();
    let failures = 0;
    await page.intercept("*status=success*", async () => {
      failures += 1;
      if (failures === 1) {
        return { status: 500, json: { detail: "The disk is on fire." } };
      }
      await repaired.opened;
    });
    await page.open(`${server.url}/`);
    await page.until(`${tiles("success")} === 2`);
    await page.click("#filter [value=success]");
    await page.until(notice("The disk is on fire."));
    equal(await page.value("document.querySelector('#empty').hidden"), true, "it is not taken for an empty list");
    repaired.open();
    await page.until(`document.querySelector("#notice").hidden && ${tiles("success")} === 2`);
  },
  /status of 500/,
);

await test("a filtered list is filled while things happen without a pause", PLAIN, async (server, page) => {
  const [busy] = await server.fill(pictures, 1);
  await page.open(`${server.url}/`);
  await page.until(`${tiles("success")} === 1`);
  await page.value(search("by another client"));
  await page.until("document.querySelector('#empty-title').textContent === 'Nothing found'");
  await server.upload(pictures[3]);
  let isShown = false;
  page.until(count(1)).then(
    () => {
      isShown = true;
    },
    () => {},
  );
  const end = performance.now() + 20_000;
  for (let round = 0; !isShown && performance.now() < end; round++) {
    await server.caption(busy, `caption ${round}`);
  }
  equal(isShown, true, "it is shown before there is a pause");
});
