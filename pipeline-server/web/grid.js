// The pictures in rows. Only those in sight, and some around them, are in the document, so that ten thousand are as quick
// as ten; the others are room that is kept free.

import { Tile } from "./tile.js";

const GAP = 18;
/** Height of the text below a picture, as in the style sheet. */
const TEXT = 74;
/** How far beyond the window tiles are kept, in windows. */
const AROUND = 0.6;

export class Grid {
  #container;
  #list;
  #tiles = new Map();
  #frame = 0;
  #columns = 1;
  #width = 0;
  #row = 1;
  #focus = 0;

  /** `onOpen` gets the id of a picture that was chosen. */
  constructor(container, list, onOpen) {
    this.#container = container;
    this.#list = list;
    const draw = () => this.draw();
    addEventListener("scroll", draw, { passive: true });
    new ResizeObserver(draw).observe(container);
    container.addEventListener("click", ({ target }) => {
      const id = target.closest("button")?.dataset.id;
      if (id) {
        onOpen(id);
      }
    });
    container.addEventListener("keydown", (event) => this.#onKey(event));
    container.addEventListener("focusin", ({ target }) => {
      const at = this.#list.items.findIndex((image) => image.data.image_id === target.dataset.id);
      this.#move(Math.max(0, at));
    });
  }

  /** Draws with the next frame. */
  draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  /** Draws the tile of one picture that has changed; everything if it has come or gone. */
  drawOne(id) {
    const [tile, image] = [this.#tiles.get(id), this.#list.get(id)];
    if (tile && image) {
      tile.update(image, this.#list.ended(id));
    } else {
      this.draw();
    }
  }

  /** Puts the focus on a picture, or where it was if it is gone, and brings it into sight. */
  focusOn(id) {
    const { items } = this.#list;
    const index = items.findIndex((image) => image.data.image_id === id);
    if (items.length) {
      this.#goTo(index >= 0 ? index : Math.min(this.#focus, items.length - 1));
    }
  }

  #measure() {
    const width = this.#container.clientWidth;
    const gap = width < 600 ? 12 : GAP;
    const least = width < 600 ? 140 : 212;
    this.#columns = Math.max(1, Math.floor((width + gap) / (least + gap)));
    this.#width = (width - gap * (this.#columns - 1)) / this.#columns;
    this.#row = Math.round(this.#width * 0.75) + TEXT + gap;
    this.gap = gap;
  }

  #draw() {
    this.#measure();
    const { items, total } = this.#list;
    const rows = Math.ceil(total / this.#columns);
    const height = `${Math.max(0, rows * this.#row - this.gap)}px`;
    if (this.#container.style.height !== height) {
      this.#container.style.height = height;
    }
    const above = -this.#container.getBoundingClientRect().top;
    const around = innerHeight * AROUND;
    const first = Math.max(0, Math.floor((above - around) / this.#row)) * this.#columns;
    const last = Math.min(total, Math.ceil((above + innerHeight + around) / this.#row) * this.#columns);

    const shown = new Map();
    for (let index = first; index < last; index++) {
      const image = items[index];
      // Places that are still to be filled are known by their number.
      const name = image ? image.data.image_id : index;
      const tile = this.#tiles.get(name) ?? new Tile();
      this.#tiles.delete(name);
      shown.set(name, tile);
      this.#place(tile, index);
      tile.update(image, image && this.#list.ended(name));
    }
    this.#tiles.forEach((tile) => tile.drop());
    this.#tiles = shown;
    this.#order();
    if (last > items.length) {
      this.#list.need(last).catch(() => {});
    }
  }

  #place(tile, index) {
    const { element, button } = tile;
    const x = (index % this.#columns) * (this.#width + this.gap);
    const y = Math.floor(index / this.#columns) * this.#row;
    element.style.width = `${this.#width}px`;
    element.style.transform = `translate(${x}px, ${y}px)`;
    element.ariaPosInSet = index + 1;
    element.ariaSetSize = this.#list.total;
    button.tabIndex = index === this.#focus ? 0 : -1;
  }

  /** Readers of the document meet the tiles in the order in which they are seen. Tiles that are in order stay untouched. */
  #order() {
    let next = this.#container.firstElementChild;
    for (const { element } of this.#tiles.values()) {
      if (element === next) {
        next = next.nextElementSibling;
      } else {
        this.#container.insertBefore(element, next);
      }
    }
  }

  #onKey(event) {
    const page = Math.max(1, Math.floor(innerHeight / this.#row)) * this.#columns;
    const step = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: this.#columns,
      ArrowUp: -this.#columns,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    }[event.key];
    if (step !== undefined && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      const last = this.#list.items.length - 1;
      this.#goTo(Math.min(Math.max(this.#focus + step, 0), last));
    }
  }

  #goTo(index) {
    this.#move(index);
    const top = this.#container.getBoundingClientRect().top + scrollY;
    const y = top + Math.floor(index / this.#columns) * this.#row;
    const covered = document.querySelector(".bar").offsetHeight + 12;
    if (y - covered < scrollY) {
      scrollTo({ top: y - covered });
    } else if (y + this.#row > scrollY + innerHeight) {
      scrollTo({ top: y + this.#row - innerHeight });
    }
    this.#draw();
    const id = this.#list.items[index]?.data.image_id;
    this.#tiles.get(id)?.button.focus({ preventScroll: true });
  }

  #move(index) {
    const id = (at) => this.#list.items[at]?.data.image_id;
    const before = this.#tiles.get(id(this.#focus));
    this.#focus = index;
    if (before) {
      before.button.tabIndex = -1;
    }
    const now = this.#tiles.get(id(index));
    if (now) {
      now.button.tabIndex = 0;
    }
  }
}
