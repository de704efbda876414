// One picture: large, with all that is known about it, and what can be done with it.

import { address, call, hasKey, json, send, show } from "./api.js";
import { drawThumbHash } from "./thumbhash.js";
import { bytes, caption, exposure, failure, number, progress, score, source } from "./words.js";
import { stage, stageState, warning, when } from "./words.js";

const ONE = "/api/images/{image_id}";
const find = (id) => document.getElementById(id);

export class Detail {
  #dialog = find("detail");
  #list;
  #can;
  #grid;
  #tell;
  #id = "";
  /** What is known about it. The list need not have it: it may be old, or not among those that are searched for. */
  #image = null;
  /** How many events have told of pictures shown here. */
  #told = 0;
  #giveUp = () => {};
  #shownPicture = "";

  /** `can` says what the server can do. */
  constructor({ list, grid, can, tell }) {
    this.#list = list;
    this.#grid = grid;
    this.#can = can;
    this.#tell = tell;
    const on = (id, act) => find(id).addEventListener("click", act);
    on("detail-close", () => this.#dialog.close());
    on("detail-previous", () => this.#step(-1));
    on("detail-next", () => this.#step(1));
    on("detail-change", () => this.#edit(true));
    on("detail-edit-cancel", () => this.#edit(false));
    on("detail-edit-reset", () => this.#write(null));
    on("detail-again", () => this.#again());
    on("detail-delete", () => this.#confirm(true));
    on("detail-no", () => this.#confirm(false));
    on("detail-yes", () => this.#delete());
    find("detail-download").addEventListener("click", (event) => this.#save(event));
    find("detail-record").addEventListener("click", (event) => this.#save(event));
    find("detail-edit").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#write(find("detail-text").value.trim());
    });
    this.#dialog.addEventListener("close", () => this.#closed());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) {
        this.#dialog.close();
      }
    });
    this.#dialog.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      // With other keys held it is the browser's: back and forward, for one.
      const isPlain = !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey;
      if (step && isPlain && !event.target.closest("textarea, .row")) {
        event.preventDefault();
        this.#step(step);
      }
    });
  }

  /** Opens the picture, and leaves its address in the address bar. */
  open(id) {
    this.#id = id;
    this.#image = this.#list.get(id) ?? null;
    this.#shownPicture = "";
    this.#edit(false);
    this.#confirm(false);
    this.#draw();
    if (!this.#dialog.open) {
      this.#dialog.showModal();
      find("detail-caption").focus();
    }
    history.replaceState(null, "", `#${id}`);
    this.#load();
  }

  /** The list has changed, or one picture in it. */
  changed(id) {
    if (this.#dialog.open) {
      this.#image = this.#list.get(this.#id) ?? this.#image;
      id && id !== this.#id ? this.#drawSteps() : this.#draw();
    }
  }

  /** Takes in an event: those of pictures that are not in the list are of no use to the list. */
  happened(name, { image_id: id, envelope }) {
    if (!this.#dialog.open || (id && id !== this.#id)) {
      return;
    }
    if (name === "deleted") {
      this.#dialog.close();
    } else if (envelope) {
      this.#told += 1;
      this.#take(envelope);
    } else if (name !== "stage") {
      this.#load();
    }
  }

  /** The server has come back. */
  reached() {
    if (this.#dialog.open && !this.#image) {
      this.#load();
    }
  }

  /** Asks for the newest state: a picture may be opened by its address alone. */
  async #load() {
    const id = this.#id;
    this.#problem("");
    try {
      await this.#answer(json(`api/images/${id}`, { cache: "no-store" }));
    } catch (problem) {
      if (id === this.#id) {
        this.#problem(problem.message);
      }
    }
  }

  /** Takes in the answer to a request, unless events have overtaken it. */
  async #answer(asked) {
    const told = this.#told;
    const envelope = await asked;
    if (told === this.#told) {
      this.#take(envelope);
    }
  }

  /** Takes in a newer state of the picture, or of one that was shown when it was asked for. */
  #take(envelope) {
    this.#list.put(envelope, false);
    if (envelope.data.image_id === this.#id) {
      this.#image = this.#list.get(this.#id) ?? envelope;
      this.#draw();
    }
  }

  #draw() {
    const image = this.#image;
    find("detail-tools").hidden = !image;
    this.#drawSteps();
    if (!image) {
      return;
    }
    const { data, status } = image;
    const isDone = status === "success";
    const text = isDone ? caption(image) : status === "failed" ? "This picture failed" : "In work";
    find("detail-caption").textContent = text;
    find("detail-caption").className = isDone && data.metadata.caption ? "" : "none";
    find("detail-source").textContent = source(image);
    const odd = isDone ? warning(image) : "";
    find("detail-warning").hidden = !odd;
    find("detail-warning").textContent = odd;
    const state = find("detail-state");
    state.hidden = isDone;
    state.textContent = status === "failed" ? failure(image) : `${progress(this.#list.ended(data.image_id))} …`;
    state.dataset.state = status;
    this.#drawPicture(image);

    find("detail-change").hidden = !isDone || !this.#can.has("patch", ONE);
    find("detail-edit-reset").hidden = data.caption_info?.source !== "human";
    find("detail-again").hidden = status === "processing" || !this.#can.has("post", `${ONE}/reprocess`);
    find("detail-delete").hidden = !this.#can.has("delete", ONE);
    const name = data.original_name.replace(/\.[^.]*$/, "") || "picture";
    const download = find("detail-download");
    download.hidden = !isDone;
    download.href = address(`api/images/${data.image_id}/thumbnails/medium`);
    download.download = `${name}.jpg`;
    const record = find("detail-record");
    record.href = address(`api/images/${data.image_id}`);
    record.download = `${name}.json`;
    find("detail-facts").replaceChildren(...facts(image));
  }

  /** Where the picture is in the list; -1 if it is not. */
  get #at() {
    return this.#list.items.findIndex((item) => item.data.image_id === this.#id);
  }

  #drawSteps() {
    const at = this.#at;
    find("detail-previous").disabled = at <= 0;
    find("detail-next").disabled = at < 0 || at >= this.#list.total - 1;
  }

  #drawPicture({ status, data }) {
    const picture = find("detail-picture");
    const blur = find("detail-blur");
    const { width, height, thumbhash, orientation = 1 } = data.metadata;
    if (thumbhash) {
      drawThumbHash(blur, thumbhash);
    } else {
      Object.assign(blur, { width: 1, height: 1 });
    }
    const shape = orientation > 4 ? [height, width] : [width, height];
    find("detail").querySelector(".stage").style.setProperty("--ratio", width ? `${shape[0] / shape[1]}` : "1.33");
    picture.alt = data.metadata.caption ?? data.original_name;
    const wanted = status === "success" ? data.image_id : "";
    if (wanted !== this.#shownPicture) {
      this.#shownPicture = wanted;
      this.#giveUp();
      picture.hidden = !wanted;
      this.#giveUp = wanted ? show(picture, `api/images/${wanted}/thumbnails/medium`) : () => {};
    }
  }

  async #step(step) {
    if (this.#at < 0) {
      return;
    }
    const at = this.#at + step;
    await this.#list.need(at);
    const next = this.#list.items[at];
    if (next) {
      this.open(next.data.image_id);
      this.#tell(caption(next) || "In work");
    }
  }

  #edit(isOpen) {
    find("detail-edit").hidden = !isOpen;
    find("detail-caption").hidden = isOpen;
    if (isOpen) {
      find("detail-text").value = this.#image?.data.metadata.caption ?? "";
      find("detail-text").focus();
    }
  }

  #confirm(isOpen) {
    const was = !find("detail-confirm").hidden;
    find("detail-confirm").hidden = !isOpen;
    if (isOpen) {
      find("detail-no").focus();
    } else if (was) {
      find("detail-delete").focus();
    }
  }

  async #act(work) {
    this.#problem("");
    try {
      await work(`api/images/${this.#id}`);
    } catch (problem) {
      this.#problem(problem.message);
    }
  }

  #write(text) {
    return this.#act(async (path) => {
      await this.#answer(send("PATCH", path, { caption: text }).then((response) => response.json()));
      this.#edit(false);
      this.#grid.drawOne(this.#id);
      this.#tell("The caption is saved.");
      find("detail-caption").focus();
    });
  }

  #again() {
    return this.#act(async (path) => {
      await this.#answer(json(`${path}/reprocess`, { method: "POST" }));
      this.#grid.drawOne(this.#id);
      this.#tell("The picture is worked on again.");
    });
  }

  #delete() {
    return this.#act(async (path) => {
      const id = this.#id;
      await call(path, { method: "DELETE" });
      this.#list.remove(id);
      this.#dialog.close();
      this.#tell("The picture is deleted.");
    });
  }

  /** A link carries no key, so what it leads to is fetched then. */
  async #save(event) {
    const link = event.currentTarget;
    if (!hasKey()) {
      return;
    }
    event.preventDefault();
    const { href, download } = link;
    await this.#act(async () => {
      const blob = await (await call(href)).blob();
      const url = URL.createObjectURL(blob);
      Object.assign(document.createElement("a"), { href: url, download }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    });
  }

  #problem(text) {
    find("detail-problem").hidden = !text;
    find("detail-problem").textContent = text;
  }

  #closed() {
    this.#giveUp();
    this.#shownPicture = "";
    history.replaceState(null, "", location.pathname + location.search);
    this.#grid.focusOn(this.#id);
  }
}

function facts(image) {
  const { data } = image;
  const { metadata, stages, caption_info: info } = data;
  const { exif = {} } = metadata;
  const camera = [exif.make, exif.model].filter(Boolean).join(" ");
  const light = [
    exif.exposure_seconds && exposure(exif.exposure_seconds),
    exif.f_number && `f/${exif.f_number}`,
    exif.iso && `ISO ${exif.iso}`,
    exif.focal_length_mm && `${exif.focal_length_mm} mm`,
  ];
  const size = metadata.width && `${number(metadata.width)} × ${number(metadata.height)}`;
  return [
    section("File", [
      ["Name", data.original_name],
      ["Size", metadata.size_bytes && bytes(metadata.size_bytes)],
      ["Pixels", size],
      ["Format", { jpg: "JPEG", png: "PNG" }[metadata.format]],
      ["Uploaded", data.uploaded_at && when(data.uploaded_at)],
      ["Processed", data.processed_at && when(data.processed_at)],
    ]),
    section("Caption", [
      ["Score", typeof info?.score === "number" && score(info.score)],
      ["Written", info && when(info.created_at)],
    ]),
    section("Camera", [
      ["Camera", camera],
      ["Lens", exif.lens],
      ["Exposure", light.filter(Boolean).join(" · ")],
      ["Taken", exif.taken_at && when(exif.taken_at)],
      ["Place", exif.gps && `${exif.gps.latitude.toFixed(5)}, ${exif.gps.longitude.toFixed(5)}`],
    ]),
    section("Stages", Object.entries(stages ?? {}).map(([name, is]) => [stage(name), stageState(is)])),
    section("Identity", [
      ["Id", data.image_id],
      ["SHA-256", metadata.sha256],
      ["Perceptual hash", metadata.perceptual_hash],
    ]),
  ].filter(Boolean);
}

function section(title, rows) {
  const known = rows.filter(([, value]) => value);
  if (!known.length) {
    return null;
  }
  const part = document.createElement("section");
  const heading = Object.assign(document.createElement("h3"), { textContent: title });
  const list = document.createElement("dl");
  for (const [name, value] of known) {
    list.append(
      Object.assign(document.createElement("dt"), { textContent: name }),
      Object.assign(document.createElement("dd"), { textContent: value }),
    );
  }
  part.append(heading, list);
  return part;
}
