// Every change goes to the server at once. What the server has not got yet is kept in the browser, and is sent again
// when the server is back or the page is opened again, so that a browser or a server that is killed loses nothing.

import { api } from "./api.js";
import { at, set, state } from "./state.js";

const WAIT = 1500; // milliseconds between two tries
const unsaved = new Map(); // id of a picture -> its label
let sending = false;

const place = () => `anykeypoint-unsaved:${state.project.folder}`;

function keep() {
  try {
    if (unsaved.size) localStorage.setItem(place(), JSON.stringify([...unsaved]));
    else localStorage.removeItem(place());
  } catch {
    // a browser that keeps nothing: the server still gets it
  }
}

/** Save a label. Of several labels of one picture only the last is sent. */
export function save(id, label) {
  unsaved.set(id, label);
  keep();
  set({ saving: "saving" });
  send();
}

/** The label of a picture that the server has not got yet; undefined where it has all. */
export const waiting = (id) => unsaved.get(id);

/** Wait until the server has everything. */
export async function saved() {
  while (unsaved.size) await new Promise((done) => setTimeout(done, 30));
}

/** Send what an earlier page could not save. */
export function saveLeftovers() {
  let kept = null;
  try {
    kept = JSON.parse(localStorage.getItem(place()) || "null");
  } catch {
    kept = null;
  }
  for (const [id, label] of kept || []) if (!unsaved.has(id)) unsaved.set(id, label);
  if (unsaved.size) send();
}

async function send() {
  if (sending) return;
  sending = true;
  try {
    while (unsaved.size) {
      const [id, label] = unsaved.entries().next().value;
      if (!(await sent(id, label))) return;
    }
    set({ saving: "saved" });
  } finally {
    sending = false;
  }
}

/** Whether a label was saved or cannot be; false where it is tried again later. */
async function sent(id, label) {
  try {
    const whole = await api.save(id, label);
    const newer = unsaved.get(id);
    if (newer === label) unsaved.delete(id);
    else unsaved.set(id, { ...newer, revision: whole.label.revision });
    keep();
    if (state.picture?.id === id) {
      const shown = newer === label ? whole.label : { ...state.picture.label, revision: whole.label.revision };
      set({ picture: { ...whole, label: shown } });
      say("");
    }
    return true;
  } catch (error) {
    if (error.status === 0 || error.status === 503 || error.status === 429 || error.status === 500) {
      set({ saving: "waiting" });
      say(error.message);
      setTimeout(send, WAIT);
      return false;
    }
    unsaved.delete(id); // it can never be saved as it is
    keep();
    const known = await api.picture(id).catch(() => null);
    const there = known && same(known.label, label); // it was saved, but the answer was lost on the way
    say(there ? "" : error.message);
    if (known && state.picture?.id === id) set({ picture: known });
    return true;
  }
}

const same = (one, other) =>
  ["points", "box", "done", "example"].every((part) => JSON.stringify(one[part]) === JSON.stringify(other[part]));

/** Show a sentence below the picture; "" takes it away. */
export function say(sentence) {
  at("said").textContent = sentence;
}
