// Search: by an image from outside, by an item, or by a code. The radius slider filters what was fetched already.

import { get, statistics, upload } from "./api.js";
import { strip } from "./bits.js";
import { choice, empty, field, labelFilter, problem, slider, waiting } from "./controls.js";
import { announce, count, counted, h, isolated, svg } from "./dom.js";
import { card, described, facts, picture, walk } from "./items.js";
import { link, number, rename } from "./route.js";

export const title = "Search";

const SHOWN = [24, 48, 96, 240, 480, 1000];
const MOST = SHOWN.at(-1);
const AHEAD = 240; // hits fetched at least, so that the slider and "Show more" have something at hand

const uploads = new Map(); // by code: what the reader gave, as long as the page stays open

export async function show(place, route, signal) {
  if (route.view === "search") await start(place, signal);
  else await results(place, route, signal);
}

/** Search with a file, wherever the reader is. */
export async function withFile(file) {
  if (!file) return;
  const place = document.getElementById("view");
  place.querySelector(".asked")?.remove();
  const note = h("div", { class: "asked" }, waiting("Searching …"));
  place.prepend(note);
  scrollTo(0, 0);
  try {
    const [found, preview] = await Promise.all([upload(file, { k: AHEAD }), drawn(file)]);
    uploads.set(found.code, { found, preview, name: file.name });
    const target = link("code", found.code);
    if (location.hash === target) dispatchEvent(new HashChangeEvent("hashchange"));
    else location.hash = target;
  } catch (error) {
    note.replaceChildren(problem(error));
  }
}

/** A small canvas with the picture; null if this browser cannot read it. */
async function drawn(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const shrink = Math.min(1, 320 / Math.max(bitmap.width, bitmap.height));
    const canvas = h("canvas", { width: Math.max(1, Math.round(bitmap.width * shrink)), height: Math.max(1, Math.round(bitmap.height * shrink)) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return canvas;
  } catch {
    return null;
  }
}

function chooser(text) {
  const input = h("input", { type: "file", accept: "image/*", class: "hidden", onchange: () => { withFile(input.files[0]); input.value = ""; } });
  return h("label", { class: "chooser" }, input, h("span", { class: "button" }, text));
}

async function start(place, signal) {
  const few = h("ul", { class: "grid" });
  const examples = h("section", { hidden: true }, h("h2", {}, "Or begin with one of these"), walk(few));
  place.append(
    h("div", { class: "welcome" },
      h("h1", {}, "Find similar images"),
      h("div", { class: "dropzone" },
        svg("svg", { viewBox: "0 0 48 48", "aria-hidden": "true" }, svg("path", { d: "M6 10h36v28H6zM6 32l10-10 8 8 6-6 12 12M32 19a3 3 0 1 0 .01 0" })),
        h("p", {}, "Drop an image here, or paste one"), chooser("Choose an image")),
    ), examples);
  const { items } = await statistics();
  if (!items) {
    place.append(empty("The collection has no images yet. Add some with ", h("code", {}, "bitseek index"), "; this page sees them at once."));
    return;
  }
  const wanted = 18;
  const first = Math.floor(Math.random() * Math.max(1, items - wanted + 1));
  const listing = await get("items", { start: first, limit: wanted }, signal);
  few.append(...listing.items.map((item) => card(item)));
  examples.hidden = false;
}

async function results(place, route, signal) {
  const { view, argument } = route;
  const byItem = view === "item";
  const state = {
    k: number(route.values.k, SHOWN[1], 1),
    radius: number(route.values.radius, null),
    label: route.values.label ?? "",
    found: null,
    asked: 0,
  };
  const asked = h("section", { class: "query", "aria-label": "What was searched for" });
  const grid = walk(h("ul", { class: "grid hits" }));
  const status = h("p", { class: "status" });
  const more = h("button", { type: "button", class: "button", hidden: true, onclick: showMore }, "Show more");
  const chart = svg("svg", { class: "spark", preserveAspectRatio: "none", "aria-hidden": "true" });
  const radius = slider("Within distance", { most: 1, value: 1 }, (value) => { state.radius = value; filter(); }, save);
  const number_ = field("Show at most", choice(SHOWN.map((n) => [n, count(n)]), SHOWN.find((n) => n >= state.k) ?? MOST, (value) => { state.k = Number(value); save(); guarded(refresh()); }));
  state.k = Number(number_.querySelector("select").value);
  radius.element.prepend(chart);
  const controls = h("form", { class: "controls", "aria-label": "Which hits are shown", onsubmit: (event) => event.preventDefault() }, radius.element, number_);
  place.append(
    h("h1", { class: "hidden" }, byItem ? "Similar images" : "Search results"),
    h("div", { class: "columns" }, h("div", { class: "side" }, asked, controls, chooser("Search with another image")), h("div", { class: "found" }, status, grid, more)),
  );

  const given = byItem ? null : uploads.get(argument);
  const [item, labels] = await Promise.all([byItem ? get(`items/${encodeURIComponent(argument)}`, {}, signal) : null, labelFilter(state.label, (value) => { state.label = value; save(); guarded(refresh(true)); })]);
  if (labels) controls.append(labels);
  if (item) document.title = `Similar to ${item.name} – bitseek`;
  if (item) asked.append(picture(item, { class: "asked-for", loading: "eager" }), described(facts(item)));
  else if (given) asked.append(given.preview ?? h("p", { class: "noview" }, "This browser cannot show the image."), described([["Image", isolated(given.name || "pasted")]]));
  else asked.append(h("p", {}, "Nearest to this code:"));
  if (given && !state.label) { state.found = given.found; state.asked = AHEAD; }
  await refresh();
  const code = h("div", { class: "code" }, strip(state.found.code, state.found.bits), h("code", {}, state.found.code));
  code.firstChild.setAttribute("height", 16);
  asked.append(code);

  /** Fetch what is not there yet, and show it. */
  async function refresh(afresh = false) {
    const least = Math.max(AHEAD, state.k);
    const seen = state.found?.hits.at(-1)?.distance ?? -1;
    const uncovered = state.radius !== null && state.asked === state.found?.hits.length && state.radius > seen;
    const wanted = uncovered && state.asked ? Math.min(MOST, Math.max(least, 2 * state.asked)) : least;
    if (afresh || !state.found || state.asked < wanted && state.asked === state.found.hits.length) {
      grid.setAttribute("aria-busy", "true");
      try {
        const values = { k: wanted, label: state.label };
        state.found = await (byItem ? get(`items/${encodeURIComponent(argument)}/similar`, values, signal) : get("search", { code: argument, ...values }, signal));
        state.asked = wanted;
      } finally {
        grid.removeAttribute("aria-busy");
      }
      grid.replaceChildren();
    }
    draw();
  }

  function draw() {
    const { hits } = state.found;
    const far = hits.at(-1)?.distance ?? 0;
    const end = Math.max(far, Math.min(8, state.found.bits));
    radius.set(Math.min(state.radius ?? end, end), end);
    bars(chart, hits, end);
    for (const { item: each, distance } of hits.slice(grid.children.length, Math.max(grid.children.length, state.k))) grid.append(card(each, state.found, distance));
    filter();
  }

  /** Hits come by distance, so those within the radius are the first. */
  function filter() {
    const { hits } = state.found;
    const end = Number(radius.control.max);
    const bound = Math.min(state.radius ?? end, end);
    const within = lower(hits, bound);
    const visible = Math.min(within, state.k, grid.children.length);
    [...grid.children].forEach((each, rank) => { each.hidden = rank >= visible; });
    chart.querySelectorAll("rect").forEach((bar, distance) => bar.classList.toggle("out", distance > bound));
    const all = hits.length === state.asked; // there may be more than were fetched
    more.hidden = !(within > visible || (within === hits.length && all && visible < MOST && visible === hits.length));
    const open = within === hits.length && all;
    let text;
    if (open) text = visible ? `The ${count(visible)} nearest images` : "No images";
    else text = within ? `${count(visible)} of ${counted(within, "image")} within distance ${count(bound)}` : `No image within distance ${count(bound)}`;
    if (state.label) text += `, label ${state.label}`;
    status.textContent = text;
    announce(text);
    if (all && state.radius > (hits.at(-1)?.distance ?? 0) && state.asked < MOST) guarded(refresh());
  }

  function showMore() {
    const before = grid.querySelectorAll("li:not([hidden])").length;
    state.k = SHOWN.find((n) => n > state.k) ?? MOST;
    number_.querySelector("select").value = String(state.k);
    save();
    guarded(refresh().then(() => grid.querySelectorAll("li:not([hidden]) > a")[before]?.focus()));
  }

  function save() {
    const end = Number(radius.control.max);
    if (state.radius !== null && state.radius >= end) state.radius = null;
    rename(view, argument, { radius: state.radius, k: state.k === SHOWN[1] ? null : state.k, label: state.label });
  }

  function guarded(promise) {
    promise.catch((error) => { if (!signal.aborted) status.replaceChildren(problem(error)); });
  }
}

/** How many hits are within a distance; they ascend. */
function lower(hits, bound) {
  let low = 0;
  let high = hits.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (hits[middle].distance <= bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many hits there are at each distance, over the slider. */
function bars(chart, hits, end) {
  const heights = new Array(end + 1).fill(0);
  for (const { distance } of hits) heights[distance] += 1;
  const top = Math.max(1, ...heights);
  chart.setAttribute("viewBox", `0 0 ${end + 1} 1`);
  chart.replaceChildren(...heights.map((height, distance) => svg("rect", { x: distance + 0.1, width: 0.8, y: 1 - height / top, height: height / top })));
}
