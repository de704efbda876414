// Talks to the server: addresses, the API key, refusals, and what this server can do.

const root = new URL(".", document.baseURI);
const KEPT_KEY = "pipeline-key";

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

/** Shows a picture of the server in `img`. Returns a function that gives it up. */
export function show(img, path) {
  if (!hasKey()) {
    img.src = address(path);
    return () => img.removeAttribute("src");
  }
  const stop = new AbortController();
  let url;
  call(path, { signal: stop.signal })
    .then((response) => response.blob())
    .then((blob) => {
      url = URL.createObjectURL(blob);
      img.src = url;
    })
    .catch(() => {
      // A picture that does not come leaves its placeholder.
    });
  return () => {
    stop.abort();
    img.removeAttribute("src");
    URL.revokeObjectURL(url);
  };
}
