// Controls that several views share.

import { statistics } from "./api.js";
import { count, h } from "./dom.js";

let numbers = 0;

/** A labelled control: {field, control}. */
export function field(text, control, ...after) {
  control.id ||= `control-${(numbers += 1)}`;
  return h("div", { class: "field" }, h("label", { for: control.id }, text), control, ...after);
}

/** Choices as [value, text]. */
export function choice(options, chosen, change) {
  const control = h("select", { onchange: () => change(control.value) }, options.map(([value, text]) => h("option", { value }, text)));
  control.value = String(chosen);
  return control;
}

/** Labels of the collection with their numbers; null where there are none. */
export async function labelFilter(chosen, change) {
  const { labels } = await statistics();
  const names = Object.keys(labels);
  if (!names.length) return null;
  if (chosen && !names.includes(chosen)) names.unshift(chosen);
  const options = [["", "all"], ...names.map((name) => [name, `${name} (${count(labels[name] ?? 0)})`])];
  return field("Label", choice(options, chosen ?? "", change));
}

/** A slider whose number is beside it; `move` is called while it moves, `rest` when it was let go. */
export function slider(text, { least = 0, most, value }, move, rest = () => {}) {
  const shown = h("output", {}, count(value));
  const control = h("input", {
    type: "range", min: least, max: most, step: 1,
    oninput: () => { shown.textContent = count(control.valueAsNumber); move(control.valueAsNumber); },
    onchange: () => rest(control.valueAsNumber),
  });
  control.value = String(value);
  const element = field(text, control, shown);
  element.classList.add("slider");
  return { element, control, set(next, end) { control.max = String(end); control.value = String(next); shown.textContent = count(next); } };
}

/** What the server said instead of an answer. */
export const problem = (error) => h("p", { class: "problem", role: "alert" }, error.message);

export const empty = (...words) => h("p", { class: "empty" }, ...words);

export const waiting = (text) => h("p", { class: "waiting", role: "status" }, text);
