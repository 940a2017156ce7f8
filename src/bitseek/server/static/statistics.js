// Statistics: how much there is, of which labels, and how even the bits are.

import { statistics } from "./api.js";
import { figure } from "./charts.js";
import { bytes, count, h, isolated, svg } from "./dom.js";
import { link } from "./route.js";

export const title = "Statistics";

const LABELS = 40;

export async function show(place) {
  const known = await statistics();
  const labels = Object.entries(known.labels).sort(([, a], [, b]) => b - a);
  const disk = Object.values(known.bytes).reduce((sum, size) => sum + size, 0);
  place.append(
    h("h1", {}, "Statistics"),
    h("dl", { class: "figures" },
      figureOf("Images", count(known.items)), figureOf("Labels", count(labels.length)), figureOf("Bits", count(known.bits)),
      figureOf("On disk", bytes(disk)), figureOf("Unreadable files", count(known.ignored)), figureOf("Updates", count(known.generation))),
    h("p", { class: "fingerprint" }, "Model ", h("code", {}, known.fingerprint)),
    balance(known.bit_balance ?? []),
    labelTable(labels),
    h("section", {}, h("h2", {}, "On disk"), table(["Part", "Size"], Object.entries(known.bytes).map(([name, size]) => [name, bytes(size)]))),
  );
}

const figureOf = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

/** A table whose first column is text and whose others are numbers. */
function table(head, rows) {
  return h("table", {}, h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map(([first, ...others]) => h("tr", {}, h("th", { scope: "row" }, first), others.map((value) => h("td", {}, value))))));
}

function labelTable(labels) {
  if (!labels.length) return h("section", {}, h("h2", {}, "Labels"), h("p", {}, "No image has a label."));
  const most = labels[0][1];
  const row = ([name, number]) => {
    const bar = svg("svg", { class: "bar", viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: (100 * number) / most, height: 1 }));
    return [h("a", { href: link("browse", "", { label: name }) }, isolated(name)), count(number), bar];
  };
  const rest = labels.length - LABELS;
  return h("section", {}, h("h2", {}, "Labels"), h("div", { class: "labels" }, table(["Label", "Images", h("span", { class: "hidden" }, "Against the most frequent")], labels.slice(0, LABELS).map(row))),
    rest > 0 ? h("p", {}, `and ${count(rest)} more`) : null);
}

function balance(shares) {
  if (!shares.length) return null;
  const off = shares.map((share) => Math.abs(share - 0.5));
  const worst = off.indexOf(Math.max(...off));
  const percent = (share) => `${Math.round(100 * share)} %`;
  return figure("Share of ones, bit by bit",
    `A bit that is 1 for half of the images tells most. The least even is bit ${worst}: ${percent(shares[worst])}.`,
    shares.map((share, bit) => ({ height: share, title: `bit ${bit}: ${percent(share)}` })), { line: 0.5, names: ["bit 0", `bit ${shares.length - 1}`], scale: ["100 %", "0"] });
}
