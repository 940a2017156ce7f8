// Which part of the unit square is seen, and the way there: a target that the view follows in a few frames.

const LEAST = 0.7; // the whole square fits with a margin
const MOST = 4000;
const EASE = 70; // milliseconds in which two thirds of the way are made

export class Camera {
  constructor({ x = 0.5, y = 0.5, zoom = 0.94 } = {}) {
    this.now = { x, y, zoom };
    this.target = { x, y, zoom };
    this.width = this.height = 1;
  }

  /** Pixels of a unit; at zoom 1 the square fills the shorter side. */
  get scale() {
    return this.now.zoom * Math.min(this.width, this.height);
  }

  toScreen(x, y) {
    return [(x - this.now.x) * this.scale + this.width / 2, (y - this.now.y) * this.scale + this.height / 2];
  }

  toUnit(px, py) {
    return [(px - this.width / 2) / this.scale + this.now.x, (py - this.height / 2) / this.scale + this.now.y];
  }

  /** Move by pixels, at once: what is dragged stays under the finger. */
  drag(dx, dy) {
    this.now.x = this.target.x = bounded(this.now.x - dx / this.scale);
    this.now.y = this.target.y = bounded(this.now.y - dy / this.scale);
    this.target.zoom = this.now.zoom;
  }

  /** Move by pixels, smoothly. */
  pan(dx, dy) {
    this.target.x = bounded(this.target.x + dx / this.scale);
    this.target.y = bounded(this.target.y + dy / this.scale);
  }

  /** Zoom by a factor around a pixel, whose place stays where it is. */
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const before = this.target.zoom;
    this.target.zoom = Math.max(LEAST, Math.min(MOST, before * factor));
    const side = Math.min(this.width, this.height);
    const moved = 1 / (before * side) - 1 / (this.target.zoom * side);
    this.target.x = bounded(this.target.x + (px - this.width / 2) * moved);
    this.target.y = bounded(this.target.y + (py - this.height / 2) * moved);
  }

  /** Come nearer to the target; whether it is still on the way. */
  step(milliseconds, jump) {
    const part = jump ? 1 : 1 - Math.exp(-milliseconds / EASE);
    const { now, target } = this;
    // Zoom along a geometric path, and the centre with it, so that the point under the cursor does not swim.
    const zoom = now.zoom * (target.zoom / now.zoom) ** part;
    const way = Math.abs(target.zoom - now.zoom) > 1e-9 ? (1 / zoom - 1 / now.zoom) / (1 / target.zoom - 1 / now.zoom) : part;
    now.x += (target.x - now.x) * way;
    now.y += (target.y - now.y) * way;
    now.zoom = zoom;
    const left = Math.max(Math.abs(target.x - now.x), Math.abs(target.y - now.y)) * this.scale;
    if (left > 0.2 || Math.abs(Math.log(target.zoom / now.zoom)) > 0.002) return true;
    Object.assign(now, target);
    return false;
  }
}

const bounded = (value) => Math.max(-0.1, Math.min(1.1, value));
