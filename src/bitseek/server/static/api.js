// The service under /api: JSON or bytes, or a Problem with the sentence that the server gave.

export class Problem extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status; // 0: no answer at all
  }
}

const SILENT = "The server does not answer. It may have been stopped; this page tries again by itself.";

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    dispatchEvent(new CustomEvent("answers", { detail: false }));
    throw new Problem(SILENT, 0);
  }
  dispatchEvent(new CustomEvent("answers", { detail: true }));
  if (!response.ok) throw new Problem(await sentence(response), response.status);
  return response;
}

async function sentence(response) {
  try {
    const { detail } = await response.json();
    if (typeof detail === "string" && detail) return detail[0].toUpperCase() + detail.slice(1);
  } catch { /* no JSON: a proxy, perhaps */ }
  return `The server refused this (${response.status} ${response.statusText}).`;
}

/** "/api/items?start=0": values that are null, undefined or "" are left out. */
export function address(path, values = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return `/api/${path}${text ? `?${text}` : ""}`;
}

export async function get(path, values, signal) {
  return (await ask(address(path, values), { signal })).json();
}

/** The map's points, as bytes; null if there is another version by now. */
export async function points(version, signal) {
  try {
    return await (await ask(address("map/points", { version }), { signal })).arrayBuffer();
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

export async function upload(file, values, signal) {
  const body = new FormData();
  body.append("image", file, file.name || "image");
  return (await ask(address("search", values), { method: "POST", body, signal })).json();
}

export const thumbnail = (item) => `/api/items/${item.id}/thumbnail`;
export const original = (item) => `/api/items/${item.id}/image`;

let known = null;

/** Statistics of the collection, asked for once until `forget`. */
export function statistics() {
  known ??= get("statistics").catch((error) => { known = null; throw error; });
  return known;
}

export const forget = () => { known = null; };
