// Whether the server answers. While it does not, all work goes on with what the page has, the server is tried again
// with growing pauses, and the page says when it is back.

import { onElsewhere, onReach } from "./api.js";
import { at, letGo, on, set, state } from "./state.js";

const FIRST = 1000, LONGEST = 30000; // milliseconds between two tries
const SHOWN = 6000; // milliseconds for which the page says that the server is back
const AWAY = "The server does not answer; your work is kept in this browser.";
const SAVING = "The server is back. What you did meanwhile is being saved.";
const MOVED = "anykeypoint-moved"; // whether the page was opened anew as another project is served
const ANOTHER = "Another project is served at this address now, and is shown; what the one before has not got yet is kept in this browser until it is served here again.";
const BACK = "The server is back, and everything is saved.";

let tries = 0;
let back = false; // whether it is said that the server is back
let timer = 0;

/** The milliseconds to wait before the server is tried again; more with each call while it is away. */
export function pause() {
  tries += 1;
  return Math.min(LONGEST, FIRST * 2 ** (tries - 1));
}

/** The server answered, and it is the one that the page came from. */
export function isBack() {
  tries = 0;
  if (!state.away) return;
  back = true;
  set({ away: false });
}

onReach((reached) => {
  if (!reached && !state.away && state.project) set({ away: true });
});

onElsewhere(async () => {
  await letGo(); // what a hand holds is kept too
  sessionStorage.setItem(MOVED, "yes");
  location.reload();
});

/** After the page was opened anew for another project, say so. */
export function sayMoved() {
  if (sessionStorage.getItem(MOVED)) set({ told: ANOTHER });
  sessionStorage.removeItem(MOVED);
}

function show() {
  if (state.away) back = false;
  clearTimeout(timer);
  const saved = state.saving === "saved";
  const text = state.away ? AWAY : back ? (saved ? BACK : SAVING) : "";
  at("connection").hidden = !text;
  at("connection").classList.toggle("back", back);
  at("try-now").hidden = !state.away;
  if (at("connection-says").textContent !== text) at("connection-says").textContent = text;
  if (back && saved) {
    timer = setTimeout(() => {
      back = false;
      show();
    }, SHOWN);
  }
}

on("away saving", show);
