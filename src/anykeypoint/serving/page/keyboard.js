// What each key does.

import { chooseCategory } from "./category.js";
import { showExport } from "./exporting.js";
import { askAt, closeAsk } from "./ask.js";
import { closeDrawers } from "./drawers.js";
import { cancelDrag, clickAt } from "./gestures.js";
import { change, redo, undo } from "./history.js";
import { ABSENT, HIDDEN, VISIBLE, point, withMark } from "./labels.js";
import { forgetMark, setVisibility } from "./panel.js";
import { addObject } from "./objects.js";
import { next, previous } from "./pictures.js";
import { finish } from "./finishing.js";
import { beginCreating, toggleEdge } from "./placing.js";
import { shortcut, showHelp } from "./shortcuts.js";
import { draw } from "./stage.js";
import { at, keys, set, state } from "./state.js";
import { clamped, fit, reveal, scale, toImage, zoom } from "./view.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const picture = () => Boolean(state.picture);
const selected = () => Boolean(state.picture && state.selected);
const pointing = () => picture() && state.mode !== "look";

/** Switch a mode on, or off where it is on. event: of what was pressed; the crosshair is for those without a pointer. */
export function switchMode(mode, event) {
  if (!state.picture) return;
  closeAsk();
  cancelDrag();
  const off = state.mode === mode;
  const stage = at("stage");
  const cross = off || event.pointerType ? null : toImage(stage.clientWidth / 2, stage.clientHeight / 2);
  set({ mode: off ? "look" : mode, creating: !off && mode === "place" && !keys().length, cross: cross && clamped(cross) });
  stage.focus({ preventScroll: true });
}

function moveCross(event) {
  const [dx, dy] = ARROWS[event.key];
  const step = (event.shiftKey ? 1 : 10) / scale();
  const [x, y] = state.cross || toImage(at("stage").clientWidth / 2, at("stage").clientHeight / 2);
  const cross = clamped([x + dx * step, y + dy * step]);
  reveal(cross);
  set({ cross, draft: state.draft && state.mode === "box" ? [state.draft[0], state.draft[1], ...cross] : state.draft });
}

function movePoint(event) {
  const [dx, dy] = ARROWS[event.key];
  const one = point(state.selected);
  if (!one || one.x === null) return;
  const step = (event.shiftKey ? 10 : 1) * Math.max(1, 1 / scale());
  const place = clamped([one.x + dx * step, one.y + dy * step]);
  const visibility = one.visibility === ABSENT ? VISIBLE : one.visibility;
  reveal(place);
  draw();
  change(withMark(state.picture.label, state.selected, [...place, visibility]));
}

const ofDot = (event) => selected() && event.target.closest(".dot") !== null;
const ofStage = (event) => event.target === document.body || event.target.closest("#stage") !== null;
const arrows = Object.keys(ARROWS).flatMap((key) => [key, `Shift+${key}`]);

shortcut(["Enter"], "Enter", "All points are correct: finish, and go to the least sure picture", () => finish(false), picture);
shortcut(["e"], "E", "The same, and use the picture as an example", () => finish(true), picture);
shortcut(["PageDown", "j"], "PageDown", "Next picture", next);
shortcut(["PageUp", "k"], "PageUp", "Previous picture", previous);
shortcut([], "Tab", "From point to point", () => {});
shortcut(arrows, "", "", moveCross, (event) => pointing() && ofStage(event) && !ofDot(event));
shortcut(arrows, "← ↑ ↓ →", "Move the selected point; with Shift by ten pixels", movePoint, ofDot);
shortcut(["ArrowRight"], "", "", next, (event) => picture() && ofStage(event));
shortcut(["ArrowLeft"], "", "", previous, (event) => picture() && ofStage(event));
shortcut([" "], "Space", "Click at the crosshair, which the arrow keys move", () => state.cross && clickAt(state.cross),
  (event) => pointing() && ofStage(event));
shortcut(["v"], "V", "The point is visible", () => setVisibility(state.selected, VISIBLE), selected);
shortcut(["h"], "H", "The point is hidden behind something", () => setVisibility(state.selected, HIDDEN), selected);
shortcut(["a"], "A", "The point is not in the picture", () => setVisibility(state.selected, ABSENT), selected);
shortcut(["Delete", "Backspace"], "Delete", "Forget what you said of the point", () => forgetMark(state.selected), selected);
shortcut(["z", "Mod+z"], "Z", "Undo", undo, picture);
shortcut(["Shift+z", "Mod+Shift+z", "Mod+y"], "Shift Z", "Redo", redo, picture);
shortcut(["m"], "M", "Mark points by clicking", (event) => switchMode("place", event), picture);
shortcut(["Shift+m"], "Shift M", "Add points by clicking them, and write the name of each", beginCreating, picture);
shortcut(["b"], "B", "Draw a box round the object", (event) => switchMode("box", event), picture);
shortcut(["Shift+b"], "Shift B", "Take the box away", () => change({ ...state.picture.label, box: null }), picture);
shortcut(["g"], "G", "Another object of this picture: draw its box first", addObject, picture);
shortcut(["w"], "W", "What is this? At the selected point, or at a crosshair", ask, picture);
shortcut(["l"], "L", "Join the selected point with the one that is selected next; Ctrl+click does it too", join, ofDot);
shortcut(["d"], "D", "Show where else the selected point may be", () => set({ density: !state.density }), picture);
shortcut(["n"], "N", "Names on or off", () => set({ names: !state.names }));
shortcut(["+", "=", "Shift++"], "+", "Enlarge", () => { zoom(1.4); draw(); }, picture);
shortcut(["-"], "-", "Make smaller", () => { zoom(1 / 1.4); draw(); }, picture);
shortcut(["0"], "0", "The whole picture", () => { fit(); draw(); }, picture);
shortcut(["o"], "O", "Add pictures", () => at("add-pictures").click());
shortcut(["c"], "C", "Say what should be found", chooseCategory, () => Boolean(state.project));
shortcut(["x"], "X", "Export", showExport, () => Boolean(state.project));
shortcut(["Escape"], "Esc", "Leave what was begun", leave);
shortcut(["?"], "?", "This list", showHelp);

function ask(event) {
  const one = ofDot(event) && point(state.selected);
  if (one && one.x !== null) askAt([one.x, one.y]);
  else switchMode("ask", event);
}

let joined = null; // the first end of an edge

function join() {
  if (joined && joined !== state.selected) {
    toggleEdge(joined, state.selected);
    joined = null;
    set({ tip: "" });
  } else {
    joined = state.selected;
    set({ tip: `Go to another point and press L: it is joined with “${joined}”, or parted from it.` });
  }
}

function leave() {
  joined = null;
  set({ tip: "" });
  closeAsk();
  closeDrawers();
  cancelDrag();
  set({ mode: "look", creating: false, cross: null, selected: null });
  if (document.activeElement?.closest(".dot")) at("stage").focus({ preventScroll: true });
}
