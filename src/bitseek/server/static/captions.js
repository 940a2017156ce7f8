// Names of labels on a map: each stands at that of its points which is nearest to their median.

import { h } from "./dom.js";

const MOST = 20; // with more labels there are no names

export class Captions {
  /** `members` are the points of each label, by label; `name` gives its text. */
  constructor(layer, places, members, name) {
    this.shown = members.size > MOST ? [] : [...members].map(([label, points]) => {
      const element = h("span", {}, name(label));
      layer.append(element);
      return { label, element, at: central(places, points) };
    });
  }

  move(camera, wanted) {
    for (const { label, element, at } of this.shown) {
      const [x, y] = camera.toScreen(...at);
      element.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px) translate(-50%, -50%)`;
      element.hidden = !wanted(label);
    }
  }
}

function central(places, points) {
  const median = (part) => points.map((point) => places[4 * point + part]).sort((a, b) => a - b)[points.length >> 1];
  const [x, y] = [median(0), median(1)];
  let best = points[0];
  const distance = (point) => Math.abs(places[4 * point] - x) + Math.abs(places[4 * point + 1] - y);
  for (const point of points) if (distance(point) < distance(best)) best = point;
  return [places[4 * best], places[4 * best + 1]];
}
