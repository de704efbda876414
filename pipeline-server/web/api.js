// Talks to the server: addresses, the API key, refusals, and what this server can do.

const root = new URL(".", document.baseURI);
const KEPT_KEY = "pipeline-key";
/** How often a picture is tried again, after one second, two, four and so on; after that when the server has come back. */
const PICTURE_TRIES = 6;

/** Why a request was not answered as hoped. `status` is 0 when there was no answer at all. */
export class Problem extends Error {
  constructor(message, { status = 0, code = "", retryAfter = 0 } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

let key = sessionStorage.getItem(KEPT_KEY) ?? "";
let askForKey = async () => "";
let asking = null;

/** Says how a person is asked for a key: a function of the reason that returns a promise of the key. */
export function askWith(ask) {
  askForKey = ask;
}

/** Whether requests carry a key, which those that the browser makes for `<img>` cannot. */
export function hasKey() {
  return key !== "";
}

export function keyHeaders() {
  return key ? { "X-API-Key": key } : {};
}

/** Asks for a key, once for all requests that need one; `sent` is what headers the refused one had. */
export async function renewKey(sent) {
  if ((sent["X-API-Key"] ?? "") !== key) {
    return;
  }
  const reason = key
    ? "The key is not known here. Please try another one."
    : "Pictures are shown to holders of a key only.";
  asking ??= askForKey(reason).finally(() => {
    asking = null;
  });
  key = await asking;
  sessionStorage.setItem(KEPT_KEY, key);
}

export function address(path) {
  return new URL(path, root).href;
}

/** Sends a request and returns its answer; throws a `Problem` unless it is a good one. */
export async function call(path, options = {}) {
  for (;;) {
    const sent = keyHeaders();
    let response;
    try {
      response = await fetch(address(path), { ...options, headers: { ...options.headers, ...sent } });
    } catch (error) {
      if (error.name === "AbortError") {
        throw error;
      }
      throw new Problem("The server cannot be reached.");
    }
    if (response.ok) {
      return response;
    }
    if (response.status !== 401) {
      throw refusal(response.status, await response.text(), (name) => response.headers.get(name));
    }
    await renewKey(sent);
  }
}

export async function json(path, options) {
  return (await call(path, options)).json();
}

/** The same with a JSON body. */
export function send(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  return call(path, { method, headers, body: JSON.stringify(body) });
}

/** What an answer that is no good one says. */
export function refusal(status, text, header) {
  let detail;
  try {
    detail = JSON.parse(text).detail;
  } catch {
    // Not from our server, but from something in between.
  }
  const message = Array.isArray(detail) ? detail.map((issue) => issue.msg).join("; ") : detail;
  return new Problem(message || `The server answered with status ${status}.`, {
    status,
    code: header("X-Error-Code") ?? "",
    retryAfter: Number(header("Retry-After")) || 0,
  });
}

/** Which operations this server has, by its own documentation. */
export async function abilities() {
  const { paths } = await json("openapi.json");
  const operation = (method, path) => paths[path]?.[method];
  return {
    has: (method, path) => Boolean(operation(method, path)),
    takes: (path, parameter) =>
      Boolean(operation("get", path)?.parameters?.some((known) => known.name === parameter)),
  };
}

/** What tries again, for each picture that did not come. */
const missing = new Set();

/** Tries again to show all pictures that did not come: the server has come back. */
export function showMissing() {
  missing.forEach((again) => again());
}

/** Shows a picture of the server in `img`, trying again for a while if it does not come. Returns what gives it up. */
export function show(img, path) {
  const stop = new AbortController();
  let tries = 0;
  let url;
  let timer;
  const load = async () => {
    missing.delete(again);
    try {
      url = hasKey()
        ? URL.createObjectURL(await (await call(path, { signal: stop.signal })).blob())
        : address(path);
      await fill(img, url, stop.signal);
    } catch (problem) {
      if (stop.signal.aborted) {
        return;
      }
      // What is broken is not shown: the placeholder is.
      img.removeAttribute("src");
      URL.revokeObjectURL(url);
      missing.add(again);
      if (tries < PICTURE_TRIES) {
        timer = setTimeout(load, (problem.retryAfter || 2 ** tries) * 1000);
        tries += 1;
      }
    }
  };
  const again = () => {
    clearTimeout(timer);
    tries = 0;
    load();
  };
  load();
  return () => {
    stop.abort();
    clearTimeout(timer);
    missing.delete(again);
    img.removeAttribute("src");
    URL.revokeObjectURL(url);
  };
}

/** Puts a picture into `img`; an `<img>` does not say why one did not come. */
function fill(img, url, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const options = { signal, once: true };
    img.addEventListener("load", resolve, options);
    img.addEventListener("error", () => reject(new Problem("The picture did not come.")), options);
    img.src = url;
  });
}
