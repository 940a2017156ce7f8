// The page: which view is shown, images that are dropped or pasted anywhere, and what the server is doing.

import { forget } from "./api.js";
import * as browse from "./browse.js";
import { empty, problem } from "./controls.js";
import { announce, h } from "./dom.js";
import * as duplicates from "./duplicates.js";
import * as map from "./map.js";
import { watch } from "./progress.js";
import { read } from "./route.js";
import * as search from "./search.js";
import * as statistics from "./statistics.js";

// A view draws itself into a place: show(place, route, signal). The signal ends it.
const VIEWS = { search, item: search, code: search, browse, map, duplicates, statistics };

const place = document.getElementById("view");
let ending = new AbortController();
let shown = null;

async function show(arrived) {
  const route = read();
  const view = VIEWS[route.view];
  ending.abort();
  ending = new AbortController();
  const { signal } = ending;
  for (const entry of document.querySelectorAll("nav [data-view]")) {
    if (VIEWS[entry.dataset.view] === view) entry.setAttribute("aria-current", "page");
    else entry.removeAttribute("aria-current");
  }
  document.getElementById("changed").hidden = true;
  document.title = view ? `${view.title} – bitseek` : "bitseek";
  place.className = `view-${route.view}`;
  place.replaceChildren();
  place.setAttribute("aria-busy", "true");
  try {
    if (view) await view.show(place, route, signal);
    else place.append(h("h1", { class: "hidden" }, "Nothing here"), empty("There is no such page. ", h("a", { href: "#/search" }, "Search")));
  } catch (error) {
    if (signal.aborted) return;
    place.append(problem(error));
  }
  if (signal.aborted) return;
  place.removeAttribute("aria-busy");
  if (arrived) {
    place.focus({ preventScroll: true });
    announce(document.title);
  }
  scrollTo(0, arrived ? history.state?.scroll ?? 0 : scrollY);
  shown = location.hash;
}

addEventListener("hashchange", () => {
  if (location.hash === "#view") { // the skip link
    history.replaceState(history.state, "", shown ?? "#/search");
    place.focus();
  } else show(true);
});
addEventListener("scroll", () => {
  clearTimeout(show.timer);
  if (location.hash === shown) show.timer = setTimeout(() => { if (location.hash === shown) history.replaceState({ scroll: scrollY }, ""); }, 150);
}, { passive: true });
history.scrollRestoration = "manual";

document.querySelector("#changed button").addEventListener("click", () => { forget(); show(false); });
watch({
  changed() {
    forget();
    document.getElementById("changed").hidden = false;
  },
  back() {
    if (place.querySelector(".problem")) show(false);
  },
});

// Images from outside.
const drop = document.getElementById("drop");
const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
addEventListener("dragenter", (event) => { if (hasFiles(event)) drop.hidden = false; });
addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.hidden = true; });
addEventListener("drop", (event) => {
  drop.hidden = true;
  if (!hasFiles(event)) return;
  event.preventDefault();
  search.withFile(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
  if (file) { event.preventDefault(); search.withFile(file); }
});

show(false);
