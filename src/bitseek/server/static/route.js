// Where the reader is: "#/item/12?radius=4" is {view: "item", argument: "12", values: {radius: "4"}}.

export function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, argument = ""] = path.split("/");
  return { view: view || "search", argument: decoded(argument), values: Object.fromEntries(new URLSearchParams(query)) };
}

export function link(view, argument = "", values = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return `#/${view}${argument === "" ? "" : `/${encodeURIComponent(argument)}`}${text ? `?${text}` : ""}`;
}

/** Change the address of what is shown, without showing it anew and without a step for the back button. */
export function rename(view, argument, values) {
  history.replaceState(history.state, "", link(view, argument, values));
}

/** A number in the address, or what is there without one. */
export function number(text, otherwise, least = 0) {
  const value = text === undefined || text.trim() === "" ? NaN : Number(text);
  return Number.isInteger(value) && value >= least ? value : otherwise;
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}
