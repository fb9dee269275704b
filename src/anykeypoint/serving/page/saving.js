// Every change goes to the server at once. What the server has not got yet is kept in the browser, and is sent again
// when the server is back or the page is opened again, so that a browser or a server that is killed loses nothing.

import { Refused, api } from "./api.js";
import { EMPTY } from "./labels.js";
import { changesBetween, content, inWords, withChanges } from "./merging.js";
import { at, letGo, make, on, set, state } from "./state.js";

const FIRST = 1500, LONGEST = 30000; // milliseconds between two tries
const NEVER = [400, 404, 409, 413, 422]; // what the server answers where a label can never be saved as it is
const START = "anykeypoint-unsaved:"; // of the places in the browser where windows keep what the server has not got
const own = Math.random().toString(36).slice(2, 10); // tells this window's place from those of others
const unsaved = new Map(); // id of a picture -> { label, base }: its label, and that of the server which it was made of
let sending = false;
let held = 0; // changes of the points that are under way, during which no label is sent
let refused = 0; // tries in a row that the server had no time for

const place = () => `${START}${own}:${state.project.identity}`;

function keep() {
  try {
    if (unsaved.size) localStorage.setItem(place(), JSON.stringify([...unsaved]));
    else localStorage.removeItem(place());
  } catch {
    // a browser that keeps nothing: the server still gets it
  }
}

/**
 * Save a label. Of several labels of one picture only the last is sent. What another window changed meanwhile stays: the
 * server takes what differs from `base`, the label that this one was made of.
 */
export function save(id, label, base) {
  unsaved.set(id, { label, base: basis(id) || base });
  keep();
  set({ saving: "saving" });
  send();
}

/** The label of a picture that the server has not got yet; undefined where it has all. */
export const waiting = (id) => unsaved.get(id)?.label;

/** The label of the server that a label which it has not got yet was made of. */
export const basis = (id) => unsaved.get(id)?.base;

/** Wait until the server has everything; Refused while it does not answer. */
export async function saved() {
  while (unsaved.size) {
    if (state.away) throw new Refused("The server does not answer; try it again when it is back.", 0);
    await new Promise((done) => setTimeout(done, 30));
  }
}

/** Do something while no label is sent; those that change meanwhile are sent afterwards. */
export async function withoutSaving(work) {
  held += 1;
  try {
    return await work();
  } finally {
    held -= 1;
    if (unsaved.size) send();
  }
}

/** A point has another name from now on, in the labels that are still to be sent too. */
export function renameInUnsaved(renamed) {
  for (const [id, { label, base }] of unsaved) unsaved.set(id, { label: renamed(label), base: renamed(base) });
  keep();
}

/**
 * Send what an earlier page could not save, and what another window could not, once that one is closed. While a window
 * is open it holds a lock of its place, and sends what is there itself.
 */
export function saveLeftovers() {
  const { locks } = navigator; // a page without TLS from another machine has none
  try {
    locks?.request(place(), () => new Promise(() => {})); // until this window is closed
    for (const key of Object.keys(localStorage)) inherit(key, locks);
    if (locks) window.addEventListener("storage", ({ key, newValue }) => newValue && inherit(key, locks));
  } catch {
    // a browser that keeps nothing
  }
}

const awaited = new Set(); // places of other windows that are open

/** Take over what a window keeps for this project, when it is closed. */
function inherit(key, locks) {
  const ofProject = key.startsWith(START) && key.endsWith(`:${state.project.identity}`);
  if (!ofProject || key === place() || awaited.has(key)) return;
  awaited.add(key);
  const take = () => {
    awaited.delete(key);
    takeOver(key);
  };
  if (locks) locks.request(key, take);
  else take();
}

function takeOver(key) {
  let kept = null;
  try {
    kept = JSON.parse(localStorage.getItem(key) || "null");
  } catch {
    kept = null;
  }
  for (const [id, one] of kept || []) {
    const theirs = one.base ? one : { label: one, base: EMPTY }; // an older page kept the label alone
    const both = withTheirs(unsaved.get(id), theirs);
    unsaved.set(id, both);
    if (state.picture?.id === id) set({ picture: { ...state.picture, ...both } });
  }
  keep();
  localStorage.removeItem(key);
  if (!unsaved.size) return;
  set({ saving: "saving" });
  send();
}

/** What this window and a closed one changed in a label together; of one part what this window made of it. */
function withTheirs(ours, theirs) {
  if (!ours) return theirs;
  const parts = changesBetween(ours.base, ours.label).map(([part, key]) => `${part} ${key}`);
  const others = changesBetween(theirs.base, theirs.label).filter(([part, key]) => !parts.includes(`${part} ${key}`));
  return { ...ours, label: withChanges(ours.label, others) };
}

async function send() {
  if (sending || held) return;
  sending = true;
  try {
    while (unsaved.size && !held) {
      const [id, { label, base }] = unsaved.entries().next().value;
      if (!(await sent(id, label, base))) return;
    }
    if (!unsaved.size) set({ saving: "saved" });
  } finally {
    sending = false;
  }
}

/** Whether a label was saved or cannot be; false where it is tried again later. */
async function sent(id, label, base) {
  try {
    const whole = await api.save(id, label, content(base));
    await letGo(); // what a hand holds does not move
    const newer = unsaved.get(id).label;
    const theirs = changesBetween(label, whole.label); // another window's
    if (newer === label) unsaved.delete(id);
    else unsaved.set(id, { label: { ...withChanges(newer, theirs), revision: whole.label.revision }, base: whole.label });
    keep();
    if (refused) say("");
    refused = 0;
    const current = state.picture?.id === id;
    if (current) set({ picture: { ...whole, base: whole.label, label: waiting(id) || whole.label } });
    const both = theirs.length ? [`Another window changed ${inWords(theirs)} of ${whole.name}; what you did is kept too.`] : [];
    tell([...whole.said, ...both].join(" "), current);
    return true;
  } catch (error) {
    if (!NEVER.includes(error.status)) {
      set({ saving: "waiting" });
      if (error.status === 0) return false; // sent again when the server is back, which `connection` watches
      say(error.message);
      setTimeout(send, Math.min(LONGEST, FIRST * 2 ** refused));
      refused += 1;
      return false;
    }
    unsaved.delete(id); // it can never be saved as it is
    keep();
    const known = await api.picture(id).catch(() => null);
    const there = known && same(known.label, label); // it was saved, but the answer was lost on the way
    tell(there ? "" : error.message, state.picture?.id === id);
    if (known && state.picture?.id === id) set({ picture: { ...known, base: known.label } });
    return true;
  }
}

on("away", () => !state.away && unsaved.size && send());

const same = (one, other) => !changesBetween(one, other).length;

/** Say what came of a save: below the picture where it is looked at, and otherwise above the list until it is closed. */
function tell(sentence, current) {
  if (current) say(sentence);
  else if (sentence) set({ told: sentence });
}

/** Show a sentence below the picture; "" takes it away. answer: [text of a button behind it, what that does]. */
export function say(sentence, answer = null) {
  at("said").replaceChildren(sentence);
  if (answer) at("said").append(make("button", { onclick: answer[1] }, answer[0]));
}
