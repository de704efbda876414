// Small charts in SVG.

const SVG = "http://www.w3.org/2000/svg";

function draw(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) {
    element.setAttribute(attribute, value);
  }
  element.append(...children);
  return element;
}

/** A figure with a title; `summary` says in words what the chart shows. */
export function figure(title, summary, chart) {
  const element = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const heading = Object.assign(document.createElement("strong"), { textContent: title });
  caption.append(heading, ` ${summary}`);
  element.append(caption, chart);
  return element;
}

/** Columns over time, from `{label, parts: [number, …]}`; the parts stand on each other. */
export function columns(data, kinds) {
  const [width, height, gap] = [600, 130, 2];
  const most = Math.max(1, ...data.map(({ parts }) => parts.reduce((sum, part) => sum + part, 0)));
  const step = width / data.length;
  const bars = data.map(({ label, parts }, index) => {
    let y = height;
    const group = draw("g", {}, draw("title", {}, `${label}: ${parts.join(" + ")}`));
    group.append(draw("rect", { class: "ground", x: index * step, y: 0, width: step - gap, height }));
    parts.forEach((part, kind) => {
      const tall = (part / most) * (height - 14);
      y -= tall;
      if (part) {
        group.append(draw("rect", { class: kinds[kind], x: index * step, y, width: step - gap, height: tall, rx: 1.5 }));
      }
    });
    return group;
  });
  const line = draw("path", { class: "axis", d: `M0 ${height + 0.5}H${width}` });
  const labels = [
    draw("text", { x: 0, y: height + 16 }, data[0]?.label ?? ""),
    draw("text", { x: width, y: height + 16, "text-anchor": "end" }, data.at(-1)?.label ?? ""),
    draw("text", { x: width, y: 11, "text-anchor": "end" }, `${most} a minute at most`),
  ];
  const summary = { class: "columns", viewBox: `0 0 ${width} ${height + 20}`, role: "img", "aria-label": "Columns over time" };
  return draw("svg", summary, line, ...bars, ...labels);
}

/** Bars side by side, from `{label, value, text}`. */
export function bars(data) {
  const [width, row, start] = [600, 30, 110];
  const most = Math.max(...data.map(({ value }) => value), Number.MIN_VALUE);
  const rows = data.map(({ label, value, text }, index) => {
    const y = index * row;
    const long = Math.max(2, (value / most) * (width - start - 90));
    return draw(
      "g",
      {},
      draw("text", { x: 0, y: y + 19 }, label),
      draw("rect", { class: "done", x: start, y: y + 6, width: long, height: 18, rx: 3 }),
      draw("text", { x: start + long + 8, y: y + 19 }, text),
    );
  });
  const label = data.map((bar) => `${bar.label} ${bar.text}`).join(", ");
  return draw("svg", { class: "bars", viewBox: `0 0 ${width} ${data.length * row}`, role: "img", "aria-label": label }, ...rows);
}
