// What things are called on the page.

const BYTES = ["bytes", "kB", "MB", "GB"];

export function bytes(count) {
  let unit = 0;
  while (count >= 1000 && unit < BYTES.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)} ${BYTES[unit]}`;
}

export function milliseconds(count) {
  if (count < 10) {
    return `${count.toFixed(1)} ms`;
  }
  if (count < 1000) {
    return `${Math.round(count)} ms`;
  }
  return count < 60_000 ? `${(count / 1000).toFixed(1)} s` : `${Math.round(count / 60_000)} min`;
}

const whole = new Intl.NumberFormat("en");

export function number(count) {
  return whole.format(count);
}

/** A number of things: `1 picture`, `2 pictures`. */
export function many(count, thing) {
  return `${number(count)} ${thing}${count === 1 ? "" : "s"}`;
}

const moment = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

export function when(time) {
  const date = new Date(time);
  return Number.isNaN(date.valueOf()) ? String(time) : moment.format(date);
}

/** An exposure as photographers write it. */
export function exposure(seconds) {
  return seconds > 0 && seconds < 0.4 ? `1/${Math.round(1 / seconds)} s` : `${seconds} s`;
}

const STAGES = {
  metadata: "Metadata",
  thumbnails: "Thumbnails",
  caption: "Caption",
};

export function stage(name) {
  return STAGES[name] ?? name;
}

/** What goes on with a picture in work, by the last stage that has ended. */
export function progress(ended) {
  switch (ended) {
    case undefined:
      return "Waiting";
    case "thumbnails":
      return "Writing a caption";
    case "caption":
      return "Finishing";
    default:
      return "Reading";
  }
}

/** By the codes of the server. */
export const FAILURES = {
  "unknown-format": "This file is neither a JPEG nor a PNG picture.",
  "decode-failed": "The file is damaged: it cannot be read to its end.",
  "deadline-exceeded": "The work on this picture took too long.",
  "too-many-pixels": "This picture has too many pixels.",
  "worker-hung": "The work on this picture came to no end.",
  "interrupted": "The work on this picture was interrupted again and again.",
};

/** Why a picture failed, in a sentence. */
export function failure(image) {
  return FAILURES[image.error_code] ?? sentence(image.error || "it could not be processed");
}

/** Error messages are clauses; a person reads sentences. */
export function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

/** The caption of a picture, or what stands in its place. */
export function caption(image) {
  const { metadata } = image.data;
  switch (image.status) {
    case "success":
      return metadata.caption ?? "No caption";
    case "failed":
      return failure(image);
    default:
      return "";
  }
}

export const WARNINGS = {
  "empty": "The model found nothing to say about this picture.",
  "repetition": "This caption goes round in circles: it says the same words over and over.",
};

/** What is odd about the caption of a picture, in a sentence, if anything is. */
export function warning({ data }) {
  const code = data.caption_info?.warning;
  return code ? WARNINGS[code] ?? "Something is odd about this caption." : "";
}

/** How sure a model is of its caption: the mean logarithm of the probabilities of its words. */
export function score(value) {
  return `${value.toFixed(2).replace("-", "−")} (0 is certain)`;
}

/** Who wrote the caption. */
export function source({ status, data }) {
  const info = data.caption_info;
  const { caption: text, caption_model: model, caption_error: error } = data.metadata;
  if (status !== "success") {
    return data.original_name;
  }
  if (info?.source === "human") {
    return "Written by a person";
  }
  if (!text) {
    return error ? `No caption: ${error}` : "Captions are off";
  }
  return `Suggested by the model ${info?.model ?? model ?? ""}`.trim();
}

const STATES = { waiting: "waiting", running: "running", success: "done", failed: "failed", skipped: "skipped" };

/** How far a stage of a picture is. */
export function stageState({ state, duration_ms: took, attempts, error_code: code }) {
  const parts = [STATES[state] ?? state];
  if (took !== undefined && took !== null) {
    parts.push(milliseconds(took));
  }
  if (attempts > 1) {
    parts.push(`${attempts} attempts`);
  }
  if (code) {
    parts.push(code);
  }
  return parts.join(" · ");
}
