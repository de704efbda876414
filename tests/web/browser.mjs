// A headless Chromium, driven over its own protocol through two pipes: nothing to install but the browser.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** Far longer than anything takes; it turns a hang into a failure. */
export const PATIENCE_MS = 60_000;

const FLAGS = [
  "--headless=new",
  "--remote-debugging-pipe",
  "--no-sandbox",
  "--no-first-run",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  "--disable-component-update",
  "--disable-dev-shm-usage",
  "--hide-scrollbars",
  "--lang=en",
];

export class Browser {
  #child;
  #profile;
  #pages = new Map();
  #waiting = new Map();
  #number = 0;

  static async start() {
    const browser = new Browser();
    browser.#profile = await mkdtemp(join(tmpdir(), "web-test-"));
    const flags = [...FLAGS, `--user-data-dir=${browser.#profile}`, "about:blank"];
    const program = process.env.CHROMIUM ?? "chromium";
    browser.#child = spawn(program, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    browser.#child.on("error", (error) => fail(`cannot start ${program}: ${error.message}`));
    let text = "";
    browser.#child.stdio[4].setEncoding("utf8").on("data", (piece) => {
      const messages = (text + piece).split("\0");
      text = messages.pop();
      messages.forEach((message) => browser.#receive(JSON.parse(message)));
    });
    return browser;
  }

  /** Opens a page of the given size. */
  async page({ width = 1280, height = 860 } = {}) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId, targetId);
    this.#pages.set(sessionId, page);
    for (const domain of ["Page", "Runtime", "Network", "Log", "DOM"]) {
      await page.send(`${domain}.enable`);
    }
    await page.resize(width, height);
    // A page in the background is not painted, and gets no input.
    await page.send("Page.bringToFront");
    return page;
  }

  send(method, params = {}, sessionId) {
    const id = ++this.#number;
    this.#child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { method, resolve, reject }));
  }

  #receive({ id, result, error, method, params, sessionId }) {
    if (id === undefined) {
      this.#pages.get(sessionId)?.happened(method, params);
      return;
    }
    const { method: asked, resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    error ? reject(new Error(`${asked}: ${error.message}`)) : resolve(result);
  }

  async stop() {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    await this.send("Browser.close").catch(() => {});
    await ended;
    await rm(this.#profile, { recursive: true, force: true });
  }
}

class Page {
  /** Addresses of all requests. */
  requests = [];
  /** What the page complained about. */
  complaints = [];
  #browser;
  #session;
  #target;
  #decide = null;

  constructor(browser, session, target) {
    this.#browser = browser;
    this.#session = session;
    this.#target = target;
  }

  send(method, params) {
    return this.#browser.send(method, params, this.#session);
  }

  happened(method, params) {
    if (method === "Network.requestWillBeSent") {
      this.requests.push(params.request.url);
    } else if (method === "Runtime.exceptionThrown") {
      const { exception, text } = params.exceptionDetails;
      this.complaints.push(exception?.description ?? text);
    } else if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) {
      this.complaints.push(params.args.map(({ value, description }) => value ?? description).join(" "));
    } else if (method === "Log.entryAdded" && params.entry.level === "error") {
      this.complaints.push(`${params.entry.text} ${params.entry.url ?? ""}`);
    } else if (method === "Page.javascriptDialogOpening") {
      this.send("Page.handleJavaScriptDialog", { accept: true });
    } else if (method === "Fetch.requestPaused") {
      // One that the page has given up cannot be answered.
      this.#decide(params).catch(() => {});
    }
  }

  async open(url) {
    await this.send("Page.navigate", { url });
    await this.until("document.readyState === 'complete'", "the page is loaded");
  }

  close() {
    return this.#browser.send("Target.closeTarget", { targetId: this.#target });
  }

  /** The value of an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
    if (exceptionDetails) {
      throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    }
    return result.value;
  }

  /** Waits until an expression is true. */
  async until(expression, what = expression) {
    const isTrue = await this.value(`new Promise((resolve) => {
      const end = performance.now() + ${PATIENCE_MS};
      const look = () => {
        let is = false;
        try { is = Boolean(${expression}); } catch {}
        if (is || performance.now() > end) resolve(is);
        else setTimeout(look, 20);
      };
      look();
    })`).catch((error) => {
      // A page that is being left cannot answer.
      if (/context|navigat/i.test(error.message)) return false;
      throw error;
    });
    if (!isTrue) {
      const seen = await this.value("document.body.innerText.slice(0, 1500)").catch(() => "");
      fail(`it never happened that ${what}\n${seen}`);
    }
  }

  click(selector) {
    return this.value(`document.querySelector(${JSON.stringify(selector)}).click()`);
  }

  text(selector) {
    return this.value(`document.querySelector(${JSON.stringify(selector)}).innerText`);
  }

  async key(key, code = key, number = 0, text) {
    const event = { key, code, windowsVirtualKeyCode: number, text };
    await this.send("Input.dispatchKeyEvent", { type: text ? "keyDown" : "rawKeyDown", ...event });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  type(text) {
    return this.send("Input.insertText", { text });
  }

  /** Chooses files as in the dialog of the browser. */
  async choose(selector, files) {
    const { root } = await this.send("DOM.getDocument");
    const { nodeId } = await this.send("DOM.querySelector", { nodeId: root.nodeId, selector });
    await this.send("DOM.setFileInputFiles", { nodeId, files });
  }

  /** Drags JPEG files into the page and drops them there. Told by events: a browser without a screen loses real ones. */
  async drop(paths) {
    const files = await Promise.all(
      paths.map(async (path) => ({ name: basename(path), bytes: await readFile(path, "base64") })),
    );
    await this.value(`(() => {
      const dataTransfer = new DataTransfer();
      for (const { name, bytes } of ${JSON.stringify(files)}) {
        const content = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
        dataTransfer.items.add(new File([content], name, { type: "image/jpeg" }));
      }
      for (const type of ["dragenter", "dragover", "drop"]) {
        document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
      }
    })()`);
  }

  /** Cuts the network, slows it down (bytes a second), or brings it back. */
  network({ offline = false, upload = -1, download = -1 } = {}) {
    const conditions = { offline, latency: 0, downloadThroughput: download, uploadThroughput: upload };
    return this.send("Network.emulateNetworkConditions", conditions);
  }

  resize(width, height, { scale = 1, mobile = false } = {}) {
    const size = { width, height, deviceScaleFactor: scale, mobile };
    return this.send("Emulation.setDeviceMetricsOverride", size);
  }

  scheme(value) {
    return this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value }] });
  }

  /**
   * Has `decide` look at each request for an address of that pattern: it returns the answer to give in the server's place
   * (`status`, `headers`, `json`), or nothing, for the server to give it; or a promise, which holds up the request.
   */
  async intercept(urlPattern, decide) {
    this.#decide = async ({ requestId, request }) => {
      const answer = await decide(request);
      if (!answer) {
        return this.send("Fetch.continueRequest", { requestId });
      }
      const { status = 200, headers = {}, json } = answer;
      const all = Object.entries({ "Content-Type": "application/json", ...headers });
      return this.send("Fetch.fulfillRequest", {
        requestId,
        responseCode: status,
        responseHeaders: all.map(([name, value]) => ({ name, value: String(value) })),
        body: Buffer.from(JSON.stringify(json)).toString("base64"),
      });
    };
    await this.send("Fetch.enable", { patterns: [{ urlPattern }] });
  }

  /** What an element is called for those who do not see it. */
  async nameOf(selector) {
    const { root } = await this.send("DOM.getDocument");
    const { nodeId } = await this.send("DOM.querySelector", { nodeId: root.nodeId, selector });
    const { nodes } = await this.send("Accessibility.getPartialAXTree", { nodeId, fetchRelatives: false });
    return nodes[0].name.value;
  }

  async picture(path, options = {}) {
    const { data } = await this.send("Page.captureScreenshot", options);
    await writeFile(path, Buffer.from(data, "base64"));
  }

  /** Everything that can be used and has no name for those who do not see it. */
  async nameless() {
    await this.send("Accessibility.enable");
    const { nodes } = await this.send("Accessibility.getFullAXTree");
    const used = ["button", "textbox", "searchbox", "radio", "link", "listitem", "list", "dialog", "progressbar", "img"];
    return nodes
      .filter(({ ignored, role, name }) => !ignored && used.includes(role?.value) && !name?.value?.trim())
      // What stands in an item is its name.
      .filter(({ role }) => role.value !== "listitem")
      .map(({ role, backendDOMNodeId }) => `${role.value} ${backendDOMNodeId}`);
  }
}

export function fail(message) {
  throw new Error(message);
}
