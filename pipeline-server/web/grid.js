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
  /** The picture that has the focus, or had it last, */
  #focus = "";
  /** and where it is, or was. */
  #at = 0;

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
      this.#move(this.#find(target.dataset.id));
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
    if (this.#list.items.length) {
      this.#goTo(this.#find(id));
    }
  }

  /** Where a picture is; if it is gone, where it was if it had the focus. */
  #find(id) {
    const { items } = this.#list;
    const index = items.findIndex((image) => image.data.image_id === id);
    return index >= 0 ? index : clamp(this.#at, 0, items.length - 1);
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

    const indices = Array.from({ length: Math.max(0, last - first) }, (_, at) => first + at);
    const focused = this.#focused;
    const stop = this.#keep(indices, Boolean(focused)) ?? this.#nearest(above);

    const shown = new Map();
    for (const index of indices) {
      const image = items[index];
      // Places that are still to be filled are known by their number.
      const name = image ? image.data.image_id : index;
      const tile = this.#tiles.get(name) ?? new Tile();
      this.#tiles.delete(name);
      shown.set(name, tile);
      this.#place(tile, index);
      tile.button.tabIndex = index === stop ? 0 : -1;
      tile.update(image, image && this.#list.ended(name));
    }
    const isLost = focused && [...this.#tiles.values()].includes(focused);
    this.#tiles.forEach((tile) => tile.drop());
    this.#tiles = shown;
    this.#order();
    if (isLost) {
      // The picture is gone: the focus goes on to the one in its place.
      shown.get(items[stop]?.data.image_id)?.button.focus({ preventScroll: true });
    }
    if (last > items.length) {
      this.#list.need(last);
    }
  }

  /** Where the picture is that had the focus last, if it is to be drawn: one that `hasFocus` is, wherever it is. */
  #keep(indices, hasFocus) {
    const { items } = this.#list;
    const isHere = (index) => items[index]?.data.image_id === this.#focus;
    let here = indices.find(isHere);
    if (here === undefined && hasFocus) {
      // The focus would go with a tile that is scrolled out of sight.
      const at = items.findIndex((_, index) => isHere(index));
      if (at >= 0) {
        here = at;
        at < indices[0] ? indices.unshift(at) : indices.push(at);
      }
    }
    this.#at = here ?? this.#at;
    return here;
  }

  /** The tile that has the focus, if one has. */
  get #focused() {
    const tile = this.#tiles.get(this.#focus);
    return tile?.button === document.activeElement ? tile : null;
  }

  /** The place in sight that is nearest to where the focus was, for the tab key to lead there. */
  #nearest(above) {
    const end = this.#list.items.length - 1;
    const first = Math.min(end, Math.max(0, Math.ceil((above + covered()) / this.#row)) * this.#columns);
    const last = Math.min(end, Math.floor((above + innerHeight) / this.#row) * this.#columns - 1);
    return clamp(this.#at, first, Math.max(first, last));
  }

  #place(tile, index) {
    const { element } = tile;
    const x = (index % this.#columns) * (this.#width + this.gap);
    const y = Math.floor(index / this.#columns) * this.#row;
    element.style.width = `${this.#width}px`;
    element.style.transform = `translate(${x}px, ${y}px)`;
    element.ariaPosInSet = index + 1;
    element.ariaSetSize = this.#list.total;
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
      this.#goTo(clamp(this.#find(this.#focus) + step, 0, this.#list.items.length - 1));
    }
  }

  #goTo(index) {
    this.#move(index);
    const top = this.#container.getBoundingClientRect().top + scrollY;
    const y = top + Math.floor(index / this.#columns) * this.#row;
    if (y - covered() < scrollY) {
      scrollTo({ top: y - covered() });
    } else if (y + this.#row > scrollY + innerHeight) {
      scrollTo({ top: y + this.#row - innerHeight });
    }
    this.#draw();
    this.#tiles.get(this.#focus)?.button.focus({ preventScroll: true });
  }

  #move(index) {
    this.#at = index;
    this.#focus = this.#list.items[index]?.data.image_id ?? "";
    for (const [id, { button }] of this.#tiles) {
      button.tabIndex = id === this.#focus ? 0 : -1;
    }
  }
}

function clamp(value, least, most) {
  return Math.max(least, Math.min(value, most));
}

/** How much of the window the bar covers. */
function covered() {
  return document.querySelector(".bar").offsetHeight + 12;
}
