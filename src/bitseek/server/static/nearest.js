// Which points are near a place? Points lie in the cells of a grid; cells are looked at from the inside outwards.

export class Nearest {
  /** `x` and `y` give the place of point i, in [0, 1]. */
  constructor(x, y, n) {
    this.x = x;
    this.y = y;
    this.n = n;
    this.side = Math.max(1, Math.min(512, Math.round(Math.sqrt(n / 2))));
    const cellOf = new Uint32Array(n);
    this.starts = new Uint32Array(this.side * this.side + 1);
    for (let i = 0; i < n; i += 1) {
      cellOf[i] = this.#cell(x(i)) + this.side * this.#cell(y(i));
      this.starts[cellOf[i] + 1] += 1;
    }
    for (let cell = 0; cell < this.side * this.side; cell += 1) this.starts[cell + 1] += this.starts[cell];
    this.members = new Uint32Array(n);
    const next = this.starts.slice();
    for (let i = 0; i < n; i += 1) this.members[next[cellOf[i]]++] = i;
  }

  #cell(value) {
    return Math.max(0, Math.min(this.side - 1, Math.floor(value * this.side)));
  }

  /** The k nearest points to a place, nearest first, not further than `reach`, that `wanted` takes. */
  find(px, py, k, reach = Infinity, wanted = () => true) {
    const found = [];
    const column = this.#cell(px);
    const row = this.#cell(py);
    // Whoever lies in ring r or further is at least so far away; more if the place is outside of the grid.
    const inner = Math.min(px * this.side - column, column + 1 - px * this.side, py * this.side - row, row + 1 - py * this.side);
    for (let ring = 0; ring < this.side; ring += 1) {
      const least = ring === 0 ? 0 : (ring - 1 + Math.max(0, inner)) / this.side;
      if (least > reach || (found.length === k && found[k - 1].distance <= least)) break;
      for (let r = Math.max(0, row - ring); r <= Math.min(this.side - 1, row + ring); r += 1) {
        const whole = Math.abs(r - row) === ring;
        for (let c = column - ring; c <= column + ring; c += whole ? 1 : 2 * ring || 1) {
          if (c >= 0 && c < this.side) this.#look(r * this.side + c, px, py, k, reach, wanted, found);
        }
      }
    }
    return found;
  }

  #look(cell, px, py, k, reach, wanted, found) {
    for (let at = this.starts[cell]; at < this.starts[cell + 1]; at += 1) {
      const point = this.members[at];
      const distance = Math.hypot(this.x(point) - px, this.y(point) - py);
      if (distance > reach || (found.length === k && distance >= found[k - 1].distance) || !wanted(point)) continue;
      let place = found.length;
      while (place > 0 && found[place - 1].distance > distance) place -= 1;
      found.splice(place, 0, { point, distance });
      if (found.length > k) found.pop();
    }
  }

  /** The points in a rectangle; null if there are more than `most`. */
  inside(left, top, right, bottom, most) {
    const found = [];
    for (let row = this.#cell(top); row <= this.#cell(bottom); row += 1) {
      const from = this.starts[row * this.side + this.#cell(left)];
      const to = this.starts[row * this.side + this.#cell(right) + 1];
      for (let at = from; at < to; at += 1) {
        const point = this.members[at];
        const x = this.x(point);
        const y = this.y(point);
        if (x >= left && x <= right && y >= top && y <= bottom) {
          if (found.length === most) return null;
          found.push(point);
        }
      }
    }
    return found;
  }
}
