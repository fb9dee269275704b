// Several objects of one picture: each has a box, points and an answer of its own; the others are shown faintly.

import { api } from "./api.js";
import { change } from "./history.js";
import { entryOf } from "./listing.js";
import { ABSENT } from "./labels.js";
import { open, refresh } from "./pictures.js";
import { say, saved } from "./saving.js";
import { at, keys, make, on, set, state } from "./state.js";

const fetched = new Map(); // id -> { entry, picture }: the entry of the list that it was fetched for

/** The entries of all objects of the picture that is looked at, in the order in which they were added. */
function objects() {
  const { picture, list } = state;
  if (!picture) return [];
  return list.filter((one) => one.image === picture.image).sort((one, other) => one.object - other.object);
}

/** What the picture of an entry is called, with the number of the object where it is not the first. */
export const nameOf = (entry) => (entry.object > 1 ? `${entry.name}, object ${entry.object}` : entry.name);

let adding = false; // a key that is pressed twice adds one object

/** Begin another object of the picture: its box is drawn first. */
export async function addObject() {
  const { picture } = state;
  if (!picture || adding) return;
  adding = true;
  try {
    await saved();
    const added = await api.addObject(picture.id);
    await refresh();
    await open(added.id);
    if (state.picture?.id !== added.id) return; // another one was opened meanwhile
    set({ mode: "box", creating: false, draft: null });
    at("stage").focus({ preventScroll: true });
  } catch (error) {
    say(error.message);
  } finally {
    adding = false;
  }
}

/** Say that there is no such object: it has no labels then, and no export has it. Undo brings it back. */
async function dismiss() {
  const { picture } = state;
  const points = Object.fromEntries(keys().map((key) => [key, [null, null, ABSENT]]));
  change({ ...picture.label, points, box: null, done: true, example: false });
  const [first] = objects();
  if (first && first.id !== picture.id) await open(first.id);
}

function show() {
  const all = objects();
  at("objects").hidden = all.length < 2;
  if (all.length < 2) return at("objects").replaceChildren();
  const focused = document.activeElement?.closest("#objects") && document.activeElement.dataset.id;
  const buttons = all.map((one) => {
    const current = one.id === state.picture.id;
    const words = { class: "quiet", "aria-pressed": String(current), "aria-label": `Object ${one.object}`, onclick: () => open(one.id) };
    const button = make("button", words, String(one.object));
    button.dataset.id = one.id;
    return button;
  });
  const gone = make("button", { class: "quiet away", onclick: dismiss, title: "Its points are absent; no export has it" }, "No such object");
  at("objects").replaceChildren(make("span", { class: "faint" }, "Object"), ...buttons, ...(state.picture.object > 1 ? [gone] : []));
  if (focused) at("objects").querySelector(`[data-id="${focused}"]`)?.focus({ preventScroll: true });
  return undefined;
}

let round = 0;

/** Fetch what is known of the other objects, again where it changed. */
async function fetchOthers() {
  const mine = (round += 1);
  const found = [];
  for (const { id } of objects()) {
    if (id === state.picture.id || state.away) continue;
    const entry = entryOf(id);
    if (fetched.get(id)?.entry !== entry) {
      try {
        fetched.set(id, { entry, picture: await api.pictureAhead(id) });
      } catch {
        continue; // it is fetched again with the next change
      }
    }
    if (mine !== round) return;
    found.push(fetched.get(id).picture);
  }
  const ids = (all) => all.map((one) => `${one.id} ${one.label.revision} ${one.answer?.asked}`).join();
  if (ids(found) !== ids(state.others)) set({ others: found });
}

on("picture list", () => {
  show();
  fetchOthers();
});
