// What a pointer does on the stage: drag a point, click a place, draw a box, move and enlarge the picture.

import { askAt, closeAsk } from "./ask.js";
import { change } from "./history.js";
import { ABSENT, VISIBLE, point, withMark } from "./labels.js";
import { addPoint, nextToPlace, toggleEdge } from "./placing.js";
import { focusDot, loupe, draw } from "./stage.js";
import { at, on, set, state } from "./state.js";
import { clamped, isFitted, pan, toImage, zoom } from "./view.js";

const STILL = 4; // screen pixels a pointer may move while it clicks
const stage = at("stage");
const pointers = new Map(); // id -> its last place on the stage
let drag = null; // what the first pointer does: { kind, of, key, from, before, moved }

const placeOf = (event) => {
  const frame = stage.getBoundingClientRect();
  return [event.clientX - frame.left, event.clientY - frame.top];
};

stage.addEventListener("pointerdown", (event) => {
  if (!state.picture || event.button !== 0 || event.target.closest(".popover, #welcome button, #welcome input")) return;
  const from = placeOf(event);
  pointers.set(event.pointerId, from);
  stage.setPointerCapture(event.pointerId); // also where its point goes away: it is heard when it is lifted
  if (pointers.size > 1) {
    cancelDrag();
    return;
  }
  closeAsk();
  const dot = event.target.closest(".dot");
  if (dot && state.mode !== "box") {
    const { key } = dot.dataset;
    if ((event.ctrlKey || event.metaKey) && state.selected) {
      toggleEdge(state.selected, key);
      pointers.delete(event.pointerId);
      event.preventDefault();
      return;
    }
    set({ selected: key });
    drag = { kind: "point", of: state.picture.id, key, from, before: state.picture, moved: false };
    event.preventDefault();
    state.dragging = true;
    focusDot(key);
  } else {
    drag = { kind: state.mode === "box" ? "box" : "stage", of: state.picture.id, from, moved: false };
    stage.focus({ preventScroll: true });
  }
  state.dragging = true;
});

stage.addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) return;
  const now = placeOf(event);
  const before = pointers.get(event.pointerId);
  pointers.set(event.pointerId, now);
  if (pointers.size === 2) {
    pinch(event.pointerId, before, now);
    return;
  }
  if (!drag) return;
  drag.moved ||= Math.hypot(now[0] - drag.from[0], now[1] - drag.from[1]) > STILL;
  if (!drag.moved) return;
  if (drag.kind === "point") dragPoint(now, event.pointerType);
  else if (drag.kind === "box") set({ draft: [...clamped(toImage(...drag.from)), ...clamped(toImage(...now))] });
  else if (!isFitted()) {
    pan(now[0] - before[0], now[1] - before[1]);
    draw();
  }
});

/** The point follows the pointer; the change is one step of undo, made when the pointer is lifted. */
function dragPoint(now, kind) {
  const place = clamped(toImage(...now));
  const old = point(drag.key);
  const visibility = old.visibility === ABSENT ? VISIBLE : old.visibility;
  set({ picture: { ...state.picture, label: withMark(state.picture.label, drag.key, [...place, visibility]) } });
  loupe(kind === "mouse" ? null : place);
}

function pinch(moved, before, now) {
  const [, other] = [...pointers].find(([id]) => id !== moved);
  const apart = (one) => Math.max(1, Math.hypot(one[0] - other[0], one[1] - other[1]));
  zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
  draw();
}

stage.addEventListener("pointerup", (event) => {
  if (!pointers.delete(event.pointerId) || !drag) return;
  const done = drag;
  drag = null;
  state.dragging = false;
  loupe(null);
  if (done.kind === "point" && done.moved) {
    const { label } = state.picture;
    set({ picture: { ...state.picture, label: done.before.label } });
    change({ ...state.picture.label, points: label.points });
  } else if (done.kind === "box" && done.moved) finishBox();
  else if (done.kind === "stage" && !done.moved) clickAt(clamped(toImage(...placeOf(event))));
});

stage.addEventListener("pointercancel", (event) => {
  pointers.delete(event.pointerId);
  cancelDrag();
});

// What a hand holds is of the picture in which it was taken: another one that comes meanwhile stays as it is.
on("picture", () => {
  if (!drag || drag.of === state.picture?.id) return;
  drag = null;
  state.dragging = false;
  loupe(null);
});

/** End what is under way without changing anything. */
export function cancelDrag() {
  if (drag?.kind === "point") set({ picture: { ...state.picture, label: drag.before.label } });
  drag = null;
  state.dragging = false;
  loupe(null);
  set({ draft: null });
}

stage.addEventListener("wheel", (event) => {
  if (!state.picture) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), ...placeOf(event));
  draw();
}, { passive: false });

/** What a click on a place of the picture does, by mouse, finger or keyboard. */
export function clickAt(place) {
  if (state.mode === "place") {
    const key = nextToPlace();
    if (key === null) return addPoint(place);
    change(withMark(state.picture.label, key, [...place, VISIBLE]));
    return set({ selected: nextToPlace() ?? key });
  }
  if (state.mode === "box") {
    if (!state.draft) return set({ draft: [...place, ...place] });
    set({ draft: [state.draft[0], state.draft[1], ...place] });
    return finishBox();
  }
  return askAt(place);
}

function finishBox() {
  const [a, b, c, d] = state.draft;
  const box = [Math.min(a, c), Math.min(b, d), Math.abs(c - a), Math.abs(d - b)];
  set({ draft: null, mode: "look", cross: null });
  if (Math.min(box[2], box[3]) >= 2) change({ ...state.picture.label, box });
}
