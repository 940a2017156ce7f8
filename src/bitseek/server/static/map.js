// The map: all items as points, near codes near each other. Pan, zoom, look, and choose one.

import { get, points, thumbnail, Problem } from "./api.js";
import { Camera } from "./camera.js";
import { Captions } from "./captions.js";
import { colour, css, UNLABELLED } from "./colours.js";
import { empty, waiting } from "./controls.js";
import { announce, count, counted, h, isolated, still } from "./dom.js";
import { Gallery } from "./gallery.js";
import { card, walk } from "./items.js";
import { Nearest } from "./nearest.js";
import { renderer } from "./points.js";
import { link, rename } from "./route.js";

export const title = "Map";

const REACH = 14; // pixels around the pointer in which a point is found
const LISTED = 8;
const LEGEND = 24;
const DIMMED = 26; // opacity, of 255, of points that were not chosen

export async function show(place, route, signal) {
  const wait = waiting("The map is being made …");
  place.append(h("h1", { class: "hidden" }, "Map of the collection"), wait);
  let state;
  let buffer = null;
  for (;;) {
    state = await get("map", {}, signal);
    if (state.ready) buffer = await points(state.version, signal);
    if (buffer) break; // otherwise it is not made yet, or was made anew between the two answers
    if (state.count === 0) { wait.replaceWith(empty("The collection has no images yet, so there is nothing to map.")); return; }
    await new Promise((resolve) => setTimeout(resolve, 2000));
    if (signal.aborted) return;
  }
  if (buffer.byteLength % 16) throw new Problem("The map came damaged; try again.", 0);
  wait.remove();
  if (!buffer.byteLength) place.append(empty("The collection has no images yet, so there is nothing to map."));
  else new MapView(place, buffer, state.labels, route.values, signal);
}

class MapView {
  constructor(place, buffer, labels, values, signal) {
    this.signal = signal;
    this.buffer = buffer;
    this.n = buffer.byteLength / 16;
    this.places = new Float32Array(buffer);
    this.numbers = new Int32Array(buffer);
    this.labels = labels;
    this.chosen = new Set();
    this.items = new Map(); // what is known of items, by id
    this.members = this.#byLabel();
    this.near = new Nearest((i) => this.places[4 * i], (i) => this.places[4 * i + 1], this.n);
    this.camera = new Camera(start(values));
    this.#build(place, values.renderer);
    this.#colour();
    this.#listen();
    new ResizeObserver(() => this.#resize()).observe(this.stage);
    this.#resize();
  }

  id = (point) => this.numbers[4 * point + 2];
  label = (point) => this.numbers[4 * point + 3];
  wanted = (point) => !this.chosen.size || this.chosen.has(this.label(point));

  #build(place, force) {
    const help = "Drag to move, scroll or pinch to zoom, click a point for similar images. With the keyboard: arrow keys move, plus and minus zoom, 0 shows all, Enter opens the image at the centre.";
    this.canvas = h("canvas", { tabindex: 0, role: "application", "aria-label": `Map of ${counted(this.n, "image")}`, "aria-describedby": "map-help" });
    this.layer = h("div", { class: "pictures", "aria-hidden": "true" });
    this.names = h("div", { class: "captions", "aria-hidden": "true" });
    this.tip = h("div", { class: "tip", "aria-hidden": "true", hidden: true });
    this.cross = h("div", { class: "cross", "aria-hidden": "true" });
    const button = (sign, text, act) => h("button", { type: "button", "aria-label": text, title: text, onclick: act }, sign);
    const buttons = h("div", { class: "zoom" },
      button("+", "Zoom in", () => { this.camera.zoom(1.7); this.#wake(); }),
      button("−", "Zoom out", () => { this.camera.zoom(1 / 1.7); this.#wake(); }),
      button("⤢", "Show all", () => this.#fit()));
    this.stage = h("div", { class: "stage" }, this.canvas, this.layer, this.names, this.cross, this.tip, buttons);
    this.list = walk(h("ul", { class: "grid small" }));
    this.status = h("p", { class: "status" });
    place.append(h("div", { class: "map" }, this.stage,
      h("div", { class: "side" }, this.#legend(),
        h("section", { "aria-labelledby": "near" }, h("h2", { id: "near" }, "Nearest to the centre"), this.list),
        h("p", { class: "help", id: "map-help" }, help), this.status)));
    this.drawer = renderer(this.canvas, this.buffer, force);
    if (!this.drawer) { // WebGL began and failed: a fresh canvas for the other way
      const fresh = this.canvas.cloneNode();
      this.canvas.replaceWith(fresh);
      this.canvas = fresh;
      this.drawer = renderer(fresh, this.buffer, "canvas");
    }
    this.stage.dataset.renderer = this.drawer.kind;
    this.status.textContent = `${counted(this.n, "point")}, drawn by ${this.drawer.kind}`;
    this.captions = new Captions(this.names, this.places, this.members, (label) => isolated(this.labels[label]));
    this.gallery = new Gallery(this.layer, this.near, this.places, (point) => thumbnail({ id: this.id(point) }));
  }

  /** The points of each label. */
  #byLabel() {
    const members = new Map();
    for (let point = 0; point < this.n; point += 1) {
      const label = this.label(point);
      if (typeof this.labels[label] !== "string") continue;
      if (!members.has(label)) members.set(label, []);
      members.get(label).push(point);
    }
    return members;
  }

  #legend() {
    if (!this.members.size) return null;
    const ordered = [...this.members].sort(([, a], [, b]) => b.length - a.length);
    const entries = ordered.slice(0, LEGEND).map(([label, { length }]) => {
      const dot = h("span", { class: "dot" });
      dot.style.backgroundColor = css(colour(label));
      const entry = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
        if (!this.chosen.delete(label)) this.chosen.add(label);
        entry.setAttribute("aria-pressed", String(this.chosen.has(label)));
        this.#colour();
        this.#wake();
      } }, dot, isolated(this.labels[label]), h("span", { class: "number" }, count(length)));
      return h("li", {}, entry);
    });
    const rest = ordered.length - LEGEND;
    return h("section", { "aria-labelledby": "labels" }, h("h2", { id: "labels" }, "Labels"), h("ul", { class: "legend" }, entries),
      rest > 0 ? h("p", {}, `and ${count(rest)} more`) : null);
  }

  /** Colours of all points; those whose label was not chosen are dim. */
  #colour() {
    const colours = new Uint8Array(4 * this.n);
    const table = this.labels.map((name, label) => (name === null ? UNLABELLED : colour(label)));
    for (let point = 0; point < this.n; point += 1) {
      colours.set(table[this.label(point)] ?? UNLABELLED, 4 * point);
      colours[4 * point + 3] = this.wanted(point) ? 215 : DIMMED;
    }
    this.drawer.colour(colours);
  }

  #resize() {
    const { width, height } = this.stage.getBoundingClientRect();
    if (!width || !height) return;
    this.ratio = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = Math.round(width * this.ratio);
    this.canvas.height = Math.round(height * this.ratio);
    Object.assign(this.camera, { width, height });
    this.#wake();
  }

  #fit() {
    Object.assign(this.camera.target, { x: 0.5, y: 0.5, zoom: 0.94 });
    this.#wake();
  }

  /** Draw the next frame, and further ones as long as the view moves. */
  #wake() {
    if (this.frame || this.signal.aborted) return;
    this.stage.removeAttribute("data-still");
    let before = performance.now();
    const draw = (now) => {
      this.frame = 0;
      if (this.signal.aborted) return;
      const moves = this.camera.step(Math.max(1, now - before), still());
      before = now;
      this.drawer.draw(this.camera, this.#size(), this.ratio);
      this.gallery.move(this.camera);
      this.captions.move(this.camera, (label) => !this.chosen.size || this.chosen.has(label));
      if (moves) this.frame = requestAnimationFrame(draw);
      clearTimeout(this.rest);
      this.rest = setTimeout(() => this.#settle(), 160);
    };
    this.frame = requestAnimationFrame(draw);
  }

  /** Diameter of a point in pixels: the more room there is, the larger. */
  #size() {
    const room = Math.sqrt((this.camera.width * this.camera.height) / this.n);
    return Math.max(1.6, Math.min(14, 0.62 * room * Math.max(1, this.camera.now.zoom) ** 0.5));
  }

  /** The view came to rest: pictures, the list for the keyboard, and the address. */
  async #settle() {
    if (this.signal.aborted) return;
    this.gallery.choose(this.camera, this.wanted);
    const { x, y, zoom } = this.camera.target;
    rename("map", "", zoom === 0.94 && x === 0.5 && y === 0.5 ? {} : { x: x.toFixed(4), y: y.toFixed(4), zoom: zoom.toFixed(2) });
    const nearest = this.near.find(x, y, LISTED, Infinity, this.wanted).map(({ point }) => this.id(point));
    const items = await Promise.all(nearest.map((id) => this.#item(id)));
    if (this.signal.aborted) return;
    if (!this.frame) this.stage.setAttribute("data-still", "");
    if (this.list.contains(document.activeElement)) return; // who is in the list keeps it
    this.list.replaceChildren(...items.filter(Boolean).map((item) => card(item)));
    if (document.activeElement === this.canvas && items[0]) announce(`At the centre: ${items[0].name}${items[0].label === null ? "" : `, ${items[0].label}`}`);
  }

  async #item(id) {
    if (!this.items.has(id)) this.items.set(id, get(`items/${id}`, {}, this.signal).catch(() => { this.items.delete(id); return null; }));
    return this.items.get(id);
  }

  #listen() {
    const { canvas, camera, signal } = this;
    const fingers = new Map();
    let travelled = 0;
    const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    const on = (name, act, options = {}) => canvas.addEventListener(name, act, { signal, ...options });

    on("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      if (!fingers.size) travelled = 0;
      fingers.set(event.pointerId, at(event));
    });
    on("pointermove", (event) => {
      const here = at(event);
      const before = fingers.get(event.pointerId);
      if (!before) { this.#hover(here); return; }
      const dx = here[0] - before[0];
      const dy = here[1] - before[1];
      if (fingers.size === 2) {
        const other = [...fingers].find(([finger]) => finger !== event.pointerId)[1];
        const apart = (place) => Math.max(20, Math.hypot(place[0] - other[0], place[1] - other[1]));
        camera.zoom(apart(here) / apart(before), (here[0] + other[0]) / 2, (here[1] + other[1]) / 2);
        Object.assign(camera.now, camera.target);
        camera.drag(dx / 2, dy / 2);
      } else camera.drag(dx, dy);
      fingers.set(event.pointerId, here);
      travelled += Math.abs(dx) + Math.abs(dy);
      if (travelled > 4) { this.#forget(); canvas.classList.add("dragged"); }
      this.#wake();
    });
    const lift = (event) => { fingers.delete(event.pointerId); canvas.classList.remove("dragged"); };
    on("pointerup", (event) => {
      const pressed = fingers.has(event.pointerId) && fingers.size === 1 && travelled <= 4;
      lift(event);
      const point = pressed ? this.#pick(at(event)) : null;
      if (point !== null) location.hash = link("item", this.id(point));
    });
    on("pointercancel", lift);
    on("pointerleave", () => this.#forget());
    on("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      camera.zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) * (event.ctrlKey ? 0.01 : 0.0022)), ...at(event));
      this.#forget();
      this.#wake();
    }, { passive: false });
    on("keydown", (event) => this.#key(event));
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault(), { signal });
    canvas.addEventListener("webglcontextrestored", () => { this.drawer = renderer(canvas, this.buffer, "webgl"); this.#colour(); this.#wake(); }, { signal });
    signal.addEventListener("abort", () => { cancelAnimationFrame(this.frame); clearTimeout(this.rest); }, { once: true });
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 240 : 70;
    const acts = {
      ArrowLeft: () => this.camera.pan(-step, 0), ArrowRight: () => this.camera.pan(step, 0),
      ArrowUp: () => this.camera.pan(0, -step), ArrowDown: () => this.camera.pan(0, step),
      "+": () => this.camera.zoom(1.4), "=": () => this.camera.zoom(1.4), "-": () => this.camera.zoom(1 / 1.4), 0: () => this.#fit(),
      Enter: () => {
        const [nearest] = this.near.find(this.camera.target.x, this.camera.target.y, 1, Infinity, this.wanted);
        if (nearest) location.hash = link("item", this.id(nearest.point));
      },
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
    this.#wake();
  }

  #pick([px, py]) {
    const [x, y] = this.camera.toUnit(px, py);
    const picture = this.gallery.at(px, py);
    if (picture !== null) return picture;
    const [nearest] = this.near.find(x, y, 1, Math.max(REACH, this.#size()) / this.camera.scale, this.wanted);
    return nearest ? nearest.point : null;
  }

  async #hover(here) {
    const point = this.#pick(here);
    this.canvas.classList.toggle("over", point !== null);
    if (point === this.hovered) return;
    this.hovered = point;
    if (point === null) { this.tip.hidden = true; return; }
    const item = await this.#item(this.id(point));
    if (!item || this.hovered !== point) return;
    const [x, y] = this.camera.toScreen(this.places[4 * point], this.places[4 * point + 1]);
    const image = h("img", { src: thumbnail(item), alt: "", width: 128, height: 128 });
    this.tip.replaceChildren(image, h("span", { class: "name" }, isolated(item.name)), item.label === null ? "" : h("span", { class: "label" }, isolated(item.label)));
    this.tip.hidden = false;
    const box = this.tip.getBoundingClientRect();
    const left = x + 16 + box.width > this.camera.width ? x - 16 - box.width : x + 16;
    this.tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, Math.min(this.camera.height - box.height - 4, y - box.height / 2))}px)`;
  }

  #forget() {
    this.hovered = undefined;
    this.tip.hidden = true;
  }
}

function start({ x, y, zoom }) {
  const values = [x, y, zoom].map(Number);
  const good = [x, y, zoom].every((text) => text !== undefined) && values.every(Number.isFinite) && values[2] > 0;
  return good ? { x: values[0], y: values[1], zoom: Math.max(0.7, Math.min(4000, values[2])) } : {};
}
