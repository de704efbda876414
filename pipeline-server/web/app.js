// Puts the page together.

import { abilities, askWith, showMissing } from "./api.js";
import { Detail } from "./detail.js";
import { follow, rest } from "./feed.js";
import { Grid } from "./grid.js";
import { List } from "./list.js";
import { Statistics } from "./statistics.js";
import { Uploads } from "./uploads.js";
import { many, number } from "./words.js";

/** How long somebody may pause while typing before the search begins. */
const TYPING_MS = 220;
/** How many pictures above the window are too many to be pushed down by new ones, in windows. */
const TOP = 0.5;

const find = (id) => document.getElementById(id);

/** Says something to those who do not see it. */
function tell(text) {
  find("live").textContent = text;
}

askWith((reason) => {
  const dialog = find("key");
  find("key-text").textContent = reason;
  find("key-value").value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(find("key-value").value), { once: true });
  });
});
// Without a key there is nothing to go back to.
find("key").addEventListener("cancel", (event) => event.preventDefault());

let detail;
const list = new List((id) => {
  if (id) {
    grid.drawOne(id);
  } else {
    grid.draw();
  }
  detail?.changed(id);
  drawAround();
  drawNotice();
});
const grid = new Grid(find("grid"), list, (id) => detail?.open(id));
const statistics = new Statistics();
const state = { feed: true, queue: null };
new Uploads({
  tell,
  onState(queue) {
    state.queue = queue;
    drawNotice();
  },
});

/** What stands around the grid. */
function drawAround() {
  find("count").textContent = list.isLoaded && list.total ? number(list.total) : "";
  const isEmpty = list.isLoaded && !list.problem && !list.total && !list.held.length;
  find("empty").hidden = !isEmpty;
  find("empty-title").textContent = list.isFiltered ? "Nothing found" : "No pictures yet";
  find("empty-text").textContent = list.isFiltered
    ? "Try other words, or show all pictures."
    : "Drop JPEG and PNG pictures anywhere on this page, or choose them with “Add pictures”. Each gets a caption.";
  find("fresh").hidden = !list.held.length;
  find("fresh").textContent = many(list.held.length, "new picture");
}

/** What keeps the page from being up to date, in words. */
function drawNotice() {
  const waiting = state.queue?.waiting ?? 0;
  const isLost = !state.feed || state.queue?.held === "lost";
  let text = list.problem?.message ?? "";
  if (isLost) {
    text = "The server cannot be reached. The page goes on by itself as soon as it is back.";
    if (waiting) {
      text = `The server cannot be reached. Nothing is lost: ${many(waiting, "picture")} wait${waiting === 1 ? "s" : ""} here and will be sent as soon as it is back.`;
    }
  }
  const notice = find("notice");
  if (notice.textContent !== text) {
    notice.textContent = text;
    notice.hidden = !text;
  }
}

function searchAndFilter(can) {
  const PATH = "/api/images";
  find("search").hidden = !can.takes(PATH, "q");
  find("filter").hidden = !can.takes(PATH, "status");
  let timer;
  const change = async (filter) => {
    scrollTo({ top: 0 });
    // The notice says to everybody why it did not work out.
    if (await list.setFilter(filter)) {
      tell(many(list.total, "picture"));
    }
  };
  const search = () => {
    clearTimeout(timer);
    const q = find("query").value.trim();
    if (q !== list.filter.q) {
      change({ q });
    }
  };
  find("query").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, TYPING_MS);
  });
  find("search").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  find("filter").addEventListener("change", ({ target }) => change({ status: target.value }));
  addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, textarea, dialog");
    if (event.key === "/" && !isTyping && !find("search").hidden) {
      event.preventDefault();
      find("query").focus();
    }
  });
}

/** New pictures do not push down what somebody is looking at. */
function holdBack() {
  addEventListener(
    "scroll",
    () => {
      list.holding = scrollY > innerHeight * TOP;
      if (!list.holding && list.held.length) {
        list.release();
      }
    },
    { passive: true },
  );
  find("fresh").addEventListener("click", () => {
    scrollTo({ top: 0 });
    list.release();
  });
}

/** Tries until it works; without an answer there is nothing to begin with. */
async function patiently(ask) {
  for (;;) {
    try {
      return await ask();
    } catch {
      await rest(2000);
    }
  }
}

async function start() {
  holdBack();
  follow({
    onEvent(name, data) {
      list.apply(name, data);
      detail?.happened(name, data);
      statistics.changed();
      if (name === "done" && data.status === "failed") {
        tell("A picture has failed.");
      }
    },
    onState(isConnected) {
      state.feed = isConnected;
      drawNotice();
      list.reached(isConnected);
      if (isConnected) {
        detail?.reached();
        showMissing();
      }
    },
  });
  const can = await patiently(abilities);
  searchAndFilter(can);
  detail = new Detail({ list, grid, can, tell });
  const id = location.hash.slice(1);
  if (/^[0-9a-f-]{36}$/.test(id)) {
    detail.open(id);
  }
}

start();
