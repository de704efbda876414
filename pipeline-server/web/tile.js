// One picture in the grid.

import { show } from "./api.js";
import { drawThumbHash } from "./thumbhash.js";
import { caption, progress, warning } from "./words.js";

/** A tile that scrolls past has no need for its picture. */
const SETTLE_MS = 60;

const template = document.createElement("template");
template.innerHTML = `
  <div role="listitem" class="cell">
    <button type="button" class="tile" tabindex="-1">
      <span class="frame"><canvas aria-hidden="true" width="1" height="1"></canvas><span class="badge"></span><span class="odd" role="img" hidden>!</span></span>
      <span class="caption"></span>
      <span class="name"></span>
    </button>
  </div>`;

export class Tile {
  #parts;
  #giveUp = () => {};
  #timer;
  #hash;
  #state;

  constructor() {
    this.element = template.content.firstElementChild.cloneNode(true);
    const find = (selector) => this.element.querySelector(selector);
    this.button = find("button");
    this.#parts = {
      frame: find(".frame"),
      blur: find("canvas"),
      badge: find(".badge"),
      odd: find(".odd"),
      caption: find(".caption"),
      name: find(".name"),
    };
  }

  /** Shows a picture as it is now; without one, a place that is still to be filled. */
  update(image, ended) {
    const { badge, odd, caption: text, name } = this.#parts;
    const state = image?.status ?? "empty";
    this.element.dataset.state = state;
    this.button.disabled = !image;
    if (!image) {
      return;
    }
    this.button.dataset.id = image.data.image_id;
    say(badge, state === "processing" ? progress(ended) : state === "failed" ? "Failed" : "");
    say(text, caption(image));
    say(name, image.data.original_name || "no name");
    const what = state === "success" ? warning(image) : "";
    if (odd.title !== what) {
      Object.assign(odd, { title: what, ariaLabel: what, hidden: !what });
    }
    this.#blur(image.data.metadata.thumbhash ?? early(image, "metadata")?.thumbhash);
    const isEarly = state === "processing" && Boolean(early(image, "thumbnails"));
    if (state === "success" || isEarly) {
      this.#picture(image.data.image_id, isEarly);
    }
  }

  /** The tile is shown no longer. */
  drop() {
    clearTimeout(this.#timer);
    this.#giveUp();
    this.element.remove();
  }

  #blur(hash) {
    if (hash && hash !== this.#hash) {
      this.#hash = hash;
      drawThumbHash(this.#parts.blur, hash);
      this.#parts.blur.className = "drawn";
    }
  }

  #picture(id, isEarly) {
    if (this.#state) {
      return;
    }
    this.#state = "picture";
    this.#timer = setTimeout(() => {
      // What it shows is in the caption beside it.
      const img = Object.assign(new Image(), { alt: "", decoding: "async", draggable: false });
      img.addEventListener("load", () => img.classList.add("there"));
      this.#giveUp = show(img, `api/images/${id}/thumbnails/small${isEarly ? "?early=true" : ""}`);
      this.#parts.blur.after(img);
    }, SETTLE_MS);
  }
}

/** What a stage of a picture in work has given already, on servers that show that. */
function early(image, stage) {
  return image.data.stages?.[stage]?.result;
}

/** Leaves an element alone that says it already. */
function say(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}
