// The list of pictures, the least sure first, and going from one to the next.

import { api } from "./api.js";
import { fetchAhead, isKept, pictureOf, pixelsOf } from "./kept_pictures.js";
import { EMPTY, percent } from "./labels.js";
import { fetchList } from "./listing.js";
import { basis, say, waiting } from "./saving.js";
import { at, make, on, set, state } from "./state.js";
import { fit, scale } from "./view.js";

const THUMB = 128;
const KEPT = 400; // small pictures that are kept
const AHEAD = 3; // pictures that are fetched before they are asked for
const NOT_HERE = "The other pictures are not in the browser; they can be opened when the server is back.";
const rows = new Map(); // id -> its row
const thumbs = new Map(); // id -> the address of its blob
const visited = []; // ids in the order in which they were looked at
let here = -1; // place in `visited`
let opening = 0; // number of the last picture that was asked for
let failed = 0; // number of the last one that did not come

// --- opening a picture -----------------------------------------------------------------------------------------------

/** Look at a picture. */
export async function open(id, keepWay = false) {
  const isNew = !keepWay && visited[here] !== id;
  if (isNew) {
    visited.splice(here + 1);
    visited.push(id);
    here = visited.length - 1;
  }
  const mine = (opening += 1);
  const other = state.picture?.id !== id;
  try {
    const picture = await pictureOf(id);
    if (mine !== opening) return;
    const label = waiting(id) || picture.label;
    const base = basis(id) || picture.base || picture.label;
    const sameFile = state.bitmap && state.picture?.image === picture.image; // another object of the same picture
    set({ picture: { ...picture, base, label: { ...EMPTY, ...label } } });
    if (other) {
      set({ bitmap: sameFile ? state.bitmap : null, part: sameFile ? state.part : null, gone: "", selected: null, hovered: null, densities: null, cross: null, draft: null });
      say("");
      fit();
      showCurrent();
      await showPixels(picture);
      if (mine === opening) lookAhead();
    }
  } catch (error) {
    if (mine !== opening) return;
    failed = mine;
    if (isNew && state.picture?.id !== id) {
      visited.pop();
      here -= 1;
    }
    say(state.away ? NOT_HERE : error.message);
  }
}

/** Show a picture's pixels; where its file cannot be read, the stage says so, and nothing else does. */
async function showPixels(picture) {
  try {
    await bring(picture, sideFor(picture.size));
  } catch (error) {
    if (state.picture.id !== picture.id) return;
    if (error.status === 0) throw error;
    set({ gone: error.message });
  }
}

/** Put pixels onto the stage, unless another picture is looked at by then, or there are more pixels already. */
async function bring(picture, side) {
  const bitmap = await createImageBitmap(await pixelsOf(picture.id, side));
  if (state.picture.id === picture.id && !(state.bitmap?.width >= bitmap.width)) set({ bitmap });
  else bitmap.close();
}

let sharpening = ""; // what is being fetched

/** Fetch more pixels of a picture that is enlarged, where the server has them. */
async function sharpen() {
  const { picture, bitmap } = state;
  if (!bitmap || state.away) return;
  const longest = Math.max(...picture.size);
  const side = sideFor(picture.size, scale() * longest);
  const wanted = `${picture.id} ${side}`;
  if (Math.max(bitmap.width, bitmap.height) >= Math.min(side, longest) || sharpening === wanted) return;
  sharpening = wanted;
  await bring(picture, side).catch(() => {}); // those that are there stay
  if (sharpening === wanted) sharpening = "";
}

let onStage = null; // the pixels that the stage draws

/** Give back the pixels that are no longer drawn: a browser that is left to find them itself lets gigabytes pile up. */
function giveBack() {
  if (onStage !== state.bitmap) onStage?.close();
  onStage = state.bitmap;
}

/** Fetch the pixels that did not come before the server was away. */
async function showMissing() {
  if (state.away) return;
  if (at("said").textContent === NOT_HERE) say("");
  const { picture, bitmap, gone } = state;
  if (picture && !bitmap && !gone) await showPixels(picture).catch(() => {}); // away again: they come when it is back
}

/** Fetch the pictures that come next, so that they are there at once. */
export function lookAhead() {
  const coming = unfinished().filter((one) => one.state !== "failed").slice(0, AHEAD);
  return fetchAhead(coming.map((one) => [one.id, sideFor(one.size)]));
}

/**
 * The smallest side that the server gives and that is sharp on this screen. shown: screen pixels of the longer side, at
 * most; those of the stage for a picture that is not enlarged.
 */
function sideFor(size, shown = Math.max(at("stage").clientWidth, at("stage").clientHeight)) {
  const wanted = shown * (window.devicePixelRatio || 1);
  return [512, 1024, 2048].find((side) => side >= Math.min(wanted, Math.max(...size))) || 2048;
}

/**
 * The next picture: one that was looked at before going back, otherwise the least sure of the unfinished ones that were
 * not looked at yet; where all were, the one that was looked at longest ago.
 */
export function next() {
  if (here < visited.length - 1) {
    here += 1;
    return open(visited[here], true);
  }
  const last = new Map(visited.map((id, place) => [id, place]));
  const place = (one) => last.get(one.id) ?? -1;
  const [chosen] = unfinished().sort((one, other) => place(one) - place(other));
  return chosen ? open(chosen.id) : openLeastSure();
}

export function previous() {
  if (here > 0) {
    here -= 1;
    return open(visited[here], true);
  }
  return undefined;
}

/** Whether a picture was asked for already, and may still come. */
export const isOpening = () => opening > failed;

export const canGoBack = () => here > 0;

/**
 * What comes after a picture: its other objects that nobody has finished, then the least sure picture, one that cannot be
 * answered after all others; where all are finished, the one after this.
 */
export async function openLeastSure() {
  const left = unfinished();
  const others = state.list.filter((one) => one.id !== state.picture?.id && isHere(one));
  const place = others.findIndex((one) => one.name > (state.picture?.name || ""));
  const chosen = left.find((one) => one.state !== "failed") || left[0] || others[place < 0 ? 0 : place];
  if (chosen) await open(chosen.id);
  else if (state.away) say(NOT_HERE);
}

/**
 * The other pictures that nobody has finished and that can be opened, the least sure first; before them the other objects
 * of the picture that is looked at, which is in a person's mind already.
 */
function unfinished() {
  const { picture, list } = state;
  const left = list.filter((one) => one.id !== picture?.id && !isFinished(one) && isHere(one));
  const isOther = (one) => Number(one.image !== picture?.image);
  return left.sort((one, other) => isOther(one) - isOther(other));
}

/** Whether a picture can be opened: all can, while the server answers. */
const isHere = (one) => !state.away || isKept(one.id);

export const isFinished = (entry) => entry.state === "done" || entry.state === "example";

// --- the list --------------------------------------------------------------------------------------------------------

const SAID = {
  waiting: "not answered yet",
  answered: "answered",
  failed: "could not be answered",
  started: "begun",
  done: "finished",
  example: "example",
};
const list = at("list");

/** Fetch the list. */
export async function refresh() {
  set({ list: withUnsaved(await fetchList()) });
}

/** The list with what the server has not got yet, so that a picture that was finished just now does not come again. */
function withUnsaved(entries) {
  return entries.map((one) => {
    const label = waiting(one.id);
    return label?.done ? { ...one, state: label.example ? "example" : "done" } : one;
  });
}

/** Show in the list what was done just now. */
export const showUnsaved = () => set({ list: withUnsaved(state.list) });

const PAUSE = 1000; // milliseconds between two lists while many pictures are sent
let listed = 0;

/** Fetch the list, unless that was done a moment ago: a list of thousands after each picture would hold up the next. */
export async function refreshSometimes() {
  if (Date.now() - listed < PAUSE) return;
  listed = Date.now();
  await refresh();
}

const filled = new Map(); // id -> the entry that its row shows
const moved = new Set(); // rows that may stand in the wrong place

function show() {
  for (const entry of state.list) {
    if (filled.get(entry.id) === entry) continue;
    const row = rows.get(entry.id) || newRow(entry);
    fill(row, entry);
    filled.set(entry.id, entry);
    moved.add(row);
  }
  const busy = list.contains(document.activeElement) || list.matches(":hover");
  const wanted = state.list.map((one) => rows.get(one.id));
  if (!busy || list.children.length !== wanted.length) reorder(wanted);
  const finished = state.list.filter(isFinished).length;
  at("count").textContent = state.list.length ? `${finished} of ${state.list.length} finished` : "";
  showCurrent();
  if (!reached) letReach(wanted[0]?.firstElementChild);
}

/** Put the rows in order: those that changed are taken out, so that the others, which stay in order, are not touched. */
function reorder(wanted) {
  if (wanted.every((row, place) => list.children[place] === row)) return moved.clear();
  const focused = document.activeElement;
  const inside = list.contains(focused);
  for (const row of moved) row.remove();
  moved.clear();
  let following = list.firstElementChild;
  for (const row of wanted) {
    if (row === following) following = following.nextElementSibling;
    else list.insertBefore(row, following);
  }
  if (inside) focused.focus({ preventScroll: true });
  return undefined;
}

let reached = null; // the button of the list that Tab reaches; the arrow keys go on from there

function letReach(button) {
  if (!button || button === reached) return;
  if (reached) reached.tabIndex = -1;
  button.tabIndex = 0;
  reached = button;
}

function newRow(entry) {
  const thumb = make("img", { alt: "", width: 56, height: 42, decoding: "async" });
  const text = make("span", { class: "row-text" }, make("span", { class: "row-name" }), make("span", { class: "row-state" }));
  const words = { class: "row", "aria-current": "false", tabIndex: -1, onclick: () => open(entry.id) };
  const button = make("button", words, thumb, text, make("span", { class: "share" }));
  const row = make("li", {}, button);
  row.dataset.id = entry.id;
  rows.set(entry.id, row);
  seen.observe(row);
  return row;
}

function fill(row, entry) {
  const button = row.firstElementChild;
  const words = entry.state === "answered" ? `${percent(1 - entry.doubt)} sure` : SAID[entry.state];
  const name = entry.object > 1 ? `${entry.name} · ${entry.object}` : entry.name;
  row.querySelector(".row-name").textContent = name;
  row.querySelector(".row-state").textContent = entry.error || words;
  button.setAttribute("aria-label", `${name}, ${entry.error || words}`);
  button.title = entry.error || entry.name;
  row.querySelector(".share").style.setProperty("--share", entry.state === "answered" ? 1 - entry.doubt : 0);
  row.className = entry.state;
}

let current = null; // the row of the picture that is looked at

function showCurrent() {
  const row = rows.get(state.picture?.id) || null;
  if (row === current) return;
  current?.firstElementChild.setAttribute("aria-current", "false");
  row?.firstElementChild.setAttribute("aria-current", "true");
  current = row;
  letReach(row?.firstElementChild);
}

const inSight = new Set(); // ids of rows
const fetching = new Set(); // ids of small pictures

// Small pictures are fetched when their row comes into sight.
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const id = Number(target.dataset.id);
    if (!isIntersecting) inSight.delete(id);
    else {
      inSight.add(id);
      loadThumb(id);
    }
  }
}, { root: at("pictures"), rootMargin: "200px" });

async function loadThumb(id) {
  if (thumbs.has(id) || fetching.has(id)) return;
  const image = rows.get(id).querySelector("img");
  image.classList.remove("broken");
  fetching.add(id);
  try {
    image.src = URL.createObjectURL(await api.image(id, THUMB));
    thumbs.set(id, image.src);
    forgetOne();
  } catch {
    image.classList.add("broken");
  } finally {
    fetching.delete(id);
  }
}

/** Forget the small picture that came first of those whose rows are not in sight, where there are too many. */
function forgetOne() {
  const gone = thumbs.size > KEPT ? [...thumbs.keys()].find((id) => !inSight.has(id)) : undefined;
  if (gone === undefined) return;
  URL.revokeObjectURL(thumbs.get(gone));
  thumbs.delete(gone);
  rows.get(gone).querySelector("img").removeAttribute("src");
}

/** Those that did not come while the server was away are fetched now, where their rows are in sight. */
function loadBroken() {
  for (const row of state.away ? [] : list.querySelectorAll("li:has(img.broken)")) {
    seen.unobserve(row);
    seen.observe(row);
  }
}

list.addEventListener("keydown", (event) => {
  const row = event.target.closest("li");
  const ways = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling, Home: list.firstElementChild, End: list.lastElementChild };
  if (!row || !(event.key in ways)) return;
  event.preventDefault();
  event.stopPropagation();
  ways[event.key]?.firstElementChild.focus();
});
list.addEventListener("focusin", (event) => letReach(event.target.closest(".row")));

on("bitmap", giveBack);
on("enlarged", sharpen);
on("list", show);
on("away", loadBroken);
on("away", showMissing);
on("picture", showCurrent);
