// Elements, and words for numbers. All text from outside becomes text nodes: nothing is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes by name, listeners as functions under "onclick" and the like, then children. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text whose direction cannot change that of the text around it. */
export const isolated = (text) => h("bdi", {}, text);

/** Tell those who hear the page, once things have been quiet for a moment. */
export function announce(text) {
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => { document.getElementById("live").textContent = text; }, 400);
}

const whole = new Intl.NumberFormat("en");
export const count = (number) => whole.format(number);

/** "1 image", "3,000 images". */
export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (number >= 1000 && power < units.length - 1) { number /= 1000; power += 1; }
  return `${power && number < 100 ? number.toFixed(1) : Math.round(number)} ${units[power]}`;
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
