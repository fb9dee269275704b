// The picture with what lies on it: density, box, skeleton, and a button for each point, so that Tab walks through them.

import { HIDDEN, ABSENT, WORDS, colour, percent, placed, point } from "./labels.js";
import { placeNames } from "./names.js";
import { isCoarse } from "./parts.js";
import { at, keys, make, on, set, state } from "./state.js";
import { refit, reveal, scale, toScreen } from "./view.js";

const canvas = at("canvas");
const dots = at("dots");
const buttons = new Map(); // key -> its button
let asked = false;

/** Draw soon; many changes in a row are drawn once. */
export function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    paint();
  });
}

function paint() {
  const stage = at("stage");
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [stage.clientWidth, stage.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    refit();
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (!state.picture) {
    placeDots();
    return;
  }
  paintPicture(pen);
  const shown = state.hovered || (state.density ? state.selected : null);
  if (shown) paintDensity(pen, shown);
  for (const other of state.others) paintOther(pen, other);
  paintBox(pen);
  paintSkeleton(pen);
  paintCross(pen, width, height);
  placeDots();
  if (state.names) paintLines(pen);
}

function paintPicture(pen) {
  const [x, y] = toScreen(0, 0);
  const [w, h] = state.picture.size.map((side) => side * scale());
  pen.fillStyle = "#8884";
  pen.fillRect(x, y, w, h);
  if (state.bitmap) paintPixels(pen, x, y, scale(), 4);
}

/**
 * The pixels of the picture, with its corner at x, y. power: lengths of the pen for a pixel of the picture. squares: the
 * power from which pixels are shown as squares, where the browser has all of them.
 */
function paintPixels(pen, x, y, power, squares) {
  const { bitmap, part, picture } = state;
  const paintOne = (pixels, [left, top, width, height]) => {
    pen.imageSmoothingEnabled = power < squares || pixels.width < width;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(pixels, x + left * power, y + top * power, width * power, height * power);
  };
  paintOne(bitmap, [0, 0, ...picture.size]);
  if (part && isCoarse()) paintOne(part.bitmap, part.box);
}

/** The density of a point: its colour, as strong as the place is likely. */
function paintDensity(pen, key) {
  const known = state.densities;
  const grid = known?.grids[key];
  if (!grid || known.id !== state.picture.id) return;
  const cells = known.cells;
  const tile = new OffscreenCanvas(cells, cells);
  const small = tile.getContext("2d");
  const pixels = small.createImageData(cells, cells);
  const [r, g, b] = rgbOf(colour(keys().indexOf(key)));
  for (let i = 0; i < cells * cells; i += 1) pixels.data.set([r, g, b, Math.round(grid[i] * 0.78)], 4 * i);
  small.putImageData(pixels, 0, 0);
  const [left, top, side] = known.crop;
  const [x, y] = toScreen(left, top);
  const [x0, y0] = toScreen(0, 0);
  pen.save();
  pen.beginPath();
  pen.rect(x0, y0, state.picture.size[0] * scale(), state.picture.size[1] * scale());
  pen.clip();
  pen.fillStyle = "rgb(0 0 0 / 0.35)";
  pen.fill();
  pen.imageSmoothingEnabled = true;
  pen.drawImage(tile, x, y, side * scale(), side * scale());
  pen.restore();
}

function rgbOf(text) {
  const pen = new OffscreenCanvas(1, 1).getContext("2d");
  pen.fillStyle = text;
  pen.fillRect(0, 0, 1, 1);
  return pen.getImageData(0, 0, 1, 1).data;
}

function paintBox(pen) {
  const { draft, picture } = state;
  const box = draft
    ? [Math.min(draft[0], draft[2]), Math.min(draft[1], draft[3]), Math.abs(draft[2] - draft[0]), Math.abs(draft[3] - draft[1])]
    : picture.label.box;
  if (!box) return;
  const [x, y] = toScreen(box[0], box[1]);
  for (const [line, width] of [["rgb(0 0 0 / 0.5)", 3.5], ["#fff", 1.5]]) {
    pen.strokeStyle = line;
    pen.lineWidth = width;
    pen.setLineDash(width < 2 ? [6, 4] : []);
    pen.strokeRect(x, y, box[2] * scale(), box[3] * scale());
  }
  pen.setLineDash([]);
}

/** Another object of the picture, faintly: its box and its points. */
function paintOther(pen, other) {
  pen.globalAlpha = 0.6;
  pen.strokeStyle = "#fff";
  pen.lineWidth = 1;
  const { box } = other.label;
  if (box) pen.strokeRect(...toScreen(box[0], box[1]), box[2] * scale(), box[3] * scale());
  keys().forEach((key, number) => {
    const one = point(key, other);
    if (!one || one.x === null || one.visibility === ABSENT) return;
    pen.fillStyle = colour(number);
    pen.beginPath();
    pen.arc(...toScreen(one.x, one.y), 3, 0, 7);
    pen.fill();
    pen.stroke();
  });
  pen.globalAlpha = 1;
}

function paintSkeleton(pen) {
  const names = keys();
  pen.lineCap = "round";
  for (const [a, b] of state.project?.category?.skeleton || []) {
    const ends = [point(names[a]), point(names[b])];
    if (ends.some((one) => !one || one.x === null || one.visibility === ABSENT)) continue;
    const [from, to] = ends.map((one) => toScreen(one.x, one.y));
    const sure = ends.every((one) => one.mine) ? 0.95 : 0.7;
    for (const [line, width] of [["rgb(0 0 0 / 0.45)", 4], [colour(b, sure), 2]]) {
      pen.strokeStyle = line;
      pen.lineWidth = width;
      pen.beginPath();
      pen.moveTo(...from);
      pen.lineTo(...to);
      pen.stroke();
    }
  }
}

function paintCross(pen, width, height) {
  if (!state.cross || state.mode === "look") return;
  const [x, y] = toScreen(...state.cross);
  for (const [line, size] of [["rgb(0 0 0 / 0.5)", 3], ["#fff", 1]]) {
    pen.strokeStyle = line;
    pen.lineWidth = size;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, height);
    pen.moveTo(0, y);
    pen.lineTo(width, y);
    pen.stroke();
  }
}

// --- the points ------------------------------------------------------------------------------------------------------

function placeDots() {
  const shown = state.picture ? placed() : [];
  const wanted = new Set(shown.map(([key]) => key));
  for (const [key, button] of buttons) {
    if (!wanted.has(key)) {
      const focused = button === document.activeElement;
      button.remove();
      buttons.delete(key);
      if (focused) at("stage").focus({ preventScroll: true });
    }
  }
  for (const [key, one] of shown) {
    const button = buttons.get(key) || newDot(key);
    const [x, y] = toScreen(one.x, one.y);
    button.style.transform = `translate(${x}px, ${y}px)`;
    button.style.setProperty("--dot", colour(keys().indexOf(key)));
    button.style.setProperty("--sure", one.mine ? 1 : Math.max(0.12, one.confidence ?? 0.5));
    button.classList.toggle("mine", one.mine);
    button.classList.toggle("hidden-point", one.visibility === HIDDEN);
    button.classList.toggle("absent-point", one.visibility === ABSENT);
    button.classList.toggle("selected", key === state.selected);
    button.setAttribute("aria-label", described(key, one));
  }
  dots.classList.toggle("named", state.names);
  nameThem(shown);
  inOrder(shown.map(([key]) => buttons.get(key)));
}

let named = new Map(); // key -> the place of its name

function nameThem(shown) {
  const points = shown.map(([key, one]) => {
    const [x, y] = toScreen(one.x, one.y);
    const [width, height] = sizeOfName(key);
    return { key, x, y, width, height };
  });
  const size = [at("stage").clientWidth, at("stage").clientHeight];
  named = placeNames(points, size, named);
  for (const { key, x, y, width, height } of points) {
    const place = named.get(key);
    const over = [x + 11 + width > size[0] ? x - 11 - width : x + 11, y - height / 2]; // while the pointer is on the point
    const [left, top] = place ? [place.left, place.top] : over;
    const button = buttons.get(key);
    button.classList.toggle("no-room", !place);
    button.firstElementChild.style.setProperty("--name-x", `${left - x}px`);
    button.firstElementChild.style.setProperty("--name-y", `${top - y}px`);
  }
}

const sizes = new Map(); // key -> [width, height] of its name, until the window changes

function sizeOfName(key) {
  if (!sizes.has(key)) {
    const name = buttons.get(key).firstElementChild;
    sizes.set(key, [name.offsetWidth, name.offsetHeight]);
  }
  return sizes.get(key);
}
window.addEventListener("resize", () => sizes.clear());

/** The lines from points to names that lie further away. */
function paintLines(pen) {
  for (const [key, { line }] of named) {
    const one = line && point(key);
    if (!one || one.x === null) continue;
    const from = toScreen(one.x, one.y);
    for (const [style, width] of [["rgb(0 0 0 / 0.5)", 3], ["rgb(255 255 255 / 0.85)", 1]]) {
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.beginPath();
      pen.moveTo(...from);
      pen.lineTo(...line);
      pen.stroke();
    }
  }
}

/** A point in words, for those who hear the page. */
export function described(key, one) {
  const who = one.mine ? "set by you" : one.confidence === null ? "answered" : `${percent(one.confidence)} sure`;
  return `${key}, ${WORDS[one.visibility]}, ${who}, at ${Math.round(one.x)}, ${Math.round(one.y)}`;
}

function newDot(key) {
  const button = make("button", { class: "dot", tabIndex: 0 }, make("span", { class: "dot-name" }, key));
  button.dataset.key = key;
  button.addEventListener("focus", () => {
    const one = point(key);
    if (one && one.x !== null && !state.dragging) reveal([one.x, one.y]); // what a hand holds stays under it
    set({ selected: key });
  });
  button.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && set({ hovered: key }));
  button.addEventListener("pointerleave", () => state.hovered === key && set({ hovered: null }));
  buttons.set(key, button);
  dots.append(button);
  return button;
}

/** Put the buttons in the category's order, which is that of Tab; nothing moves where it is right already. */
function inOrder(wanted) {
  if (wanted.every((button, place) => dots.children[place] === button)) return;
  const focused = document.activeElement;
  dots.append(...wanted);
  if (wanted.includes(focused)) focused.focus({ preventScroll: true });
}

/** Move the focus to a point's button, so that the arrow keys move it. */
export function focusDot(key) {
  buttons.get(key)?.focus({ preventScroll: true });
}

/** A round glass in a corner that shows what lies under a finger. */
export function loupe(place) {
  const glass = at("loupe");
  glass.hidden = !place || !state.bitmap;
  if (glass.hidden) return;
  const ratio = window.devicePixelRatio || 1;
  const side = 120;
  glass.width = glass.height = side * ratio;
  const [sx] = toScreen(...place);
  glass.classList.toggle("right", sx < at("stage").clientWidth / 2);
  const pen = glass.getContext("2d");
  const power = scale() * 3 * ratio;
  paintPixels(pen, (side * ratio) / 2 - place[0] * power, (side * ratio) / 2 - place[1] * power, power, 8);
  pen.strokeStyle = "#fff";
  pen.lineWidth = ratio;
  pen.beginPath();
  pen.arc((side * ratio) / 2, (side * ratio) / 2, 5 * ratio, 0, 7);
  pen.stroke();
}

on("picture others bitmap part selected hovered names density densities cross draft project mode", draw);
new ResizeObserver(draw).observe(at("stage"));
