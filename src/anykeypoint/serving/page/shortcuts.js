// All keys of the page in one table: what they do, and the list that "?" shows.

import { at, make, state } from "./state.js";

const dialog = at("help-dialog");

/** keys: as KeyboardEvent.key has them, with "Shift+" or "Mod+" (Ctrl or ⌘) in front; shown: how they are written. */
export const table = [];

/** Add a shortcut. */
export function shortcut(keys, shown, what, run, when = () => true) {
  table.push({ keys, shown, what, run, when });
}

const WRITING = "input:not([type=checkbox]), textarea, select, [contenteditable]";
const CONTROL = "button:not(.dot), a, input, select, summary";
const REPEATED = /^(Arrow.*|Page.*|[jkyz+=-])$/i; // keys that do their work again and again while they are held down

document.addEventListener("keydown", (event) => {
  if (event.altKey || document.querySelector("dialog[open]")) return;
  const mod = event.ctrlKey || event.metaKey;
  if (event.target.closest?.(WRITING)) return;
  if ((event.key === "Enter" || event.key === " ") && event.target.closest?.(CONTROL)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const plain = event.key === "?" ? "?" : `${mod ? "Mod+" : ""}${event.shiftKey && event.key !== "?" ? "Shift+" : ""}${key}`;
  const found = table.find((one) => one.keys.includes(plain) && one.when(event));
  if (!found) return;
  event.preventDefault();
  if (event.repeat && !REPEATED.test(event.key)) return;
  if (state.dragging && event.key !== "Escape") return; // what a hand holds is let go first
  found.run(event);
});

/** Show the list of keys. */
export function showHelp() {
  const rows = table.filter((one) => one.shown).map(({ shown, what }) =>
    make("tr", {}, make("td", {}, ...shown.split(" ").map((key) => make("kbd", {}, key))), make("td", {}, what)));
  dialog.replaceChildren(
    make("form", { method: "dialog", class: "dialog-head" },
      make("h2", { id: "help-title" }, "How it goes"),
      make("button", { class: "icon", "aria-label": "Close" }, "×")),
    make("ol", { class: "how" },
      make("li", {}, "Drop your pictures, and say what should be found."),
      make("li", {}, "Look at the first picture, and drag what is wrong."),
      make("li", {}, "Press E or “Use as example”: it becomes an example, and all others are answered anew."),
      make("li", {}, "Go on with the picture that the model is least sure of, which comes next by itself.")),
    make("h3", {}, "Keys"),
    make("table", { class: "keys" }, make("tbody", {}, ...rows)),
  );
  dialog.showModal();
}
