// What is known of each point: a person's mark where there is one, otherwise the model's answer.

import { state, keys } from "./state.js";

export const ABSENT = 0, HIDDEN = 1, VISIBLE = 2;
export const WORDS = ["absent", "hidden", "visible"];
export const EMPTY = { points: {}, box: null, done: false, example: false, revision: 0 };

/** The point of a key as it is shown: place, visibility, whether a person said it; null where nothing is known. */
export function point(key, picture = state.picture) {
  if (!picture) return null;
  const mark = picture.label.points[key];
  const found = picture.answer?.points[key];
  const [x, y, confidence, presence] = found || [null, null, null, null];
  if (mark) {
    const place = mark[2] === ABSENT ? [x, y] : [mark[0], mark[1]];
    return { x: place[0], y: place[1], visibility: mark[2], mine: true, confidence, presence };
  }
  if (!found || picture.label.done) return null;
  const [w, h] = picture.size;
  const outside = x < 0 || y < 0 || x > w || y > h; // models may answer beside the picture where there is a box
  const absent = outside || (presence !== null && presence < 0.5);
  return { x, y, visibility: absent ? ABSENT : VISIBLE, mine: false, confidence, presence };
}

/** All points that have a place, by key. */
export function placed() {
  return keys().map((key) => [key, point(key)]).filter(([, one]) => one && one.x !== null);
}

/** A label with one mark changed; null takes the mark away, so that the model's answer is shown again. */
export function withMark(label, key, mark) {
  const points = { ...label.points };
  if (mark === null) delete points[key];
  else points[key] = mark;
  const marked = Object.values(points).some((one) => one[2] !== ABSENT);
  return { ...label, points, example: label.example && label.done && marked };
}

/** A label in which every point is said by a person: those that nobody touched are as the model answered. */
export function finished(picture, category) {
  const points = { ...picture.label.points };
  for (const key of category) {
    const one = point(key, picture);
    if (one && !points[key]) points[key] = one.visibility === ABSENT ? [null, null, ABSENT] : [one.x, one.y, VISIBLE];
  }
  return { ...picture.label, points, done: true };
}

/** The number of points with a place in a label. */
export const countMarked = (label) => Object.values(label.points).filter((mark) => mark[2] !== ABSENT).length;

/** A colour for the point of a number: neighbours differ, all are bright enough on a photo. */
export function colour(number, alpha = 1) {
  return `hsl(${Math.round((number * 137.508 + 168) % 360)} 82% 60% / ${alpha})`;
}

export const percent = (share) => (share === null || share === undefined ? "" : `${Math.round(100 * share)} %`);
