// Duplicates: groups of images that are the same or nearly so, side by side.

import { get } from "./api.js";
import { figure } from "./charts.js";
import { choice, empty, field, problem, slider, waiting } from "./controls.js";
import { download, groupsAsCsv } from "./csv.js";
import { announce, count, counted, h, isolated } from "./dom.js";
import { extent, picture } from "./items.js";
import { link, number, rename } from "./route.js";

export const title = "Duplicates";

const DRAWN = 30; // groups drawn at once
const PAGE = 500; // groups fetched at once
const MOST = 5000; // groups fetched in all

export async function show(place, { values }, signal) {
  const state = { radius: number(values.radius, 0), linkage: values.linkage === "complete" ? "complete" : "connected", kind: values.kind ?? "" };
  const status = h("p", { class: "status" });
  const list = h("div", { class: "groups" });
  const charts = h("div", { class: "charts" });
  const save = h("button", { type: "button", class: "button", disabled: true }, "Download as CSV");
  place.append(h("div", { class: "head" }, h("h1", {}, "Duplicates"), status));
  const wait = waiting("Comparing all images …");
  place.append(wait);
  const note = h("p", { class: "note" });
  let groups = []; // those of the chosen kind
  let going = null;
  let found = await ask();
  wait.remove();

  const radius = slider("Within distance", { most: Math.max(1, found.radius_max), value: found.radius }, (value) => { state.radius = value; again(); });
  place.append(
    h("form", { class: "controls", "aria-label": "How groups are made", onsubmit: (event) => event.preventDefault() },
      radius.element,
      field("Linkage", choice([["connected", "connected: near to one of the group"], ["complete", "complete: near to all of the group"]], state.linkage, (value) => { state.linkage = value; again(); })),
      field("Show", choice([["", "all groups"], ["exact", "exact copies"], ["near", "near duplicates"]], state.kind, (value) => { state.kind = value; draw(); })),
      save),
    charts, list, note);
  save.addEventListener("click", () => download(`duplicates-${found.radius}-${found.linkage}.csv`, groupsAsCsv(groups)));
  draw();

  /** All groups, a page at a time. A newer question ends an older one. */
  async function ask() {
    going?.abort();
    going = new AbortController();
    const ended = AbortSignal.any([signal, going.signal]);
    const page = (start) => get("duplicates", { radius: state.radius, linkage: state.linkage, start, limit: PAGE }, ended);
    const all = await page(0);
    while (all.groups.length < Math.min(all.total, MOST)) {
      const { groups: more } = await page(all.groups.length);
      if (!more.length) break;
      all.groups.push(...more);
    }
    return all;
  }

  async function again() {
    list.setAttribute("aria-busy", "true");
    try {
      found = await ask();
      draw();
      list.removeAttribute("aria-busy");
    } catch (error) {
      if (error.name !== "AbortError") list.replaceChildren(problem(error));
    }
  }

  function draw() {
    rename("duplicates", "", { radius: state.radius || null, linkage: state.linkage === "connected" ? null : state.linkage, kind: state.kind });
    groups = found.groups.filter(({ exact }) => !state.kind || (state.kind === "exact") === exact);
    save.disabled = !groups.length;
    const images = groups.reduce((sum, { size }) => sum + size, 0);
    const text = groups.length ? `${counted(groups.length, "group")} with ${counted(images, "image")} within distance ${count(found.radius)}` : `No groups within distance ${count(found.radius)}`;
    status.textContent = text;
    announce(text);
    charts.replaceChildren(...drawings(found, groups));
    list.replaceChildren();
    const cut = [];
    if (found.total > found.groups.length) cut.push(`These are the ${count(found.groups.length)} largest of ${count(found.total)} groups.`);
    if (groups.some(({ size, items }) => size > items.length)) cut.push("Of a large group only the first images are listed, here and in the table.");
    if (cut.length) cut.push("bitseek dedup lists all.");
    note.textContent = cut.join(" ");
    if (!groups.length) list.append(empty(found.groups.length ? "No group is of this kind." : "No images are so near to each other. A larger distance finds more."));
    extend();
  }

  function extend() {
    const shown = list.querySelectorAll(".group").length;
    list.querySelector(".more")?.remove();
    list.append(...groups.slice(shown, shown + DRAWN).map((group, rank) => drawn(group, shown + rank + 1, found.linkage)));
    const left = groups.length - shown - DRAWN;
    if (left > 0) list.append(h("button", { type: "button", class: "button more", onclick: () => { extend(); list.querySelectorAll(".group a")[shown]?.focus(); } }, `Show more (${count(left)} left)`));
  }
}

function drawn({ exact, distance, size, items }, number_, linkage) {
  const bits = counted(distance, "bit");
  const near = linkage === "complete" ? `up to ${bits} apart` : `each within ${bits} of another`;
  const apart = exact ? "exact copies" : distance ? near : "equal codes";
  return h("section", { class: "group", "aria-labelledby": `group-${number_}` },
    h("h2", { id: `group-${number_}` }, h("span", { class: "rank" }, `Group ${count(number_)}: `), `${counted(size, "image")}, `, h("span", { class: exact ? "tag exact" : "tag" }, apart)),
    h("ul", { class: "row" }, items.map((item) => h("li", { class: "card" },
      h("a", { href: link("item", item.id) }, h("span", { class: "frame whole" }, picture(item)), h("span", { class: "name", title: item.name }, isolated(item.name))),
      h("span", { class: "size" }, extent(item)))),
      size > items.length ? h("li", { class: "rest" }, `and ${count(size - items.length)} more`) : null));
}

/** How many pairs there are at each distance, and how many groups of each size. */
function drawings(found, groups) {
  const most = Math.max(1, ...found.histogram);
  const pairs = found.histogram.map((number_, distance) => ({ height: number_ / most, title: `distance ${distance}: ${counted(number_, "pair")}`, kind: distance > found.radius ? "out" : "" }));
  const sizes = new Map();
  for (const { size } of groups) sizes.set(size, (sizes.get(size) ?? 0) + 1);
  const ordered = [...sizes].sort(([a], [b]) => a - b);
  const top = Math.max(1, ...sizes.values());
  const shown = [figure("Pairs by distance", `${counted(found.histogram.slice(0, found.radius + 1).reduce((sum, n) => sum + n, 0), "pair")} within ${count(found.radius)}`, pairs, { names: ["0", count(found.radius_max)], scale: [count(most), "0"] })];
  if (ordered.length) {
    shown.push(figure("Groups by size", `the largest has ${counted(ordered.at(-1)[0], "image")}`, ordered.map(([size, number_]) => ({ height: number_ / top, title: `${counted(size, "image")}: ${counted(number_, "group")}` })), { names: [count(ordered[0][0]), ordered.length > 1 ? count(ordered.at(-1)[0]) : ""], scale: [count(top), "0"] }));
  }
  return shown;
}
