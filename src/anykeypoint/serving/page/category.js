// What to look for: a kind that the library knows, points in words one a line, or points clicked onto a picture.

import { api } from "./api.js";
import { beginCreating } from "./placing.js";
import { at, make, on, set, state } from "./state.js";
import { open, refresh } from "./pictures.js";
import { note } from "./uploading.js";

const WRITTEN = 400; // milliseconds without a key after which what was written is looked at
const MOST = 60; // kinds that are shown
const NARROW = /^(field2?_|mp100\/)/; // names of what is of one data set, or one animal of many; found by a search alone
const dialog = at("category-dialog");
let library = null; // GET /v1/categories

/** Open the dialog. */
export async function chooseCategory() {
  dialog.replaceChildren(...content());
  dialog.showModal();
  dialog.querySelector("#library-search").focus();
  lookAtWords(0);
  if (!library) showLibrary("");
  try {
    library ??= await api.categories();
    showLibrary(at("library-search").value);
  } catch (error) {
    if (dialog.open) refuse(error.message);
  }
}

function content() {
  const search = make("input", {
    id: "library-search",
    type: "search",
    placeholder: "dog, face, car, hand …",
    oninput: (event) => showLibrary(event.target.value),
  });
  const noun = make("input", { id: "noun-input", type: "text", maxlength: "512", placeholder: "fox", value: nounNow() });
  const text = make("textarea", {
    id: "points-text",
    rows: 7,
    spellcheck: "false",
    placeholder: "nose: the black tip of the snout\nleft ear tip\nright ear tip\ntail tip",
    value: "",
    "aria-describedby": "points-doubts",
    oninput: () => lookAtWords(WRITTEN),
  });
  text.value = textNow();
  return [
    make("form", { method: "dialog", class: "dialog-head" },
      make("h2", { id: "category-title" }, "What should be found?"),
      make("button", { class: "icon", "aria-label": "Close" }, "×")),
    make("div", { class: "choices" },
      make("section", {},
        make("h3", {}, "A kind that is known"),
        make("label", { for: "library-search" }, "Search"), search,
        make("ul", { id: "library", class: "library", "aria-label": "Known kinds" })),
      make("section", {},
        make("h3", {}, "In your words"),
        make("label", { for: "noun-input" }, "The object"), noun,
        make("label", { for: "points-text" }, "Points, one per line. After a colon, say what it is."), text,
        make("ul", { id: "points-doubts", class: "doubts", "aria-live": "polite" }),
        make("button", { class: "primary", onclick: useText }, "Look for these")),
      make("section", {},
        make("h3", {}, "By showing them"),
        make("p", { class: "faint" }, "Click the points onto one picture. It becomes the example for all others."),
        make("button", { onclick: click }, "Click them on a picture"))),
    make("p", { id: "category-refused", class: "refusal", role: "alert" }),
  ];
}

const refuse = (sentence) => { at("category-refused").textContent = sentence; };
const nounNow = () => (state.project.category?.noun === "object" ? "" : state.project.category?.noun || "");

/** The points as they would be typed. */
function textNow() {
  const points = state.project.category?.keypoints || [];
  return points.map((one) => (one.description ? `${one.name}: ${one.description}` : one.name)).join("\n");
}

/** The kinds that fit what is searched for, those called just that first; where nothing is, those of general use. */
function fitting(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return library.filter((one) => !NARROW.test(one.name));
  const begins = (called) => called.startsWith(`${wanted} `) || called.endsWith(` ${wanted}`);
  const calledSo = ({ name, noun }) => {
    const own = name.replaceAll("_", " "), of = noun.toLowerCase();
    return own === wanted ? 3 : of === wanted ? 2 : begins(own) || begins(of) ? 1 : 0;
  };
  const fits = (one) => wanted.split(/\s+/).every((word) => `${one.name} ${one.noun}`.toLowerCase().includes(word));
  const seen = new Set(); // MP-100 and data sets have some kinds of the library under names of their own
  const isNew = (one) => seen.size < seen.add(`${one.noun}: ${one.keypoints}`).size;
  return library.filter((one) => fits(one) && isNew(one)).sort((one, other) => calledSo(other) - calledSo(one));
}

function showLibrary(text) {
  if (!library) return at("library")?.replaceChildren(make("li", { class: "faint" }, "They are being fetched…"));
  const entries = fitting(text).slice(0, MOST).map((one) => {
    const { length } = one.keypoints;
    const points = `${one.keypoints.slice(0, 5).join(", ")}${length > 5 ? " …" : ""}`;
    const number = make("span", { class: "faint number" }, `${length} points`);
    const use = { class: "quiet", onclick: () => choose({ library: one.name }), title: one.name };
    return make("li", {}, make("button", use, one.noun, number, make("span", { class: "faint" }, points)));
  });
  if (!entries.length) entries.push(make("li", { class: "faint" }, "None is known by that word: say it in your words, or show it."));
  return at("library")?.replaceChildren(...entries);
}

let written = 0; // timer of the look at what was written

/** Show below the points those lines whose words the model does not understand, each with the reason. */
function lookAtWords(milliseconds) {
  clearTimeout(written);
  written = setTimeout(async () => {
    const text = at("points-text").value;
    let found = [];
    try {
      found = text.trim() ? await api.doubts(text) : [];
    } catch {
      return; // what cannot be read is refused when it is used
    }
    if (!dialog.open || at("points-text").value !== text) return;
    at("points-doubts").replaceChildren(...found.map(({ name, doubt }) => make("li", {}, make("b", {}, name), ` ${doubt}`)));
  }, milliseconds);
}

function useText() {
  const change = { text: at("points-text").value.trim() };
  const noun = at("noun-input").value.trim();
  if (!change.text) return refuse("Write the points first, one a line.");
  if (noun) change.noun = noun;
  return choose(change);
}

async function choose(change) {
  refuse("");
  let project;
  try {
    project = await api.setCategory(change);
  } catch (error) {
    return dialog.open ? refuse(error.message) : note(error.message);
  }
  set({ project, densities: null, selected: null, mode: "look", creating: false, newNoun: null });
  if (project.said.length) note(project.said.join(" "));
  dialog.close();
  at("stage").focus({ preventScroll: true }); // so that Enter finishes the picture, and does not open the dialog again
  await refresh().catch(() => {}); // the server is away, which the page says; the list comes when it is back
  return state.picture && open(state.picture.id, true);
}

let loaded = "";
on("project", () => { // the words are looked at again when the model is there
  const now = state.project?.model.state;
  if (now !== loaded && dialog.open) lookAtWords(0);
  loaded = now;
});

function click() {
  const noun = at("noun-input").value.trim();
  if (!state.picture) return refuse("Add a picture first.");
  dialog.close();
  set({ newNoun: noun || null });
  return beginCreating();
}
