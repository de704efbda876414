// How much is done, how fast, and where the time goes.

import { json } from "./api.js";
import { bars, columns, figure } from "./chart.js";
import { many, milliseconds, number, stage } from "./words.js";

/** The numbers are loaded anew this often at the most. */
const PAUSE_MS = 2000;

const find = (id) => document.getElementById(id);

export class Statistics {
  #dialog = find("statistics");
  #timer;

  constructor() {
    find("show-statistics").addEventListener("click", () => {
      this.#dialog.showModal();
      this.#load();
    });
    find("statistics-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) {
        this.#dialog.close();
      }
    });
  }

  /** Something has happened. */
  changed() {
    if (this.#dialog.open) {
      this.#timer ??= setTimeout(() => this.#load(), PAUSE_MS);
    }
  }

  async #load() {
    this.#timer = undefined;
    try {
      this.#draw(await json("api/stats", { cache: "no-store" }));
    } catch (problem) {
      find("statistics-charts").replaceChildren(problem.message);
    }
  }

  #draw(stats) {
    const numbers = [
      ["Pictures", number(stats.total)],
      ["Failed", number(stats.failed)],
      ["Succeeded", stats.success_rate],
      ["Mean time", milliseconds(stats.average_processing_time_seconds * 1000)],
    ];
    find("statistics-numbers").replaceChildren(
      ...numbers.map(([name, value]) => {
        const group = document.createElement("div");
        group.append(
          Object.assign(document.createElement("dt"), { textContent: name }),
          Object.assign(document.createElement("dd"), { textContent: value }),
        );
        return group;
      }),
    );
    find("statistics-charts").replaceChildren(...charts(stats));
  }
}

function charts({ recent, stages }) {
  const found = [];
  if (recent?.length) {
    const done = recent.reduce((sum, minute) => sum + minute.done, 0);
    const failed = recent.reduce((sum, minute) => sum + minute.failed, 0);
    const data = hour(recent).map(({ minute, done: good, failed: bad }) => ({ label: clock(minute), parts: [good, bad] }));
    const summary = `${many(done, "picture")} done${failed ? `, ${number(failed)} failed` : ""}`;
    found.push(figure("The last hour", summary, columns(data, ["done", "failed"])));
  }
  const timed = Object.entries(stages ?? {}).filter(([, { count }]) => count);
  if (timed.length) {
    const data = timed.map(([name, { mean_ms: mean }]) => ({ label: stage(name), value: mean, text: milliseconds(mean) }));
    found.push(figure("Time for each stage", "on average", bars(data)));
  }
  return found;
}

/** All minutes from the first one of the list to the last, those included in which nothing happened. */
function hour(recent) {
  const MINUTE = 60_000;
  const times = new Map(recent.map((minute) => [Date.parse(minute.minute), minute]));
  const last = Math.max(...times.keys());
  return Array.from({ length: 60 }, (_, index) => {
    const time = last - (59 - index) * MINUTE;
    return times.get(time) ?? { minute: new Date(time).toISOString(), done: 0, failed: 0 };
  });
}

function clock(time) {
  return new Date(time).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}
