// The beginning: what the page shows first, what its buttons do, and how it follows the server.

import { api, onTokenNeeded } from "./api.js";
import { chooseCategory } from "./category.js";
import { isBack, pause, sayMoved } from "./connection.js";
import { pullDrawer, toggleDrawer } from "./drawers.js";
import { showExport } from "./exporting.js";
import { finish } from "./finishing.js";
import "./gestures.js";
import { canRedo, canUndo, redo, undo } from "./history.js";
import { switchMode } from "./keyboard.js";
import { entryOf, isOld } from "./listing.js";
import { changesBetween, inWords } from "./merging.js";
import { addObject, nameOf } from "./objects.js";
import "./panel.js";
import { canGoBack, isOpening, lookAhead, next, openLeastSure, previous, refresh } from "./pictures.js";
import { say, saveLeftovers, waiting } from "./saving.js";
import { showHelp } from "./shortcuts.js";
import { draw } from "./stage.js";
import { at, make, on, set, state } from "./state.js";
import { note, uploads } from "./uploading.js";
import { beginCreating } from "./placing.js";
import { followDensities } from "./densities.js";

const SOON = 900, LATER = 4000; // milliseconds between two looks at the server
let timer = 0;
const noted = new Set(); // notes of the project that are shown already

// --- buttons ---------------------------------------------------------------------------------------------------------

const clicks = {
  "open-category": chooseCategory,
  "open-export": showExport,
  "open-help": showHelp,
  previous,
  next,
  undo,
  redo,
  "mode-place": (event) => switchMode("place", event),
  "mode-box": (event) => switchMode("box", event),
  "mode-ask": (event) => switchMode("ask", event),
  "make-example": () => finish(true),
  finish: () => finish(false),
  "add-point": beginCreating,
  "add-object": addObject,
  "show-list": () => pullDrawer("list", "pictures"),
  "show-panel": () => pullDrawer("panel", "panel"),
  "try-now": () => follow(),
  unsay: () => say(""),
};
for (const [id, run] of Object.entries(clicks)) at(id).addEventListener("click", run);
at("toggle-names").addEventListener("change", (event) => set({ names: event.target.checked }));
at("toggle-density").addEventListener("change", (event) => set({ density: event.target.checked }));

at("list").addEventListener("click", () => toggleDrawer("list", false));

// What a hand has pressed gives the focus to the picture, so that Enter finishes it; with the keyboard it stays.
document.addEventListener("click", (event) => {
  if (event.pointerType && event.target.closest("#list, #objects, .tools, .states")) at("stage").focus({ preventScroll: true });
});

function showTools() {
  const none = !state.picture;
  for (const id of ["add-point", "add-object", "mode-place", "mode-box", "mode-ask", "make-example", "finish"]) at(id).disabled = none;
  at("previous").disabled = !canGoBack();
  at("next").disabled = state.list.length < 2;
  at("undo").disabled = !canUndo();
  at("redo").disabled = !canRedo();
  at("open-category").disabled = at("open-export").disabled = !state.project;
  for (const mode of ["place", "box", "ask"]) at(`mode-${mode}`).setAttribute("aria-pressed", String(state.mode === mode));
  at("stage").dataset.mode = state.mode;
  at("toggle-names").checked = state.names;
  at("toggle-density").checked = state.density;
  at("stage").setAttribute("aria-label", none ? "No picture yet" : `Picture ${nameOf(state.picture)}`);
}

function showHint() {
  const { mode, creating, draft, picture, project } = state;
  let hint = state.tip;
  if (mode === "place") hint = creating ? "Click each point and name it; then press “Use as example”." : "Click where the selected point is.";
  else if (mode === "box") hint = draft ? "The other corner." : "Draw a box; only what is inside is looked at.";
  else if (mode === "ask") hint = "Click a place to see which point it may be.";
  else if (picture?.object > 1 && !picture.label.box && !picture.label.done) hint = "No box yet: draw one (B), or say “No such object”.";
  else if (picture && project?.category && project.answers.reason) hint = project.answers.reason;
  show("stage-hint", hint);
}

// --- the first steps -------------------------------------------------------------------------------------------------

function showWelcome() {
  const welcome = at("welcome");
  const stepNow = !state.project ? "wait" : !state.list.length && !state.project.pictures ? "drop"
    : state.gone ? "gone" : !state.project.category && state.mode === "look" ? "choose" : "";
  if (welcome.dataset.step === stepNow && (stepNow !== "gone" || welcome.textContent === state.gone)) return;
  const inside = welcome.contains(document.activeElement);
  welcome.dataset.step = stepNow;
  welcome.hidden = !stepNow;
  if (stepNow === "gone") {
    welcome.replaceChildren(make("div", { class: "card", role: "alert" }, make("p", { class: "refusal" }, state.gone)));
  } else if (stepNow === "drop") {
    welcome.replaceChildren(
      make("div", { class: "card" },
        make("h2", {}, "Drop your pictures here"),
        make("p", {}, "or a whole folder. They stay on this computer."),
        make("p", { class: "buttons" },
          make("button", { class: "primary", onclick: () => at("add-pictures").click() }, "Choose pictures"),
          make("button", { onclick: () => at("add-folder").click() }, "Choose a folder"))));
  } else if (stepNow === "choose") {
    welcome.replaceChildren(
      make("div", { class: "card low" },
        make("h2", {}, "What should be found?"),
        make("p", { class: "buttons" },
          make("button", { class: "primary", onclick: chooseCategory }, "Say it in words"),
          make("button", { onclick: beginCreating }, "Click it on this picture"))));
  }
  if (inside) ((stepNow && welcome.querySelector("button")) || at("stage")).focus({ preventScroll: true });
}

// --- following the server --------------------------------------------------------------------------------------------

function showProgress() {
  const { project } = state;
  if (!project) return;
  const { model, answers } = project;
  const sending = uploads();
  let text = "";
  let share = 1;
  let heard = null; // what a screen reader says, where that is not the text: a number that goes up is not read out
  if (sending) {
    heard = "Pictures are being added.";
    text = `Adding pictures: ${sending[0]} of ${sending[1]}`;
    share = sending[0] / sending[1];
  } else if (model.state === "failed") text = model.step;
  else if (model.state !== "ready") {
    heard = "The model is being loaded. You can begin already.";
    text = `The model is being loaded (${model.step}). You can begin already.`;
    share = 0.1;
  } else if (answers.state === "working") {
    heard = "Pictures are being answered.";
    text = `Answering: ${answers.answered} of ${answers.total}`;
    share = answers.answered / Math.max(1, answers.total);
  } else if (answers.state === "waiting") text = project.pictures && project.category ? answers.reason : "";
  else if (project.pictures && state.saving === "saved") text = "Everything is saved.";
  else if (project.pictures) [text, heard] = ["Saving …", at("progress-heard").textContent]; // as with each change
  if (state.away) [text, share] = [sending ? text : "", 1]; // that it is away stands in its place
  show("progress", text);
  show("progress-heard", heard ?? text);
  at("progress").classList.toggle("failed", model.state === "failed");
  at("progress-bar").firstElementChild.style.setProperty("--share", share);
  at("progress-bar").classList.toggle("working", share < 1);
}

/** Put a text into an element, unless it is there: what is put there again may be read out again. */
function show(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text;
}

async function follow() {
  clearTimeout(timer);
  let soon = true;
  try {
    const before = state.project?.answers;
    const project = await api.overview();
    if (state.dragging) return followIn(SOON); // what a hand holds keeps its name
    set({ project });
    isBack();
    if (!before) {
      say(""); // that it was away
      saveLeftovers();
    }
    for (const sentence of project.notes.filter((one) => !noted.has(one))) note(sentence);
    project.notes.forEach((one) => noted.add(one));
    soon = ["working", "refining"].includes(project.answers.state) || project.model.state === "loading";
    if (isOld(project)) await refresh();
    await followPicture();
    if (before?.state !== "idle" && project.answers.state === "idle") lookAhead();
    if (!isOpening() && !state.picture && state.list.length) await openLeastSure();
  } catch (error) {
    if (error.status === 404 && !state.project) return noProject();
    if (!state.project) say(error.message);
  }
  followIn(state.away ? pause() : soon || state.saving !== "saved" ? SOON : LATER);
  return undefined;
}

function followIn(milliseconds) {
  clearTimeout(timer);
  timer = setTimeout(follow, milliseconds);
}

let followed = null; // the entry of the list that the picture on the screen was fetched for

/** Show what is new of the picture that is looked at, unless a person is at work on it right now. */
async function followPicture() {
  const { picture } = state;
  const entry = picture && entryOf(picture.id);
  if (!entry || entry === followed || state.dragging || waiting(picture.id)) return;
  const fresh = await api.picture(picture.id);
  const now = state.picture;
  if (now?.id !== fresh.id || state.dragging || waiting(fresh.id) || fresh.label.revision < now.label.revision) return;
  followed = entry;
  const theirs = changesBetween(now.base || now.label, fresh.label);
  const answered = JSON.stringify(fresh.answer) !== JSON.stringify(now.answer);
  const label = theirs.length ? fresh.label : now.label;
  if (theirs.length || answered || fresh.error !== now.error) {
    set({ picture: { ...fresh, base: fresh.label, label }, ...(answered ? { densities: null } : {}) });
  } else Object.assign(now, { doubt: fresh.doubt, state: fresh.state });
  if (theirs.length) say(`Another window changed ${inWords(theirs)} of this picture; it is shown as it is there.`);
}

function noProject() {
  at("welcome").hidden = false;
  at("welcome").replaceChildren(make("div", { class: "card" },
    make("h2", {}, "This server has no project"),
    make("p", {}, "To label pictures here, start it with a folder for your work:"),
    make("pre", {}, "anykeypoint serve --project my-project"),
    make("p", { class: "faint" }, "Its API is described at /openapi.json.")));
}

let token = null; // what is asked for, so that several requests that need it ask once

onTokenNeeded(() => (token ??= askForToken().finally(() => { token = null; })));

const askForToken = () => new Promise((done) => {
  const dialog = at("token-dialog");
  const input = make("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  dialog.replaceChildren(make("form", { method: "dialog" },
    make("h2", { id: "token-title" }, "This server needs its token"),
    make("label", { for: "token" }, "Token"), input,
    make("button", { class: "primary" }, "Go on")));
  dialog.addEventListener("close", () => done(input.value.trim() || null), { once: true });
  dialog.showModal();
});

on("picture list mode project names density saving", showTools);
on("project picture mode draft creating saving tip", showHint);
on("project mode list gone", showWelcome);
on("project saving away", showProgress);
on("project saving picture", draw);
on("saving", () => state.saving === "saved" && setTimeout(follow, 60));
on("away", () => state.away && followIn(pause()));
window.addEventListener("online", () => state.away && follow());
on("uploaded", follow);
on("told", () => note(state.told));
sayMoved();
followDensities();

await follow();
