// The web page in a real browser against the real server: `node tests/web/page.mjs BINARY [FOLDER for screenshots
// [words of the names of the tests to run]]`.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { fail } from "./browser.mjs";
import { count, end, equal, files, isOpen, pictures, snap, test, tiles } from "./harness.mjs";

const broken = join(files, "broken.jpg");
await writeFile(broken, "this is no picture");
const text = join(files, "notes.txt");
await writeFile(text, "this is no picture either");

await test("thirty photos, live, with errors in words", [], async (server, page) => {
  await page.open(`${server.url}/`);
  await page.until("document.querySelector('#empty-title').textContent === 'No pictures yet'");
  await snap(page, "empty");

  await page.choose("#files", [...pictures.slice(0, 27), broken, text]);
  await page.until("document.querySelectorAll('#tray-rows progress').length > 3", "each upload has a bar");
  await snap(page, "uploading");
  await page.drop(pictures.slice(27));
  // One failed at the server, and one was not sent at all.
  await page.until(count(31));
  await page.until(`${tiles("failed")} === 1 && ${tiles("processing")} === 0`, "all are done");
  await page.until("document.querySelector('#tray-title').textContent === '31 pictures uploaded, 1 could not be uploaded'");
  equal(await page.text(".tray li .size"), "Only JPEG and PNG pictures can be uploaded.", "the refusal");
  const failed = await page.text('.cell[data-state="failed"] .caption');
  equal(failed, "This file is neither a JPEG nor a PNG picture.", "the failure");
  const { total, failed: bad } = await server.json("/api/stats");
  equal([total, bad], [31, 1], "the server has them");
  const captions = await page.value("[...document.querySelectorAll('.cell[data-state=success] .caption')].map((c) => c.innerText)");
  if (captions.length < 10 || captions.some((caption) => caption.length < 10)) {
    fail(`captions: ${captions}`);
  }
  await page.click("#tray-close");
  await page.until("[...document.querySelectorAll('.cell[data-state=success] img')].every((i) => i.complete)");
  await page.until("document.querySelectorAll('.frame img.there').length > 10");
  const difference = await page.value(`Math.max(...[...document.querySelectorAll(".frame img.there")].map((img) => {
    // Both in three by three fields.
    const fields = (picture) => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 3, height: 3 });
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(picture, 0, 0, 3, 3);
      return context.getImageData(0, 0, 3, 3).data;
    };
    const real = fields(img);
    return fields(img.previousElementSibling).reduce((sum, value, at) => sum + Math.abs(value - real[at]), 0) / 27;
  }))`);
  if (!(difference < 20)) {
    fail(`placeholders differ from their pictures by ${difference}`);
  }
  await snap(page, "grid-light");
  await page.scheme("dark");
  await snap(page, "grid-dark");
  await page.scheme("light");

  // What others do is seen as well.
  const id = await server.upload(pictures[0]);
  await page.until(`document.querySelector('.cell [data-id="${id}"]').closest('.cell').querySelector('img.there')`);
  await page.until(count(32));
  await server.fetch(`/api/images/${id}`, { method: "DELETE" });
  await page.until(`${count(31)} && !document.querySelector('[data-id="${id}"]')`);

  equal(await page.nameless(), [], "controls without a name");
  await page.resize(390, 844, { scale: 2, mobile: true });
  await page.until("document.querySelector('#grid').clientWidth < 390");
  await snap(page, "phone");
  equal(await page.value("document.documentElement.scrollWidth <= innerWidth"), true, "it fits onto a phone");
});

await test("one picture: looked at by keyboard, saved, deleted", [], async (server, page) => {
  for (const file of pictures.slice(0, 4)) {
    await server.upload(file, file.split("/").pop());
  }
  await page.open(`${server.url}/`);
  await page.until(`${tiles("success")} === 4`);
  // The address of a picture can be shared.
  const [newest] = await server.json("/api/images");
  await page.value("document.querySelector('.tile[tabindex=\"0\"]').focus()");
  await page.key("ArrowRight", "ArrowRight", 39);
  await page.key("ArrowLeft", "ArrowLeft", 37);
  await page.key("Enter", "Enter", 13, "\r");
  await page.until(isOpen("detail"));
  equal(await page.value("location.hash"), `#${newest.data.image_id}`, "the address");
  const title = await page.text("#detail-caption");
  equal(title.toLowerCase(), newest.data.metadata.caption, "the caption");
  equal(await page.text("#detail-source"), "Suggested by the model tiny", "who wrote it");
  await page.until("document.querySelector('#detail-picture').complete && document.querySelector('#detail-picture').naturalWidth > 256");
  const facts = await page.text("#detail-facts");
  for (const fact of ["rocket 4.jpg", newest.data.metadata.sha256, "JPEG"]) {
    if (!facts.includes(fact)) {
      fail(`${fact} is not in ${facts}`);
    }
  }
  equal(await page.nameless(), [], "controls without a name");
  await snap(page, "detail-light");
  await page.scheme("dark");
  await snap(page, "detail-dark");
  await page.resize(390, 844, { scale: 2, mobile: true });
  await snap(page, "detail-phone");
  await page.resize(1280, 860);
  await page.scheme("light");

  await page.key("ArrowRight", "ArrowRight", 39);
  await page.until(`location.hash !== "#${newest.data.image_id}"`);
  await page.key("ArrowLeft", "ArrowLeft", 37);
  await page.until(`location.hash === "#${newest.data.image_id}"`);

  await page.click("#detail-delete");
  equal(await page.value("document.activeElement.id"), "detail-no", "the safe answer has the focus");
  await page.click("#detail-no");
  await page.click("#detail-delete");
  await page.click("#detail-yes");
  await page.until(`!${isOpen("detail")} && ${count(3)} && ${tiles("success")} === 3`);
  await page.until("document.activeElement.matches('.tile')", "the focus is on the next picture");
  equal((await server.fetch(`/api/images/${newest.data.image_id}`)).status, 404, "it is gone");
  await page.click(".tile");
  await page.until(isOpen("detail"));
  await page.key("Escape", "Escape", 27);
  await page.until(`!${isOpen("detail")} && document.activeElement.matches('.tile')`, "the focus comes back");
});

await test("search, filters, captions by hand and another run, where the server has them", [], async (server, page) => {
  const { paths } = await server.json("/openapi.json");
  const takes = (name) => paths["/api/images"].get.parameters.some((parameter) => parameter.name === name);
  for (const file of pictures.slice(0, 4)) {
    await server.upload(file, file.split("/").pop());
  }
  await server.upload(broken, "broken.jpg");
  await page.open(`${server.url}/`);
  await page.until(`${tiles("success")} === 4 && ${tiles("failed")} === 1`);
  equal(await page.value("!document.querySelector('#search').hidden"), takes("q"), "search is offered");
  if (takes("q")) {
    await page.key("/", "Slash", 191, "/");
    await page.type("coffee");
    await page.until(count(1));
    await page.until("document.querySelector('.name').textContent === 'coffee 3.jpg'");
    await page.value("document.querySelector('#query').value = 'nothing like this'; document.querySelector('#query').dispatchEvent(new Event('input'))");
    await page.until("document.querySelector('#empty-title').textContent === 'Nothing found' && !document.querySelector('#empty').hidden");
    await page.value("document.querySelector('#query').value = ''; document.querySelector('#query').dispatchEvent(new Event('input'))");
    await page.until(count(5));
  }
  equal(await page.value("!document.querySelector('#filter').hidden"), takes("status"), "filters are offered");
  if (takes("status")) {
    await page.click("#filter [value=failed]");
    await page.until(`${count(1)} && ${tiles("failed")} === 1`);
    await page.click("#filter [value='']");
    await page.until(count(5));
  }
  await page.click(".cell[data-state=success] .tile");
  await page.until(isOpen("detail"));
  const one = paths["/api/images/{image_id}"];
  equal(await page.value("!document.querySelector('#detail-change').hidden"), Boolean(one.patch), "editing is offered");
  if (one.patch) {
    await page.click("#detail-change");
    await page.value("document.querySelector('#detail-text').value = 'written by hand'");
    await page.click("#detail-edit .main");
    await page.until("document.querySelector('#detail-caption').textContent === 'written by hand'");
    equal(await page.text("#detail-source"), "Written by a person", "who wrote it");
    await page.click("#detail-change");
    await page.click("#detail-edit-reset");
    await page.until("document.querySelector('#detail-source').textContent === 'Suggested by the model tiny'");
  }
  const again = Boolean(paths["/api/images/{image_id}/reprocess"]);
  equal(await page.value("!document.querySelector('#detail-again').hidden"), again, "another run is offered");
  if (again) {
    await page.click("#detail-again");
    await page.until("document.querySelector('#live').textContent === 'The picture is worked on again.'");
    await page.until("document.querySelector('#detail-state').hidden && !document.querySelector('#detail-again').hidden");
  }
});

await test("the numbers, with charts", [], async (server, page) => {
  await server.upload(pictures[0]);
  await page.open(`${server.url}/`);
  await page.until(`${tiles("success")} === 1`);
  const stats = await server.json("/api/stats");
  if (!stats.recent) {
    const minute = (ago) => new Date(Math.floor(Date.now() / 60_000 - ago) * 60_000).toISOString().replace(".000", "");
    const recent = Array.from({ length: 40 }, (_, ago) => ({ minute: minute(ago), done: (ago * 7) % 23, failed: Number(ago % 9 === 4) * 2 }));
    const stages = {
      metadata: { count: 9, mean_ms: 0.4 },
      thumbnails: { count: 9, mean_ms: 12.6 },
      caption: { count: 9, mean_ms: 96.2 },
    };
    await page.intercept("*/api/stats", () => ({ json: { ...stats, total: 412, recent, stages } }));
  }
  await page.click("#show-statistics");
  await page.until("document.querySelectorAll('#statistics figure').length === 2");
  equal(await page.value("document.querySelectorAll('#statistics dd').length"), 4, "four numbers");
  equal(await page.nameless(), [], "controls without a name");
  await snap(page, "statistics");
});

await test(
  "a network that is cut loses nothing and says so",
  [],
  async (server, page) => {
    await page.open(`${server.url}/`);
    await page.until("!document.querySelector('#empty').hidden");
    // In the middle of the first uploads.
    await page.network({ upload: 30_000 });
    await page.choose("#files", pictures.slice(0, 8));
    await page.until("[...document.querySelectorAll('#tray-rows li[data-state=sending] progress')].some((bar) => bar.value > 0.1)", "bytes are on their way");
    await page.network({ offline: true });
    await page.until("/cannot be reached. Nothing is lost: \\d pictures? wait/.test(document.querySelector('#notice').textContent)");
    await page.until("/^No connection: \\d pictures? waiting$/.test(document.querySelector('#tray-title').textContent)");
    // The last of those on their way may have arrived all the same.
    await page.until("!document.querySelector('#tray-rows li[data-state=sending]')", "none is on its way");
    const waiting = Number(/(\d+) picture/.exec(await page.text("#tray-title"))[1]);
    await page.choose("#files", pictures.slice(8, 10));
    await page.until(`document.querySelector('#tray-title').textContent === 'No connection: ${waiting + 2} pictures waiting'`);
    await snap(page, "offline");
    // Seen only once the network is back.
    await server.upload(pictures[29]);
    await page.network();
    await page.until("document.querySelector('#tray-title').textContent === '10 pictures uploaded'");
    await page.until("document.querySelector('#notice').hidden");
    await page.until(`${tiles("success")} === 11`);
    await page.until(count(11));
    const names = (await server.json("/api/images")).map(({ data }) => data.original_name).sort();
    const expected = [...pictures.slice(0, 10).map((path) => path.split("/").pop()), "by another client.jpg"].sort();
    equal(names, expected, "each picture is there once");
  },
  /ERR_INTERNET_DISCONNECTED/,
);

await test(
  "a queue that is full is waited for",
  ["--max-queue", "2"],
  async (server, page) => {
    await page.open(`${server.url}/`);
    await page.until("!document.querySelector('#empty').hidden");
    await page.choose("#files", pictures.slice(0, 9));
    await page.until("/^The server is busy/.test(document.querySelector('#tray-title').textContent)");
    await page.until(count(9));
    await page.until("document.querySelector('#tray-title').textContent === '9 pictures uploaded'");
  },
  /status of 429/,
);

await test(
  "a server that stops and comes back is noticed",
  [],
  async (server, page) => {
    await page.open(`${server.url}/`);
    await page.until("!document.querySelector('#empty').hidden");
    await page.value("window.wasHere = true");
    await server.restart();
    await page.until("!document.querySelector('#notice').hidden");
    await server.upload(pictures[0]);
    await page.until(`document.querySelector('#notice').hidden && ${tiles("success")} === 1`);
    equal(await page.value("window.wasHere"), true, "the page was not loaded anew");
  },
  /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/,
);

await test(
  "a key is asked for, and kept for the tab",
  ["--api-key", "write:0123456789-secret"],
  async (server, page) => {
    await page.open(`${server.url}/`);
    await page.until(isOpen("key"));
    await page.value("document.querySelector('#key-value').value = 'a key that nobody knows'");
    await page.click("#key button");
    await page.until(`${isOpen("key")} && /not known/.test(document.querySelector('#key-text').textContent)`);
    await snap(page, "key");
    await page.value("document.querySelector('#key-value').value = '0123456789-secret'");
    await page.click("#key button");
    await page.until("!document.querySelector('#empty').hidden");
    await page.choose("#files", pictures.slice(0, 2));
    await page.until(`${tiles("success")} === 2`);
    await page.until("document.querySelectorAll('.frame img.there').length === 2", "thumbnails are fetched with the key");
    await page.open(`${server.url}/?again`);
    await page.until(`${tiles("success")} === 2 && !${isOpen("key")}`);
    equal(await page.value("localStorage.length"), 0, "nothing is kept beyond the tab");
  },
  /status of 401/,
);

await import("./words.mjs");
await import("./lists.mjs");
await import("./tiles.mjs");
await import("./details.mjs");
await end();
