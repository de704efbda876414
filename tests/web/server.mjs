// The real server on a free port, and pictures for it.

import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { fail } from "./browser.mjs";

const PHOTOS = new URL("../../examples/photos/", import.meta.url);

export class Server {
  #child;
  #args;
  #isOwn = false;
  #log = "";

  /** Starts the server with further arguments. */
  static async start(binary, ...args) {
    const folder = await mkdtemp(join(tmpdir(), "web-test-"));
    const server = await Server.startOn(folder, binary, ...args);
    server.#isOwn = true;
    return server;
  }

  /** Starts it on a folder that stays. */
  static async startOn(folder, binary, ...args) {
    const server = new Server();
    server.folder = folder;
    server.#args = [binary, "--data", join(folder, "data"), ...args];
    server.url = await server.#spawn("127.0.0.1:0");
    return server;
  }

  /** Stops it, and starts it on the same folder and port. */
  async restart() {
    await this.#end();
    await this.#spawn(new URL(this.url).host);
  }

  #spawn(address) {
    const [binary, ...args] = this.#args;
    this.#log = "";
    this.#child = spawn(binary, [...args, "--listen", address], { stdio: ["ignore", "ignore", "pipe"] });
    return new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("exit", () => reject(new Error(`the server ended:\n${this.#log}`)));
      this.#child.stderr.setEncoding("utf8").on("data", (piece) => {
        this.#log += piece;
        const [url] = /http:\/\/127\.0\.0\.1:\d+(?=\D)/.exec(this.#log) ?? [];
        if (url) {
          resolve(url);
        }
      });
    });
  }

  async fetch(path, options) {
    return fetch(this.url + path, options);
  }

  async json(path, options) {
    return (await this.fetch(path, options)).json();
  }

  /** Uploads a file as another client would. */
  async upload(file, name = "by another client.jpg") {
    const form = new FormData();
    form.append("file", new Blob([await readFile(file)], { type: "image/jpeg" }), name);
    const { image_id: id } = await this.json("/api/images", { method: "POST", body: form });
    return id ?? fail("the upload was refused");
  }

  /** Uploads `count` pictures, one after another, and waits until all are done; returns their ids, the newest first. */
  async fill(files, count) {
    const ids = [];
    for (let number = 1; number <= count; number++) {
      ids.unshift(await this.upload(files[number % files.length], `picture ${number}.jpg`));
    }
    await Promise.all(ids.map((id) => this.json(`/api/images/${id}?wait=60s`)));
    return ids;
  }

  /** Gives a picture a caption. */
  async caption(id, text) {
    const headers = { "Content-Type": "application/json" };
    const { ok } = await this.fetch(`/api/images/${id}`, { method: "PATCH", headers, body: JSON.stringify({ caption: text }) });
    return ok || fail("the caption was refused");
  }

  async stop() {
    try {
      await this.#end();
    } finally {
      if (this.#isOwn) {
        await rm(this.folder, { recursive: true, force: true });
      }
    }
  }

  async #end() {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    const code = await ended;
    if (code !== 0 || /ERROR|panicked/.test(this.#log)) {
      fail(`the server ended with ${code}:\n${this.#log}`);
    }
  }
}

/** Writes `count` photos that differ from each other into a folder; returns their paths. */
export async function photos(folder, count) {
  await mkdir(folder, { recursive: true });
  const names = (await readdir(PHOTOS)).filter((name) => name.endsWith(".jpg")).sort();
  const files = await Promise.all(names.map((name) => readFile(new URL(name, PHOTOS))));
  const paths = [];
  for (let index = 0; index < count; index++) {
    const which = index % names.length;
    const path = join(folder, names[which].replace(".jpg", ` ${index + 1}.jpg`));
    await writeFile(path, withComment(files[which], `copy ${index}`));
    paths.push(path);
  }
  return paths;
}

/** A JPEG file with a comment, which makes it another file of the same picture. */
function withComment(jpeg, text) {
  const comment = Buffer.alloc(4 + text.length);
  comment.writeUInt16BE(0xfffe, 0);
  comment.writeUInt16BE(2 + text.length, 2);
  comment.write(text, 4, "latin1");
  return Buffer.concat([jpeg.subarray(0, 2), comment, jpeg.subarray(2)]);
}
