// Where the picture lies on the stage: fitted into it, or enlarged and moved by hand.

import { at, set, state } from "./state.js";

const SMALL = 640; // screen pixels of a stage that has no pixel to give away
const MOST = 40; // screen pixels for one pixel of the picture
const EDGE = 24; // screen pixels between the edge of the stage and what a key has reached
const view = { scale: 1, x: 0, y: 0, fitted: true };

/** Free pixels round a fitted picture. */
const margin = () => (Math.min(...stageSize()) < SMALL ? 7 : 18);

const stageSize = () => [at("stage").clientWidth, at("stage").clientHeight];

/** Scale that fits the whole picture. */
function fittingScale() {
  const [width, height] = stageSize();
  const [w, h] = state.picture.size;
  return Math.max(1e-4, Math.min((width - 2 * margin()) / w, (height - 2 * margin()) / h));
}

/** Show the whole picture. */
export function fit() {
  view.fitted = true;
  refit();
}

/** After the stage changed its size: a fitted picture stays fitted. */
export function refit() {
  if (!state.picture) return;
  if (!view.fitted) return;
  const [width, height] = stageSize();
  view.scale = fittingScale();
  view.x = (width - state.picture.size[0] * view.scale) / 2;
  view.y = (height - state.picture.size[1] * view.scale) / 2;
}

/** Enlarge about a place of the stage. factor: above 1 enlarges. */
export function zoom(factor, x = stageSize()[0] / 2, y = stageSize()[1] / 2) {
  const scale = Math.min(MOST, Math.max(fittingScale(), view.scale * factor));
  if (scale <= fittingScale() * 1.001) return fit();
  const ratio = scale / view.scale;
  Object.assign(view, { scale, x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio, fitted: false });
  keepInside();
  return set({ enlarged: scale });
}

/** Move by screen pixels; does nothing where the whole picture is shown. */
export function pan(dx, dy) {
  if (view.fitted) return;
  view.x += dx;
  view.y += dy;
  keepInside();
  if (dx || dy) set({ enlarged: view.scale });
}

/** Move an enlarged picture so that a place of it is in sight. */
export function reveal([x, y]) {
  const needed = (place, size) => Math.max(0, EDGE - place) - Math.max(0, place - size + EDGE);
  const place = toScreen(x, y);
  pan(...stageSize().map((size, side) => needed(place[side], size)));
}

function keepInside() {
  const [width, height] = stageSize();
  const [w, h] = state.picture.size.map((side) => side * view.scale);
  const inside = (value, size, room) =>
    size <= room ? (room - size) / 2 : Math.min(margin(), Math.max(room - size - margin(), value));
  view.x = inside(view.x, w, width);
  view.y = inside(view.y, h, height);
}

export const isFitted = () => view.fitted;
export const scale = () => view.scale;
export const toScreen = (x, y) => [view.x + x * view.scale, view.y + y * view.scale];
export const toImage = (x, y) => [(x - view.x) / view.scale, (y - view.y) / view.scale];

/** A place of the picture, moved into it where it lies beside. */
export function clamped([x, y]) {
  const [w, h] = state.picture.size;
  return [Math.min(w, Math.max(0, x)), Math.min(h, Math.max(0, y))];
}
