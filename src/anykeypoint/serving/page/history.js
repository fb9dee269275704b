// Changes of labels, with undo and redo for each picture. Undo lives in the page; what is saved is in the folder.

import { save } from "./saving.js";
import { set, state } from "./state.js";

const MOST = 200; // steps that are kept for a picture
const past = new Map(); // id -> labels, oldest first
const future = new Map(); // id -> labels, the next one last

const stack = (stacks, id) => stacks.get(id) || stacks.set(id, []).get(id);
const content = ({ points, box, done, example }) => ({ points, box, done, example });

/** Change the label of the picture that is looked at. */
export function change(label) {
  const { picture } = state;
  if (JSON.stringify(content(label)) === JSON.stringify(content(picture.label))) return;
  const before = stack(past, picture.id);
  before.push(content(picture.label));
  if (before.length > MOST) before.shift();
  future.set(picture.id, []);
  show(label);
}

/** Take the last change back. */
export const undo = () => step(past, future);

/** Make the change again that was taken back. */
export const redo = () => step(future, past);

export const canUndo = () => Boolean(state.picture && stack(past, state.picture.id).length);
export const canRedo = () => Boolean(state.picture && stack(future, state.picture.id).length);

/** A point has another name from now on, in the steps that were kept too. */
export function renameInHistory(key, name) {
  for (const labels of [...past.values(), ...future.values()]) {
    for (const label of labels) {
      const entries = Object.entries(label.points).map(([one, mark]) => [one === key ? name : one, mark]);
      label.points = Object.fromEntries(entries);
    }
  }
}

function step(from, to) {
  if (!state.picture) return;
  const { id, label } = state.picture;
  const found = stack(from, id).pop();
  if (!found) return;
  stack(to, id).push(content(label));
  show({ ...label, ...found });
}

function show(label) {
  const picture = { ...state.picture, label };
  set({ picture });
  save(picture.id, label);
}
