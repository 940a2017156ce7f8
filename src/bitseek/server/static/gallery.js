// Pictures over the points of a map, where there is room for them: where few points are seen, each has its own.

import { h } from "./dom.js";

const SIDE = 56;
const FEW = 1200; // with more points in sight there are only points
const MOST = 90;

export class Gallery {
  constructor(layer, near, places, address) {
    Object.assign(this, { layer, near, places, address });
    this.shown = new Map(); // by point
  }

  /** Choose anew which points have a picture: those nearest to the middle of a cell of the screen, in a fixed grid. */
  choose(camera, wanted) {
    const [left, top] = camera.toUnit(0, 0);
    const [right, bottom] = camera.toUnit(camera.width, camera.height);
    const inside = this.near.inside(left, top, right, bottom, FEW)?.filter(wanted) ?? [];
    const taken = [];
    const free = ([x, y]) => taken.every(([a, b]) => Math.abs(a - x) > SIDE + 3 || Math.abs(b - y) > SIDE + 3);
    const next = new Map();
    // Those that have one keep it, so that pictures do not flicker from one rest to the next.
    for (const point of inside.sort((a, b) => this.shown.has(b) - this.shown.has(a))) {
      const at = camera.toScreen(this.places[4 * point], this.places[4 * point + 1]);
      if (next.size === MOST) break;
      if (!free(at)) continue;
      taken.push(at);
      next.set(point, this.shown.get(point) ?? h("img", { src: this.address(point), alt: "", width: SIDE, height: SIDE, draggable: "false" }));
    }
    for (const [point, image] of this.shown) if (!next.has(point)) image.remove();
    for (const image of next.values()) if (!image.isConnected) this.layer.append(image);
    this.shown = next;
    this.move(camera);
  }

  move(camera) {
    for (const [point, image] of this.shown) {
      const [x, y] = camera.toScreen(this.places[4 * point], this.places[4 * point + 1]);
      image.style.transform = `translate(${(x - SIDE / 2).toFixed(1)}px, ${(y - SIDE / 2).toFixed(1)}px)`;
    }
    this.camera = camera;
  }

  /** The point whose picture is at this pixel, or null. */
  at(px, py) {
    for (const point of this.shown.keys()) {
      const [x, y] = this.camera.toScreen(this.places[4 * point], this.places[4 * point + 1]);
      if (Math.abs(x - px) <= SIDE / 2 && Math.abs(y - py) <= SIDE / 2) return point;
    }
    return null;
  }
}
