// The picture of the page in the README: `node tests/web/screenshot.mjs BINARY FILE.webp`.

import { readFile, readdir, writeFile } from "node:fs/promises";

import { Browser, fail } from "./browser.mjs";
import { Server } from "./server.mjs";

const [binary, path = fail("usage: screenshot.mjs BINARY FILE.webp")] = process.argv.slice(2);
const folder = new URL("../../examples/photos/", import.meta.url);
const names = (await readdir(folder)).filter((name) => name.endsWith(".jpg")).sort();

const server = await Server.start(binary);
for (const name of names.toReversed()) {
  await server.upload(new URL(name, folder), name);
}
const browser = await Browser.start();
const page = await browser.page();
await page.resize(1080, 372, { scale: 2 });
await page.open(`${server.url}/`);
await page.until(`document.querySelectorAll(".frame img.there").length === ${names.length}`);
await page.value("Promise.all(document.getAnimations().map((animation) => animation.finished))");
const { data } = await page.send("Page.captureScreenshot", { format: "webp", quality: 82 });
await writeFile(path, Buffer.from(data, "base64"));
await browser.stop();
await server.stop();
