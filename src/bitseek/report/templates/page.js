"use strict";
(() => {
  const SHOT = 112;
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);

  function place(event) {
    const margin = 14;
    const { width, height } = tip.getBoundingClientRect();
    const right = event.clientX + margin + width < innerWidth;
    const below = event.clientY + margin + height < innerHeight;
    tip.style.left = `${Math.max(4, right ? event.clientX + margin : event.clientX - margin - width)}px`;
    tip.style.top = `${Math.max(4, below ? event.clientY + margin : event.clientY - margin - height)}px`;
  }

  function line(name, text) {
    const element = document.createElement(name);
    element.textContent = text;
    return element;
  }

  const points = JSON.parse(document.getElementById("points").textContent);
  const map = document.getElementById("plane");
  const circles = [...map.querySelectorAll("circle")];
  circles.forEach((circle, i) => { circle.dataset.point = i; });

  function describe(i) {
    const parts = [];
    if (points.sheet && points.places[i] >= 0) {
      const { cell, columns, rows } = points.sheet;
      const shot = document.createElement("div");
      shot.className = "shot";
      const x = points.places[i] % columns, y = Math.floor(points.places[i] / columns);
      shot.style.backgroundSize = `${columns * SHOT}px ${rows * SHOT}px`;
      shot.style.backgroundPosition = `${-x * SHOT}px ${-y * SHOT}px`;
      tip.classList.toggle("tiny", cell < 48);
      parts.push(shot);
    }
    const names = points.labels[i].map((label) => points.classes[label]);
    if (names.length) parts.push(line("b", names.join(", ")));
    parts.push(line("code", points.codes[i]), line("small", points.names[i]));
    return parts;
  }

  document.addEventListener("pointermove", (event) => {
    const target = event.target instanceof Element ? event.target.closest("[data-tip], [data-point]") : null;
    tip.hidden = !target;
    if (!target) return;
    tip.replaceChildren(...("point" in target.dataset ? describe(Number(target.dataset.point)) : [target.dataset.tip]));
    place(event);
  });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { capture: true, passive: true });

  const chosen = new Set();
  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const label = Number(button.dataset.class);
      if (!chosen.delete(label)) chosen.add(label);
      button.setAttribute("aria-pressed", String(chosen.has(label)));
      map.classList.toggle("chosen", chosen.size > 0);
      circles.forEach((circle, i) => circle.classList.toggle("on", points.labels[i].some((own) => chosen.has(own))));
      for (const name of map.querySelectorAll("text")) {
        name.classList.toggle("on", chosen.has(Number(name.dataset.class)));
      }
    });
  }

  for (const image of document.querySelectorAll(".tile img")) {
    const mark = () => image.closest(".tile").classList.toggle("tiny", image.naturalWidth < 48);
    if (image.complete) mark();
    image.addEventListener("load", mark);
  }
})();
