// What the server is doing, asked for again and again: an update that runs, a new generation, no answer at all.

import { get } from "./api.js";
import { count, duration } from "./dom.js";

const RUNNING = 1000;
const QUIET = 5000;

/** Show progress while an update runs; say when the collection is another than before, and when the server is back. */
export function watch({ changed, back }) {
  const bar = document.getElementById("progress");
  const offline = document.getElementById("offline");
  let generation = null;

  addEventListener("answers", ({ detail }) => {
    if (detail === offline.hidden) return;
    offline.hidden = detail;
    if (detail) back();
    offline.textContent = detail ? "" : "The server does not answer. What is shown is what it sent before; this page tries again by itself.";
  });

  async function look() {
    let wait = QUIET;
    if (!document.hidden) {
      try {
        const [progress, health] = await Promise.all([get("progress"), get("health")]);
        draw(bar, progress);
        if (progress.running) wait = RUNNING;
        if (generation !== null && health.generation !== generation) changed();
        generation = health.generation;
      } catch {
        bar.hidden = true;
        wait = offline.hidden ? QUIET : 2 * RUNNING;
      }
    }
    setTimeout(look, wait);
  }
  look();
}

function draw(bar, { running, done, total, rate, seconds_left: left, what }) {
  bar.hidden = !running && !what;
  const [name, meter, speed] = bar.children;
  meter.hidden = speed.hidden = !running;
  if (!running) { name.textContent = what ? `The last update failed: ${what}` : ""; return; }
  name.textContent = `${what || "Updating the collection"}: ${count(done)}${total ? ` of ${count(total)}` : ""}`;
  if (total) { meter.max = total; meter.value = done; } else meter.removeAttribute("value");
  const words = [];
  if (rate) words.push(`${count(Math.round(rate))} images/s`);
  if (left !== null && left !== undefined) words.push(`${duration(left)} left`);
  speed.textContent = words.join(", ");
}
