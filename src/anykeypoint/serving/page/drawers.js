// The list of pictures, and in a low window the list of points, lie over the picture and are opened by a button.

import { at, on, state } from "./state.js";

const BUTTONS = { list: "show-list", panel: "show-panel" };

/** Open or close a drawer, "list" or "panel"; one at a time is open. */
export function toggleDrawer(name, shown = !document.body.classList.contains(`${name}-open`)) {
  const focused = document.activeElement;
  for (const [one, button] of Object.entries(BUTTONS)) {
    const open = shown && one === name;
    document.body.classList.toggle(`${one}-open`, open);
    at(button).setAttribute("aria-expanded", String(open));
  }
  if (focused?.closest("#pictures, #panel") && !focused.checkVisibility()) at("stage").focus({ preventScroll: true });
}

/** Open or close a drawer by its button; Tab goes on inside one that is open. */
export function pullDrawer(name, content) {
  toggleDrawer(name);
  if (document.body.classList.contains(`${name}-open`)) at(content).focus({ preventScroll: true });
}

/** Close whichever is open. */
export const closeDrawers = () => toggleDrawer("list", false);

at("stage").addEventListener("pointerdown", closeDrawers);
on("mode", () => state.mode !== "look" && closeDrawers()); // what is to be clicked may lie under it
