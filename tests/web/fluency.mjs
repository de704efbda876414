// How fluent the page is with many pictures: `node tests/web/fluency.mjs BINARY [COUNT] [FOLDER]`. Prints what it measures,
// and fails where a person would notice. A folder is filled once and kept for the next run.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Browser, fail } from "./browser.mjs";
import { Server, photos } from "./server.mjs";

const [binary = fail("usage: fluency.mjs BINARY [COUNT] [FOLDER]"), wanted = "10000", kept] = process.argv.slice(2);
const count = Number(wanted);
/** Uploads at the same time. */
const LANES = 8;

const folder = await mkdtemp(join(tmpdir(), "web-test-"));
const files = await Promise.all((await photos(folder, 40)).map(async (path) => ({ path, bytes: await readFile(path) })));
const args = ["--model", "none", "--max-queue", String(count + LANES), "--log", "warn,pipeline_server::serve=info"];
const server = kept ? await Server.startOn(kept, binary, ...args) : await Server.start(binary, ...args);

let next = (await server.json("/api/stats")).total;
async function lane() {
  for (let index = next++; index < count; index = next++) {
    const { path, bytes } = files[index % files.length];
    const form = new FormData();
    form.append("file", new Blob([bytes], { type: "image/jpeg" }), `${index} ${path.split("/").pop()}`);
    const { ok } = await server.fetch("/api/images", { method: "POST", body: form });
    if (!ok) {
      fail("an upload was refused");
    }
  }
}
await Promise.all(Array.from({ length: LANES }, lane));
for (;;) {
  const last = await server.json(`/api/images?limit=${count}`);
  const open = last.find(({ status }) => status === "processing");
  if (!open) {
    break;
  }
  await server.fetch(`/api/images/${open.data.image_id}?wait=60s`);
}

const browser = await Browser.start();
const page = await browser.page();
await page.send("Page.addScriptToEvaluateOnNewDocument", {
  source: `
    window.seen = { long: [] };
    new PerformanceObserver((list) => seen.long.push(...list.getEntries().map((e) => [e.startTime, e.duration])))
      .observe({ type: "longtask", buffered: true });
    new PerformanceObserver((list) => { seen.paint = list.getEntriesByName("first-contentful-paint")[0]?.startTime; })
      .observe({ type: "paint", buffered: true });
  `,
});
await page.open(`${server.url}/`);
await page.until(`document.querySelector("#count").textContent === "${new Intl.NumberFormat("en").format(count)}"`);
await page.until("document.querySelectorAll('.cell[data-state=success]').length > 10");
const listed = await page.value("performance.now()");
await page.until("document.querySelectorAll('.frame img.there').length > 10");

const { paint, before } = await page.value("({ paint: seen.paint, before: seen.long.length })");
// From top to bottom, half a window with every frame.
const scroll = await page.value(`new Promise((resolve) => {
  const frames = [];
  let last = performance.now();
  const step = (now) => {
    frames.push(now - last);
    last = now;
    if (scrollY + innerHeight >= document.documentElement.scrollHeight - 2) resolve(frames);
    else { scrollBy(0, innerHeight / 2); requestAnimationFrame(step); }
  };
  requestAnimationFrame(step);
})`);
await page.until("document.querySelectorAll('.cell[data-state=empty]').length === 0", "the end of the list is loaded");
const { long, nodes, height } = await page.value(`({
  long: seen.long.slice(${before}).map(([, took]) => took),
  nodes: document.querySelectorAll("*").length,
  height: document.documentElement.scrollHeight,
})`);
// A click on a tile in the middle, until the large picture is painted.
const opened = await page.value(`new Promise((resolve) => {
  const start = performance.now();
  document.querySelectorAll(".cell[data-state=success] .tile")[5].click();
  requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
})`);

const sorted = scroll.toSorted((one, other) => one - other);
const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))].toFixed(0);
const worst = Math.max(0, ...long);
console.log(`${count} pictures, page ${Math.round(height)} pixels high, ${nodes} elements in the document`);
console.log(`first paint ${paint.toFixed(0)} ms, first tiles within ${listed.toFixed(0)} ms`);
console.log(`scrolled through in ${scroll.length} frames: median ${at(0.5)} ms, 95 % within ${at(0.95)} ms, 99 % within ${at(0.99)} ms`);
console.log(`long tasks while scrolling: ${long.length}, the longest ${worst.toFixed(0)} ms`);
console.log(`a picture opens within ${opened.toFixed(0)} ms`);

await browser.stop();
await server.stop();
await rm(folder, { recursive: true, force: true });
if (paint > 2000 || at(0.5) > 100 || worst > 500 || nodes > 2000) {
  fail("the page is not fluent");
}
