// The pictures that are shown, newest first: loaded page by page, and kept in step with what happens on the server.

import { call } from "./api.js";

const PAGE = 120;
/** The most that is loaded at once when everything is loaded anew. */
const MOST = 1200;
/** How long events are gathered before a filtered list is loaded anew. */
const GATHER_MS = 400;
/** How long a refusal is waited out that does not say it; doubled with each further one. */
const PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

export class List {
  /** The pictures loaded so far, from the first on. */
  items = [];
  /** How many there are, loaded or not. */
  total = 0;
  /** New pictures that are not shown yet, since the reader is in the middle of the list. */
  held = [];
  /** Whether new pictures are held back. */
  holding = false;
  filter = { q: "", status: "" };
  /** Whether anything was loaded ever. */
  isLoaded = false;
  /** Why the last load failed, if it did. */
  problem = null;

  #known = new Map();
  #ended = new Map();
  /** Where the next page begins. It belongs to the round, as the filter does. */
  #next = null;
  #round = 0;
  #isReloading = false;
  /** The round that is loading a page. */
  #paging = 0;
  #isReached = false;
  #pause = PAUSE_MS;
  #timer = null;
  #missed = null;
  #changed;

  /** `changed` is called after every change. */
  constructor(changed) {
    this.#changed = changed;
  }

  /** A picture by its id, if it is loaded. */
  get(id) {
    return this.#known.get(id);
  }

  /** The last stage that has ended for a picture in work. */
  ended(id) {
    return this.#ended.get(id);
  }

  get isFiltered() {
    return Boolean(this.filter.q || this.filter.status);
  }

  /** Shows other pictures. Returns what `reload` does. */
  setFilter(filter) {
    this.filter = { ...this.filter, ...filter };
    this.items = [];
    this.held = [];
    this.#known.clear();
    return this.reload();
  }

  /** Loads anew what is loaded, or the first page. Returns whether that worked out, and is still what is wanted. */
  async reload() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#round += 1;
    const round = this.#round;
    const limit = Math.min(Math.max(this.items.length, PAGE), MOST);
    this.#next = null;
    this.#missed = [];
    this.#isReloading = true;
    let page;
    try {
      page = await this.#load({ limit });
    } catch (problem) {
      if (round === this.#round) {
        this.#isReloading = false;
        this.#missed = null;
        this.#fail(problem);
      }
      return false;
    }
    if (round !== this.#round) {
      return false;
    }
    this.#isReloading = false;
    this.isLoaded = true;
    this.problem = null;
    this.#pause = PAUSE_MS;
    this.#known.clear();
    this.items = [];
    this.held = [];
    this.#append(page);
    // What has happened while the page was on its way.
    const missed = this.#missed;
    this.#missed = null;
    missed.forEach(([name, data]) => this.apply(name, data));
    this.#changed();
    return true;
  }

  /** Loads pages until the picture at `index` is there. */
  async need(index) {
    const round = this.#round;
    // One page at a time; those of an earlier round are not waited for.
    while (this.#paging !== round && !this.problem && this.#next && index >= this.items.length) {
      // Whoever jumps far gets there in few steps.
      const limit = Math.min(Math.max(index - this.items.length, PAGE), MOST);
      this.#paging = round;
      let page;
      let problem;
      try {
        page = await this.#load({ limit, cursor: this.#next });
      } catch (error) {
        problem = error;
      }
      if (round !== this.#round) {
        return;
      }
      this.#paging = 0;
      if (problem) {
        this.#fail(problem);
      } else {
        this.#append(page);
        this.#changed();
      }
    }
  }

  /** The server can be reached, or not any more. What could not be loaded is loaded as soon as it can. */
  reached(isReached) {
    this.#isReached = isReached;
    if (isReached && !this.#isReloading && (this.problem || !this.isLoaded)) {
      this.reload();
    }
  }

  /** Shows what was held back. */
  release() {
    const fresh = this.held.filter(({ data }) => this.#known.has(data.image_id));
    this.held = [];
    this.items.unshift(...fresh);
    this.#changed();
  }

  /** Takes in an event. */
  apply(name, data) {
    if (name === "reset") {
      this.#reloadSoon();
      return;
    }
    this.#missed?.push([name, data]);
    const { image_id: id, envelope, stage } = data;
    if (name === "deleted") {
      this.remove(id);
    } else if (name === "stage") {
      this.#ended.set(id, stage);
    } else {
      this.#ended.delete(id);
    }
    if (envelope) {
      this.put(envelope, name === "accepted");
    }
    if (this.isFiltered && name !== "stage") {
      this.#reloadSoon();
    }
    this.#changed(id);
  }

  /** Puts in a new version of a picture; one that is not known only if it `isNew`. */
  put(envelope, isNew) {
    const id = envelope.data.image_id;
    const known = this.#known.get(id);
    if (known) {
      // In place: the view holds on to these.
      Object.assign(known, envelope);
    } else if (isNew && !this.isFiltered) {
      this.#known.set(id, envelope);
      (this.holding ? this.held : this.items).unshift(envelope);
      this.total += 1;
    }
  }

  /** Takes out a picture. */
  remove(id) {
    this.#ended.delete(id);
    if (this.#known.delete(id)) {
      const stays = ({ data }) => data.image_id !== id;
      this.items = this.items.filter(stays);
      this.held = this.held.filter(stays);
      this.total -= 1;
      this.#changed(id);
    } else if (!this.isFiltered) {
      this.total = Math.max(this.items.length, this.total - 1);
    }
  }

  async #load(page) {
    const parameters = new URLSearchParams(page);
    for (const [name, value] of Object.entries(this.filter)) {
      if (value) {
        parameters.set(name, value);
      }
    }
    const response = await call(`api/images?${parameters}`, { cache: "no-store" });
    return {
      images: await response.json(),
      total: Number(response.headers.get("X-Total-Count")),
      next: /[?&]cursor=([^&>]+)/.exec(response.headers.get("Link") ?? "")?.[1],
    };
  }

  #append({ images, total, next }) {
    for (const image of images) {
      const id = image.data.image_id;
      if (!this.#known.has(id)) {
        this.#known.set(id, image);
        this.items.push(image);
      }
    }
    this.total = Math.max(total, this.items.length);
    this.#next = next && decodeURIComponent(next);
  }

  /** Not put off by what happens meanwhile: something happens all the time while a batch is worked on. */
  #reloadSoon(pause = GATHER_MS) {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (this.#isReloading) {
        // To begin again before the answer would never end where answers are slow.
        this.#reloadSoon();
      } else {
        this.reload();
      }
    }, pause);
  }

  /** Keeps why nothing was loaded, and tries again if that may help; without a connection, when it is back. */
  #fail(problem) {
    this.problem = problem;
    if (!this.items.length) {
      this.total = 0;
    }
    // An answer that breaks off is no refusal, and has no status.
    const { status = 0, retryAfter = 0 } = problem;
    if (this.#isReached && (status === 0 || status === 429 || status >= 500)) {
      clearTimeout(this.#timer);
      this.#timer = null;
      this.#reloadSoon(retryAfter * 1000 || this.#pause);
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
    }
    this.#changed();
  }
}
