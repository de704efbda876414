// Choosing and dropping files, and the list of uploads with a bar for each.

import { Queue } from "./queue.js";
import { bytes, many, number } from "./words.js";

/** Rows that are shown at once; the rest of a large queue is a number below them. */
const ROWS = 60;
const ORDER = { failed: 0, sending: 1, waiting: 2 };

const find = (id) => document.getElementById(id);

export class Uploads {
  #queue;
  #rows = new Map();
  #frame = 0;
  #tell;
  #wasWaiting = 0;

  /** `onState` is called with the queue after every change; `tell` says something to those who do not see. */
  constructor({ onState, tell }) {
    this.#tell = tell;
    this.#queue = new Queue((job) => {
      if (!job || job.state !== "sending") {
        onState(this.#queue);
      }
      this.#drawSoon();
    });
    const input = find("files");
    find("add").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.#queue.add([...input.files]);
      input.value = "";
    });
    find("tray-close").addEventListener("click", () => this.#queue.clear());
    find("tray-fold").addEventListener("click", ({ target }) => {
      const isOpen = target.getAttribute("aria-expanded") === "true";
      target.setAttribute("aria-expanded", String(!isOpen));
      target.textContent = isOpen ? "Show" : "Hide";
      find("tray-rows").hidden = isOpen;
    });
    this.#takeDrops();
    addEventListener("beforeunload", (event) => {
      if (this.#queue.waiting) {
        event.preventDefault();
      }
    });
  }

  #takeDrops() {
    const veil = find("drop");
    let depth = 0;
    const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
    const end = () => {
      depth = 0;
      veil.hidden = true;
    };
    addEventListener("dragenter", (event) => {
      if (hasFiles(event)) {
        depth += 1;
        veil.hidden = false;
      }
    });
    addEventListener("dragleave", (event) => {
      if (hasFiles(event) && --depth <= 0) {
        end();
      }
    });
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", async (event) => {
      event.preventDefault();
      end();
      this.#queue.add(await dropped(event.dataTransfer));
    });
  }

  #drawSoon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    const { jobs, held, waiting } = this.#queue;
    const count = (wanted) => jobs.filter(({ state }) => state === wanted).length;
    const [done, failed] = [count("done"), count("failed")];
    find("tray").hidden = jobs.length === 0;
    find("tray").dataset.held = held;
    find("tray-title").textContent = title({ held, waiting, done, failed });
    find("tray-close").hidden = waiting > 0;
    const sent = jobs.reduce((sum, job) => sum + (job.state === "sending" ? job.sent : 0), done + failed);
    Object.assign(find("tray-progress"), { max: jobs.length || 1, value: sent });
    this.#drawRows(jobs);
    if (this.#wasWaiting && !waiting) {
      this.#tell(title({ held, waiting, done, failed }));
    }
    this.#wasWaiting = waiting;
  }

  #drawRows(jobs) {
    const open = jobs.filter(({ state }) => state in ORDER);
    open.sort((one, other) => ORDER[one.state] - ORDER[other.state]);
    const shown = open.slice(0, ROWS);
    for (const [job, row] of this.#rows) {
      if (!shown.includes(job)) {
        row.remove();
        this.#rows.delete(job);
      }
    }
    const list = find("tray-rows");
    for (const job of shown) {
      let row = this.#rows.get(job);
      if (!row) {
        row = this.#newRow(job);
        this.#rows.set(job, row);
        list.append(row);
      }
      fill(row, job);
    }
    list.dataset.more = open.length > ROWS ? `and ${number(open.length - ROWS)} more` : "";
  }

  #newRow(job) {
    const row = document.createElement("li");
    const name = Object.assign(document.createElement("span"), { className: "file", textContent: job.file.name });
    const size = Object.assign(document.createElement("span"), { className: "size" });
    const bar = Object.assign(document.createElement("progress"), { max: 1, value: 0, ariaLabel: job.file.name });
    const again = Object.assign(document.createElement("button"), {
      type: "button",
      className: "plain",
      textContent: "Try again",
    });
    again.addEventListener("click", () => this.#queue.retry(job));
    row.append(name, size, again, bar);
    return row;
  }
}

function fill(row, job) {
  row.dataset.state = job.state;
  const [, size, again, bar] = row.children;
  size.textContent = job.message || bytes(job.file.size);
  again.hidden = job.state !== "failed" || !job.canRetry;
  bar.value = job.state === "sending" ? job.sent : 0;
}

function title({ held, waiting, done, failed }) {
  const rest = failed ? `, ${number(failed)} could not be uploaded` : "";
  if (held === "lost") {
    return `No connection: ${many(waiting, "picture")} waiting${rest}`;
  }
  if (held === "busy") {
    return `The server is busy: ${many(waiting, "picture")} waiting${rest}`;
  }
  return waiting ? `Uploading ${many(waiting, "picture")}${rest}` : `${many(done, "picture")} uploaded${rest}`;
}

/** All files that were dropped, those in folders included. */
async function dropped(transfer) {
  // To be taken before the first wait: the list is empty after that.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.());
  const files = [...transfer.files];
  if (!entries.some((entry) => entry?.isDirectory)) {
    return files;
  }
  const found = await Promise.all(entries.filter(Boolean).map(inside));
  return found.flat();
}

async function inside(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    // A folder has other things, too, that nobody meant.
    return /^image\/(jpeg|png)$/.test(file.type) ? [file] : [];
  }
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) {
      return files;
    }
    for (const part of some) {
      files.push(...(await inside(part)));
    }
  }
}
