// Browse: all items, a page at a time.

import { get } from "./api.js";
import { empty, labelFilter } from "./controls.js";
import { counted, count, h } from "./dom.js";
import { card, walk } from "./items.js";
import { link, number } from "./route.js";

export const title = "Browse";

const PAGE = 60;

export async function show(place, { values }, signal) {
  const label = values.label ?? "";
  const page = number(values.page, 1, 1);
  const [{ total, items }, filter] = await Promise.all([
    get("items", { label, start: (page - 1) * PAGE, limit: PAGE }, signal),
    labelFilter(label, (chosen) => { location.hash = link("browse", "", { label: chosen }); }),
  ]);
  const pages = Math.max(1, Math.ceil(total / PAGE));
  place.append(h("div", { class: "head" }, h("h1", {}, "All images"), h("p", { class: "status" }, counted(total, "image"), label ? " with this label" : ""), filter));
  if (!total) {
    place.append(label ? empty("No image has this label.") : empty("The collection has no images yet. Add some with ", h("code", {}, "bitseek index"), "."));
    return;
  }
  if (!items.length) place.append(empty("There is no such page; ", h("a", { href: link("browse", "", { label, page: pages }) }, "the last one"), ` is ${count(pages)}.`));
  place.append(walk(h("ul", { class: "grid" }, items.map((item) => card(item)))));
  if (pages > 1) place.append(pager(page, pages, (target) => link("browse", "", { label, page: target === 1 ? null : target })));
}

function pager(page, pages, to) {
  const step = (text, target, sign) => (target < 1 || target > pages || target === page
    ? h("span", { class: "button off", "aria-hidden": "true" }, sign)
    : h("a", { class: "button", href: to(target), "aria-label": text }, sign));
  const jump = h("input", { type: "number", min: 1, max: pages, value: page, "aria-label": "Go to page", onchange: () => {
    location.hash = to(Math.min(pages, Math.max(1, Math.round(jump.valueAsNumber) || page)));
  } });
  return h("nav", { class: "pager", "aria-label": "Pages" },
    step("First page", 1, "«"), step("Previous page", page - 1, "‹"),
    h("span", {}, "Page ", jump, ` of ${count(pages)}`),
    step("Next page", page + 1, "›"), step("Last page", pages, "»"));
}
