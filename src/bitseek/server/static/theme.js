// Which colours: those of the system, or what was chosen and remembered. It runs before the page is drawn.
"use strict";
{
  const KEY = "bitseek-theme";
  const CHOICES = ["automatic", "light", "dark"];
  const remembered = () => {
    try { return localStorage.getItem(KEY); } catch { return null; } // where storage is forbidden, nothing is remembered
  };
  let choice = CHOICES.includes(remembered()) ? remembered() : CHOICES[0];
  const root = document.documentElement;

  const apply = () => {
    if (choice === "automatic") delete root.dataset.theme;
    else root.dataset.theme = choice;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Colours: ${choice}`;
    dispatchEvent(new Event("theme"));
  };

  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
      try { localStorage.setItem(KEY, choice); } catch { /* as above */ }
      apply();
    });
  });
}
