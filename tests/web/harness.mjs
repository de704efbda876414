// What the tests of the page share: a browser, pictures, and a server and a page for each test.

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Browser, PATIENCE_MS, fail } from "./browser.mjs";
import { Server, photos } from "./server.mjs";

const [binary = fail("usage: page.mjs BINARY [FOLDER [WORDS]]"), shown, only = ""] = process.argv.slice(2);
/** A folder for files to upload. */
export const files = await mkdtemp(join(tmpdir(), "web-test-"));
export const pictures = await photos(files, 30);
const browser = await Browser.start();
let failures = 0;

export const tiles = (state) => `document.querySelectorAll('.cell[data-state="${state}"]').length`;
export const count = (number) => `document.querySelector("#count").textContent === "${number}"`;
export const isOpen = (dialog) => `document.querySelector("#${dialog}").open`;
/** What happens with the next frames has happened. */
export const drawn = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))";

export function equal(actual, expected, what) {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    fail(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
}

/** A promise that is kept from outside, sooner or later. */
export function gate() {
  let open;
  const opened = new Promise((resolve, reject) => {
    open = resolve;
    setTimeout(() => reject(new Error("it never happened")), PATIENCE_MS).unref();
  });
  // Not everybody waits for it.
  opened.catch(() => {});
  return { open, opened };
}

export async function snap(page, name) {
  if (shown) {
    await mkdir(shown, { recursive: true });
    // Pictures fade in.
    await page.value("Promise.all(document.getAnimations().filter((a) => a.effect.getTiming().iterations === 1).map((a) => a.finished))");
    await page.picture(join(shown, `${name}.png`));
  }
}

/** Runs one test with a server and a page of its own. `complains` says which complaints of the browser are expected. */
export async function test(name, args, run, complains = /^$/) {
  if (!name.includes(only)) {
    return;
  }
  const server = await Server.start(binary, ...args);
  const page = await browser.page();
  try {
    await run(server, page);
    const strange = page.requests.filter((url) => !/^(data|blob):/.test(url) && !url.startsWith(`${server.url}/`));
    equal(strange, [], "requests to elsewhere");
    equal(page.complaints.filter((text) => !complains.test(text)), [], "complaints of the browser");
    await page.close();
    await server.stop();
    console.log(`ok      ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED  ${name}\n${error.stack}\n${page.complaints.join("\n")}`);
    await page.picture(join(shown ?? tmpdir(), "failed.png")).catch(() => {});
    await page.close().catch(() => {});
    await server.stop().catch(() => {});
  }
}

/** Reports a test that needs neither. */
export async function check(name, run) {
  if (!name.includes(only)) {
    return;
  }
  try {
    await run();
    console.log(`ok      ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}

export async function end() {
  await browser.stop();
  await rm(files, { recursive: true, force: true });
  process.exitCode = failures ? 1 : 0;
}
