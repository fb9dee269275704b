// What the page knows, in one place, and who is told when a part of it changes.

export const state = {
  project: null, // GET /v1/project
  list: [], // GET /v1/project/pictures
  picture: null, // the one that is looked at: GET /v1/project/pictures/N; its label is what is on the screen, its base the server's
  bitmap: null, // its pixels
  gone: "", // why it has none
  part: null, // what is in sight of a picture that is enlarged, with more pixels: { box: [left, top, width, height], bitmap }
  enlarged: 1, // screen pixels for a pixel of the picture, when a hand enlarged or moved it last
  others: [], // the other objects of the picture, as `picture` is
  selected: null, // key of the selected point
  hovered: null, // key of the point under the pointer
  mode: "look", // look, place, box or ask
  creating: false, // whether a click in the mode "place" makes a new point
  tip: "", // a sentence below the picture
  newNoun: null, // what the object is called, said before there is a category
  cross: null, // [x, y] of the crosshair, image pixels, where the keyboard points
  dragging: false, // whether a pointer holds something
  draft: null, // [x, y, x, y] of a box that is being drawn
  names: true,
  density: false,
  densities: null, // of the picture: { asked, crop, cells, grids }
  saving: "saved", // saved, saving or waiting
  told: "", // a sentence about a picture that is not looked at any longer
  away: false, // whether the server does not answer
};

const listeners = new Map();

/** Call a function whenever one of the named parts has changed. */
export function on(parts, listener) {
  for (const part of parts.split(" ")) {
    if (!listeners.has(part)) listeners.set(part, []);
    listeners.get(part).push(listener);
  }
}

/** Put new values in, and tell those that listen to them, each once. */
export function set(changes) {
  Object.assign(state, changes);
  const told = new Set();
  for (const part of Object.keys(changes)) {
    for (const listener of listeners.get(part) || []) told.add(listener);
  }
  for (const listener of told) listener();
}

/** Wait until a hand lets go of what it holds. */
export async function letGo() {
  while (state.dragging) await new Promise((done) => setTimeout(done, 30));
}

export const keys = () => (state.project?.category ? state.project.category.keys : []);

/** The element of an id. */
export const at = (id) => document.getElementById(id);

/** A new element: make("button", { class: "x", onclick }, "text or elements"). */
export function make(tag, values = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
