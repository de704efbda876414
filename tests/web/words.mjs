// The page explains codes of the server in words: they have to be codes that the server has.

import { readFile, readdir } from "node:fs/promises";

import { fail } from "./browser.mjs";
import { check } from "./harness.mjs";

const ROOT = new URL("../../", import.meta.url);
/** Where a code is given: in `code()` of an error or a warning, and to what makes a picture fail. */
const GIVEN = [
  /fn code\((?:&self|self)\) -> &'static str \{.*?\n    \}/gs,
  /\b(?:take_back|fail|retry)\([^;]*?"[a-z-]+"/gs,
  /\bcode: "[a-z-]+"/g,
];

async function codes() {
  const known = new Set();
  for (const crate of ["pipeline-core", "pipeline-store", "pipeline-server"]) {
    const folder = new URL(`${crate}/src/`, ROOT);
    const names = await readdir(folder, { recursive: true });
    for (const name of names.filter((name) => name.endsWith(".rs") && !/(^|\/)tests(\.rs|\/)/.test(name))) {
      const text = await readFile(new URL(name, folder), "utf8");
      // Examples and tests make up codes.
      const code = text.replace(/^\s*\/\/.*$/gm, "").split("#[cfg(test)]\nmod tests {")[0];
      const places = GIVEN.flatMap((pattern) => code.match(pattern) ?? []).join("\n");
      for (const [, found] of places.matchAll(/"([a-z-]+)"/g)) {
        known.add(found);
      }
    }
  }
  return known;
}

await check("the codes that are put in words are those of the server", async () => {
  const source = await readFile(new URL("pipeline-server/web/words.js", ROOT), "utf8");
  // Not by its name, which would make an older Node take it for another kind of module.
  const { FAILURES, WARNINGS } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
  const known = await codes();
  const unknown = [FAILURES, WARNINGS].flatMap(Object.keys).filter((code) => !known.has(code));
  if (unknown.length) {
    fail(`no such codes: ${unknown}; there are ${[...known].sort()}`);
  }
});
