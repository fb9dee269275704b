// The part of a large photo that is in sight, with all its pixels. The browser has at most 2048 a side of the whole: all
// those of a photo of 40 million would take 160 MB there.

import { api } from "./api.js";
import { at, on, set, state } from "./state.js";
import { clamped, scale, toImage } from "./view.js";

const MOST = 2048; // pixels of the longer side that the server gives
const ROOM = 0.2; // of what is in sight, fetched beyond each side of it
let fetching = false;

/** Whether the whole picture has fewer pixels, as the browser has it, than the screen can show of it now. */
export function isCoarse() {
  const { picture, bitmap } = state;
  return bitmap.width < 0.99 * picture.size[0] * Math.min(1, scale() * (window.devicePixelRatio || 1));
}

/** What lies between two corners, moved apart by a share of their distance: [left, top, width, height], whole pixels. */
function between(from, to, share = 0) {
  const room = from.map((start, side) => share * (to[side] - start));
  const [left, top] = clamped(from.map((start, side) => Math.floor(start - room[side])));
  const [right, bottom] = clamped(to.map((end, side) => Math.ceil(end + room[side])));
  return [left, top, right - left, bottom - top];
}

const holds = ([x, y, w, h], [left, top, width, height]) =>
  x <= left && y <= top && x + w >= left + width && y + h >= top + height;

/** The part to fetch, [left, top, width, height]; null where what is in sight is there with all pixels it can have. */
function needed() {
  const { picture, bitmap, part } = state;
  const hasMost = bitmap && Math.max(bitmap.width, bitmap.height) >= MOST; // before that more of the whole is on its way
  if (!hasMost || state.away || !isCoarse()) return null;
  const corners = [toImage(0, 0), toImage(at("stage").clientWidth, at("stage").clientHeight)].map(clamped);
  const wanted = between(...corners, ROOM);
  if (!part || !holds(part.box, between(...corners))) return wanted;
  const isWhole = part.bitmap.width >= part.box[2];
  return isWhole || part.box[2] < 1.5 * wanted[2] ? null : wanted;
}

/** Fetch what is needed, again where the picture was moved meanwhile. */
async function fetchPart() {
  if (fetching) return;
  fetching = true;
  try {
    for (let box = needed(); box; box = needed()) {
      const { id, image } = state.picture;
      const bitmap = await createImageBitmap(await api.part(id, ...box));
      if (state.picture.image === image && state.bitmap) set({ part: { box, bitmap } });
      else bitmap.close();
    }
  } catch {
    // the pixels that are there stay; it is tried again when the picture is moved or the server is back
  } finally {
    fetching = false;
  }
}

let onStage = null; // the part that the stage draws

function giveBack() {
  if (onStage !== state.part) onStage?.bitmap.close();
  onStage = state.part;
}

on("part", giveBack);
on("enlarged bitmap away", fetchPart);
