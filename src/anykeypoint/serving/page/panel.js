// The points beside the picture: name, how sure the model is, and whether a point is visible, hidden or absent.

import { closeDrawers } from "./drawers.js";
import { change } from "./history.js";
import { ABSENT, HIDDEN, VISIBLE, WORDS, colour, percent, point, withMark } from "./labels.js";
import { remove, rename } from "./placing.js";
import { focusDot } from "./stage.js";
import { at, keys, make, on, set, state } from "./state.js";

const list = at("points");
const SIGNS = { [VISIBLE]: "●", [HIDDEN]: "◐", [ABSENT]: "○" };
const rows = new Map(); // key -> its row

/** Say of a point that it is visible, hidden or absent. */
export function setVisibility(key, visibility) {
  const one = point(key);
  if (visibility === ABSENT) return change(withMark(state.picture.label, key, [null, null, ABSENT]));
  if (!one || one.x === null) return set({ selected: key, mode: "place", creating: false });
  return change(withMark(state.picture.label, key, [one.x, one.y, visibility]));
}

/** Take back what was said of a point, so that the model's answer is shown. */
export const forgetMark = (key) => change({ ...withMark(state.picture.label, key, null), done: false });

function show() {
  const wanted = keys();
  const before = rows.size;
  let lost = null; // the places of a row that is taken out with the focus, and of its control that has it
  for (const [key, row] of rows) {
    if (!wanted.includes(key) && !isWritten(row)) { // another window's change waits until the name is written
      if (row.contains(document.activeElement)) lost = [[...list.children].indexOf(row), controls(row).indexOf(document.activeElement)];
      row.remove();
      rows.delete(key);
    }
  }
  wanted.forEach((key, number) => {
    const row = rows.get(key) || newRow(key);
    if (list.children[number] !== row) list.insertBefore(row, list.children[number] || null);
    fill(row, key, number);
  });
  at("signs").hidden = !wanted.length;
  at("noun").textContent = state.project?.category?.noun || "Points";
  showBy();
  if (lost) focusIn(list.children[Math.min(lost[0], wanted.length - 1)], wanted.length === before ? lost[1] : NAME);
}

const NAME = 1; // place of the name among a row's controls
const controls = (row) => [...row.querySelectorAll("button, input")];
const isWritten = (row) => controls(row)[NAME] === document.activeElement && document.activeElement.value !== row.dataset.key;

/**
 * Focus a control of a row: of the point under its new name the one that had the focus, and after a point was removed
 * the next one's name, where the same key does not remove that one too.
 */
function focusIn(row, number) {
  if (!row) return at("stage").focus({ preventScroll: true });
  for (const place of [NAME, number]) controls(row)[place].focus({ preventScroll: true }); // × is there in a row with the focus
  return undefined;
}

function newRow(key) {
  const name = make("input", {
    class: "name",
    value: key,
    "aria-label": `Name of the point ${key}`,
    spellcheck: "false",
    maxlength: "512",
    onfocus: () => set({ selected: key }),
    onchange: async (event) => {
      await rename(key, event.target.value);
      event.target.value = key; // of a name that was refused; a point that has its new name is in a row of its own
    },
    onkeydown: (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") event.target.value = key;
      closeDrawers();
      at("stage").focus({ preventScroll: true });
    },
  });
  const look = make("button", { class: "swatch", onclick: () => pick(key), tabIndex: -1, "aria-label": `Select ${key}` });
  const states = [VISIBLE, HIDDEN, ABSENT].map((visibility) =>
    make("button", {
      class: "icon state",
      title: WORDS[visibility],
      "aria-label": `${key} is ${WORDS[visibility]}`,
      onclick: () => setVisibility(key, visibility),
    }, SIGNS[visibility]));
  const away = { class: "icon away", title: "Remove this point from all pictures", "aria-label": `Remove the point ${key}` };
  const gone = make("button", { ...away, onclick: () => remove(key) }, "×");
  const sure = make("span", { class: "sure faint" });
  const doubt = make("p", { class: "doubt", hidden: true });
  const row = make("li", { class: "point" }, look, name, sure, make("span", { class: "states" }, ...states, gone), doubt, make("span", { class: "share" }));
  row.dataset.key = key;
  row.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && set({ hovered: key }));
  row.addEventListener("pointerleave", () => state.hovered === key && set({ hovered: null }));
  rows.set(key, row);
  return row;
}

function pick(key) {
  set({ selected: key });
  const one = state.picture && point(key);
  if (one && one.x !== null) focusDot(key);
  else if (state.picture) set({ mode: "place", creating: false });
}

function fill(row, key, number) {
  const one = point(key);
  row.style.setProperty("--dot", colour(number));
  row.classList.toggle("selected", key === state.selected);
  row.classList.toggle("mine", Boolean(one?.mine));
  const description = state.project.category.keypoints[number].description;
  row.title = description || "";
  const word = !state.picture || !one ? "" : one.mine ? "yours" : percent(one.confidence);
  row.querySelector(".sure").textContent = word;
  const doubt = state.project.category.doubts[key] || "";
  row.querySelector(".doubt").textContent = doubt;
  row.querySelector(".doubt").hidden = !doubt;
  row.lastElementChild.style.setProperty("--share", one && !one.mine ? (one.confidence ?? 0) : one ? 1 : 0);
  row.querySelectorAll(".state").forEach((button, place) => {
    const visibility = [VISIBLE, HIDDEN, ABSENT][place];
    button.setAttribute("aria-pressed", String(one?.visibility === visibility));
    button.disabled = !state.picture;
  });
}

/** How the answer came about, and whether the picture is finished. */
function showBy() {
  const { picture } = state;
  let text = "";
  if (picture) {
    if (picture.label.example) text = "An example for the others.";
    else if (picture.label.done) text = "Finished.";
    else if (state.gone) text = ""; // the stage says it
    else if (picture.error) text = picture.error;
    else if (picture.answer) text = `Answered from ${picture.answer.by}.`;
    else text = state.project?.answers.reason || "Being answered…";
  }
  at("answered-by").textContent = text;
}

on("picture selected project gone", show);
