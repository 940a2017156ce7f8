// Items of the collection as cards in a grid.

import { original, thumbnail } from "./api.js";
import { strip } from "./bits.js";
import { bytes, count, h, isolated } from "./dom.js";
import { link } from "./route.js";

/** The picture of an item; what it shows is told by the text beside it. */
export function picture(item, attributes = {}) {
  const image = h("img", { src: thumbnail(item), alt: "", loading: "lazy", decoding: "async", draggable: "false", ...attributes });
  image.addEventListener("error", () => image.classList.add("absent"), { once: true });
  return image;
}

/** A card that leads to what is similar. With `query` ({code, bits}), distance and differing bits are on it. */
export function card(item, query = null, distance = null) {
  const lines = [h("span", { class: "name", title: item.name }, isolated(item.name))];
  if (query) {
    const odd = h("span", { class: "distance" }, h("b", {}, count(distance)), distance === 1 ? " bit" : " bits", h("span", { class: "hidden" }, " differ"));
    lines.unshift(h("span", { class: "measure" }, odd, strip(item.code, query.bits, query.code)));
  }
  if (item.label !== null) lines.push(h("span", { class: "label" }, isolated(item.label)));
  return h("li", { class: "card" }, h("a", { href: link("item", item.id) }, h("span", { class: "frame" }, picture(item)), ...lines));
}

/** What is known of an item: pairs for a description list. */
export function facts(item) {
  return [
    ["Name", isolated(item.name)],
    ["Folder", isolated(item.folder)],
    ["Label", item.label === null ? null : isolated(item.label)],
    ["Size", extent(item)],
    ["Changed", day(item.modified)],
    ["File", h("a", { href: original(item), target: "_blank", rel: "noopener" }, "Open the original")],
  ].filter(([, value]) => value !== null);
}

/** "640 × 480, 61 kB"; the pixels of an imported code are not known. */
export function extent({ width, height, size }) {
  return `${width && height ? `${count(width)} × ${count(height)}, ` : ""}${bytes(size)}`;
}

export const described = (pairs) => h("dl", { class: "facts" }, pairs.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));

export function day(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleDateString(undefined, { dateStyle: "medium" });
}

/** Arrow keys move between the links of a grid as they lie on the screen. */
export function walk(grid) {
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 0, ArrowUp: 0, Home: 0, End: 0 }[event.key];
    const links = [...grid.querySelectorAll("li:not([hidden]) > a")];
    const at = links.indexOf(document.activeElement);
    if (step === undefined || at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const top = links[0].getBoundingClientRect().top;
    const columns = Math.max(1, links.findIndex((other) => other.getBoundingClientRect().top > top + 4));
    const next = { ArrowDown: at + columns, ArrowUp: at - columns, Home: 0, End: links.length - 1 }[event.key] ?? at + step;
    if (links[next]) { links[next].focus(); event.preventDefault(); }
  });
  return grid;
}
