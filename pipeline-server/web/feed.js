// Follows what happens on the server, as long as somebody looks at the page.
//
// It is read with `fetch` rather than by an `EventSource`, which cannot send an API key.

import { call } from "./api.js";

/** With nothing for so long the connection is taken for broken; the server says something every 15 seconds. */
const SILENCE_MS = 40_000;
/** A page in the background lets go of its connection after this time: a browser has only six for all its tabs. */
const HIDDEN_MS = 10_000;
const LONGEST_PAUSE_MS = 10_000;

/**
 * Calls `onEvent(name, data)` for every event, for ever. `onState` is told `true` whenever the connection stands, and
 * `false` whenever it is lost.
 */
export async function follow({ onEvent, onState }) {
  let last = "";
  let pause = 500;
  for (;;) {
    await visible();
    const stop = new AbortController();
    const letGo = watchPage(stop);
    try {
      await read(last, stop, (event) => {
        pause = 500;
        last = event.id || last;
        if (event.opened) {
          onState(true);
        } else if (event.name) {
          onEvent(event.name, JSON.parse(event.data));
        }
      });
    } catch {
      // Whatever it was: try again.
    }
    letGo();
    if (!document.hidden) {
      onState(false);
      await rest(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }
}

async function read(last, stop, tell) {
  const path = `api/events${last && `?last_event_id=${last}`}`;
  const options = { headers: { Accept: "text/event-stream" }, cache: "no-store", signal: stop.signal };
  const response = await call(path, options);
  tell({ opened: true });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const silence = setTimeout(() => stop.abort(), SILENCE_MS);
    const { value, done } = await reader.read();
    clearTimeout(silence);
    if (done) {
      return;
    }
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    blocks.forEach((block) => tell(parse(block)));
  }
}

function parse(block) {
  const event = { id: "", name: "", data: "" };
  for (const line of block.split("\n")) {
    const [, field, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (field === "id") {
      event.id = value;
    } else if (field === "event") {
      event.name = value;
    } else if (field === "data") {
      event.data += value;
    }
  }
  return event;
}

/** Ends the connection when the page is hidden for a while, or when the browser knows that there is no network. */
function watchPage(stop) {
  let timer;
  const onHidden = () => {
    clearTimeout(timer);
    if (document.hidden) {
      timer = setTimeout(() => stop.abort(), HIDDEN_MS);
    }
  };
  const onOffline = () => stop.abort();
  document.addEventListener("visibilitychange", onHidden);
  window.addEventListener("offline", onOffline);
  return () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onHidden);
    window.removeEventListener("offline", onOffline);
  };
}

function visible() {
  return new Promise((resolve) => {
    const look = () => {
      if (!document.hidden) {
        document.removeEventListener("visibilitychange", look);
        resolve();
      }
    };
    document.addEventListener("visibilitychange", look);
    look();
  });
}

/** Waits for a while, or for the network to come back. */
export function rest(milliseconds) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      window.removeEventListener("online", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    window.addEventListener("online", end);
  });
}
