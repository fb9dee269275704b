// Clicking points onto a picture: those of the category one after the other, or new ones that get their names then.

import { api } from "./api.js";
import { toggleDrawer } from "./drawers.js";
import { change, renameInHistory } from "./history.js";
import { VISIBLE, withMark } from "./labels.js";
import { pictureOf } from "./kept_pictures.js";
import { basis, renameInUnsaved, save, say, saved, waiting, withoutSaving } from "./saving.js";
import { at, keys, letGo, set, state } from "./state.js";

/** The key of the point that the next click places; null where a click makes a new one. */
export function nextToPlace() {
  if (state.creating) return null;
  const marked = (key) => Boolean(state.picture.label.points[key]);
  if (state.selected && !marked(state.selected)) return state.selected;
  return keys().find((key) => !marked(key)) ?? state.selected;
}

/**
 * Send the category with other points, [{ name, description, was }], and perhaps other edges, pairs of indices. What
 * another window added or took out meanwhile stays so. Gives the keys of the points that are new.
 */
export async function changePoints(points, skeleton = null) {
  const change = { points, base: keys() };
  const noun = state.newNoun || state.project?.category?.noun;
  if (noun) change.noun = noun;
  if (skeleton) change.skeleton = skeleton;
  const project = await api.setCategory(change);
  await letGo(); // what a hand holds keeps its name
  set({ project });
  return project.added;
}

/** Join two points with an edge of the skeleton, or part them where they are joined. */
export function toggleEdge(one, other) {
  return inTurn(async () => {
    const [a, b] = [keys().indexOf(one), keys().indexOf(other)];
    if (a < 0 || b < 0 || a === b) return;
    const edges = state.project.category.skeleton;
    const rest = edges.filter(([p, q]) => !((p === a && q === b) || (p === b && q === a)));
    await changePoints(currentPoints(), rest.length < edges.length ? rest : [...edges, [a, b]]);
  });
}

/** The points of the category, as `changePoints` takes them. */
export function currentPoints() {
  const category = state.project?.category;
  if (!category) return [];
  return category.keypoints.map((point, place) => {
    return { name: point.name, description: point.description || "", was: category.keys[place] };
  });
}

let queue = Promise.resolve();

/** Change the points one after the other: people click and write faster than the server answers. */
function inTurn(work) {
  queue = queue.then(saved).then(() => withoutSaving(work)).catch((error) => say(error.message));
  return queue;
}

/** Make a new point where a person clicked, and let its name be written. */
export function addPoint(place) {
  const { id } = state.picture; // another one may be looked at when the server has answered
  return inTurn(() => added(id, place));
}

async function added(id, place) {
  const taken = new Set(keys());
  let number = keys().length + 1;
  while (taken.has(`point ${number}`)) number += 1;
  const [key] = await changePoints([...currentPoints(), { name: `point ${number}` }]);
  if (state.picture?.id !== id) return markIn(await pictureOf(id), key, place);
  change(withMark(state.picture.label, key, [...place, VISIBLE]));
  set({ selected: key });
  const other = document.activeElement.closest("#points input");
  if (other && other.value !== other.defaultValue) return undefined; // another name is being written
  toggleDrawer("panel", true); // its name is written there
  const input = document.querySelector(`#points [data-key="${CSS.escape(key)}"] input`);
  input?.focus({ preventScroll: true });
  input?.select();
  return undefined;
}

/** Mark a point in a picture that is not looked at. */
function markIn(picture, key, place) {
  const label = waiting(picture.id) || picture.label;
  save(picture.id, withMark(label, key, [...place, VISIBLE]), basis(picture.id) || picture.base || picture.label);
}

/** Give a point another name; its labels go with it. */
export function rename(key, name) {
  const wanted = name.trim();
  if (!wanted || wanted === key) return queue;
  return inTurn(async () => {
    if (!keys().includes(key)) throw new Error(`“${key}” is no longer the name of a point; “${wanted}” was given to none.`);
    const before = keys();
    await changePoints(currentPoints().map((one) => (one.was === key ? { ...one, name: wanted } : one)));
    const isGiven = ({ name, was }) => name === wanted && !before.includes(was); // another point may have that name
    const given = currentPoints().find(isGiven)?.was ?? wanted;
    const renamed = (label) => label && withName(label, key, given);
    renameInHistory(key, given);
    renameInUnsaved(renamed);
    const { picture } = state;
    const named = picture && { ...picture, label: renamed(picture.label), base: renamed(picture.base) };
    set({ picture: named, selected: state.selected === key ? given : state.selected, densities: null });
  });
}

/** A label in which a point has another name. */
function withName(label, key, name) {
  const { [key]: mark, ...points } = label.points;
  return mark ? { ...label, points: { ...points, [name]: mark } } : label;
}

/** Take a point out of the category; what was marked of it stays in the project's files, and it can be put back. */
export function remove(key) {
  return inTurn(async () => {
    const before = currentPoints();
    const points = before.filter((one) => one.was !== key);
    if (!points.length) throw new Error("One point must stay; rename it, or choose other points.");
    const gone = { row: keys().indexOf(key), edges: edgesByKey().filter((edge) => edge.includes(key)) };
    await changePoints(points);
    set({ selected: null });
    if (gone.row < 0) return; // another window took it out before
    say(`“${key}” is taken out of all pictures.`, ["Put it back", () => putBack(before[gone.row], gone)]);
  });
}

const edgesByKey = () => state.project.category.skeleton.map((edge) => edge.map((row) => keys()[row]));

/** Put a point back that was taken out: its labels come with it, and its edges to points that are still there. */
function putBack({ was, name, description }, { row, edges }) {
  say("");
  at("stage").focus({ preventScroll: true }); // the button that was pressed is gone
  return inTurn(async () => {
    const points = currentPoints();
    if (keys().includes(was)) return; // another window put it back before
    points.splice(row, 0, { name, description });
    const rows = new Map(points.map((one, place) => [one.was ?? was, place]));
    const there = [...edgesByKey(), ...edges].filter((edge) => edge.every((end) => rows.has(end)));
    await changePoints(points, there.map((edge) => edge.map((end) => rows.get(end))));
  });
}

/** Begin to click new points onto the picture. */
export function beginCreating() {
  set({ mode: "place", creating: true });
  at("stage").focus({ preventScroll: true });
}
