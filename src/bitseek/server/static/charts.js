// Bars, drawn as SVG, with their numbers as text for those who do not see them.

import { h, svg } from "./dom.js";

/** A chart: bars are {height: 0…1, title}; `names` stand under its ends, `scale` at its top and bottom. */
export function figure(caption, text, bars, { line = null, names = [], scale = [] } = {}) {
  const drawing = svg("svg", { viewBox: `0 0 ${bars.length} 1`, preserveAspectRatio: "none", role: "img", "aria-label": `${caption}: ${bars.map(({ title }) => title).join("; ")}` });
  const gap = bars.length > 200 ? 0 : 0.08;
  bars.forEach(({ height, title, kind = "" }, place) => drawing.append(
    svg("g", {}, svg("title", {}, title), svg("rect", { class: "hit", x: place, width: 1, height: 1 }),
      svg("rect", { class: kind, x: place + gap, width: 1 - 2 * gap, y: 1 - height, height }))));
  if (line !== null) drawing.append(svg("path", { class: "line", d: `M0 ${1 - line}H${bars.length}`, "vector-effect": "non-scaling-stroke" }));
  return h("figure", { class: "chart" }, h("figcaption", {}, h("strong", {}, caption), " ", h("span", {}, text)),
    h("div", { class: "plot" }, h("div", { class: "scale", "aria-hidden": "true" }, scale.map((word) => h("span", {}, word))), drawing),
    h("div", { class: "names", "aria-hidden": "true" }, names.map((word) => h("span", {}, word))));
}
