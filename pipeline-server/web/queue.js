// Uploads on their way: a few at a time, and none lost when the network or the server is away for a while.

import { Problem, address, keyHeaders, refusal, renewKey } from "./api.js";
import { rest } from "./feed.js";

const LANES = 3;
const TYPES = ["image/jpeg", "image/png"];
const LONGEST_PAUSE_MS = 10_000;
/** How often a picture is sent again at which the server itself broke. */
const TRIES = 3;

/** A picture to upload. `state` is `waiting`, `sending`, `done` or `failed`. */
class Job {
  state = "waiting";
  sent = 0;
  message = "";
  tries = 0;
  /** Whether trying again may help. */
  canRetry = true;
  // Sent along each time, so that a picture whose acknowledgement was lost is not stored twice.
  key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  constructor(file) {
    this.file = file;
  }
}

export class Queue {
  jobs = [];
  /** Why nothing is sent at the moment: `lost` without a connection, `busy` when the server has asked to wait. */
  held = "";
  #active = 0;
  #changed;

  /** `changed` is called with a job, or with nothing, after every change. */
  constructor(changed) {
    this.#changed = changed;
  }

  get waiting() {
    return this.jobs.filter(({ state }) => state === "waiting" || state === "sending").length;
  }

  add(files) {
    const jobs = files.map((file) => new Job(file));
    for (const job of jobs) {
      if (!TYPES.includes(job.file.type)) {
        job.canRetry = false;
        this.#end(job, "failed", "Only JPEG and PNG pictures can be uploaded.");
      }
    }
    this.jobs.push(...jobs);
    this.#changed();
    this.#fill();
  }

  /** Tries again what has failed. */
  retry(job) {
    Object.assign(job, { state: "waiting", sent: 0, message: "", tries: 0 });
    this.#changed(job);
    this.#fill();
  }

  /** Forgets what is over. */
  clear() {
    this.jobs = this.jobs.filter(({ state }) => state === "waiting" || state === "sending");
    this.#changed();
  }

  #fill() {
    while (!this.held && this.#active < LANES) {
      const job = this.jobs.find(({ state }) => state === "waiting");
      if (!job) {
        return;
      }
      this.#active += 1;
      job.state = "sending";
      job.sent = 0;
      this.#changed(job);
      this.#send(job)
        .catch((problem) => this.#refused(job, problem))
        .finally(() => {
          this.#active -= 1;
          this.#changed(job);
          this.#fill();
        });
    }
  }

  async #send(job) {
    const sent = keyHeaders();
    const { status, text, header } = await post(job, sent, () => this.#changed(job));
    if (status === 200) {
      this.#end(job, "done", "");
    } else if (status === 401) {
      job.state = "waiting";
      await renewKey(sent);
    } else {
      throw refusal(status, text, header);
    }
  }

  async #refused(job, problem) {
    const { status, retryAfter, message } = problem;
    const isLost = status === 0;
    if (isLost && !(await isReadable(job.file))) {
      this.#end(job, "failed", "The file cannot be read any more.");
    } else if (isLost) {
      job.state = "waiting";
      this.#hold("lost", untilReached());
    } else if (retryAfter) {
      job.state = "waiting";
      this.#hold("busy", rest(retryAfter * 1000));
    } else if (status >= 500 && job.tries < TRIES) {
      job.tries += 1;
      job.state = "waiting";
      this.#hold("busy", rest(1000 * job.tries));
    } else {
      this.#end(job, "failed", message);
    }
  }

  #end(job, state, message) {
    job.state = state;
    job.message = message;
  }

  /** Sends nothing until `end`. Other pictures that are underway meet the same, and end in the same wait. */
  #hold(reason, end) {
    if (this.held) {
      return;
    }
    this.held = reason;
    this.#changed();
    end.then(() => {
      this.held = "";
      this.#changed();
      this.#fill();
    });
  }
}

/** Sends a picture. `fetch` does not tell how far it is. */
function post(job, headers, progressed) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address("api/images"));
    for (const [name, value] of Object.entries({ ...headers, "Idempotency-Key": job.key })) {
      request.setRequestHeader(name, value);
    }
    request.upload.onprogress = ({ loaded, total }) => {
      job.sent = total ? loaded / total : 0;
      progressed();
    };
    request.onload = () => {
      const header = (name) => request.getResponseHeader(name);
      resolve({ status: request.status, text: request.responseText, header });
    };
    request.onerror = () => reject(new Problem("The server cannot be reached."));
    request.ontimeout = request.onerror;
    request.onabort = request.onerror;
    const form = new FormData();
    form.append("file", job.file, job.file.name);
    request.send(form);
  });
}

/** Whether a file is still on the disk; the browser reports one that is gone like a broken network. */
async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** Asks the server for a sign of life until there is one. */
async function untilReached() {
  for (let pause = 1000; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    await rest(pause);
    try {
      const { ok } = await fetch(address("livez"), { cache: "no-store" });
      if (ok) {
        return;
      }
    } catch {
      // Not yet.
    }
  }
}
