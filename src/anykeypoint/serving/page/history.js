// Changes of labels, with undo and redo for each picture. Undo lives in the page; what is saved is in the folder.

import { changesBetween, reversed, stillFit, withChanges } from "./merging.js";
import { save, say } from "./saving.js";
import { set, state } from "./state.js";

const MOST = 200; // steps that are kept for a picture
const past = new Map(); // id -> steps, oldest first: what takes each change back
const future = new Map(); // id -> steps, the next one last: what makes each change again

const stack = (stacks, id) => stacks.get(id) || stacks.set(id, []).get(id);

/** Change the label of the picture that is looked at. */
export function change(label) {
  const { picture } = state;
  const changes = changesBetween(picture.label, label);
  if (!changes.length) return;
  const before = stack(past, picture.id);
  before.push(reversed(changes));
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
  for (const steps of [...past.values(), ...future.values()]) {
    for (const changes of steps) {
      for (const one of changes) if (one[0] === "points" && one[1] === key) one[1] = name;
    }
  }
}

/** One step back or forth, of what this window did: what another one changed since stays as it is there. */
function step(from, to) {
  if (!state.picture) return;
  const { id, label } = state.picture;
  for (let changes = stack(from, id).pop(); changes; changes = stack(from, id).pop()) {
    const own = stillFit(label, changes);
    if (own.length) {
      stack(to, id).push(reversed(own));
      show(withChanges(label, own));
      return;
    }
    say("Another window changed that since; it stays as it is there.");
  }
  set({ picture: state.picture });
}

function show(label) {
  const base = state.picture.base || state.picture.label;
  const picture = { ...state.picture, base, label };
  set({ picture });
  save(picture.id, label, base);
}
