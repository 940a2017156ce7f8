// Codes as hexadecimal digits, the first bit being the highest of the first digit.

import { svg } from "./dom.js";

const ROW = 128;

/** Numbers of the bits that are 1. */
export function ones(hex, bits) {
  const found = [];
  for (let bit = 0; bit < bits; bit += 1) {
    if ((parseInt(hex[bit >> 2], 16) >> (3 - (bit & 3))) & 1) found.push(bit);
  }
  return found;
}

/** Numbers of the bits in which two codes differ. */
export function differing(a, b, bits) {
  const found = [];
  for (let digit = 0; digit < Math.min(a.length, b.length); digit += 1) {
    const both = parseInt(a[digit], 16) ^ parseInt(b[digit], 16);
    for (let place = 0; both && place < 4; place += 1) {
      if ((both >> (3 - place)) & 1 && 4 * digit + place < bits) found.push(4 * digit + place);
    }
  }
  return found;
}

const path = (numbers, width) => numbers.map((bit) => `M${bit % width} ${Math.floor(bit / width)}h1v1h-1z`).join("");

/** A picture of a code, a cell a bit: ones are dark, and bits that differ from another code stand out. */
export function strip(code, bits, other = null) {
  const width = Math.min(bits, ROW);
  const rows = Math.ceil(bits / width);
  const odd = other === null ? [] : differing(code, other, bits);
  const shown = svg("svg", { class: "strip", viewBox: `0 0 ${width} ${rows}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  shown.setAttribute("height", 7 * rows);
  shown.append(svg("path", { class: "ones", d: path(ones(code, bits), width) }));
  if (odd.length) {
    shown.append(svg("path", { class: "odd", d: path(odd, width) }));
    shown.append(svg("title", {}, `differs in ${odd.length} of ${bits} bits: ${odd.join(", ")}`));
  }
  return shown;
}
