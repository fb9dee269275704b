// What the page has of pictures: of those looked at last, and of those that come next, so that the next one is there at
// once, and a person can go on while the server does not answer.

import { api } from "./api.js";
import { on, state } from "./state.js";

const MOST = 48; // pictures that are kept
const kept = new Map(); // id -> { picture, pixels, side }, the one used last at the end

function keep(id, part) {
  const one = { ...kept.get(id), ...part };
  kept.delete(id);
  kept.set(id, one);
  if (kept.size > MOST) kept.delete(kept.keys().next().value);
}

/** Whether a picture can be looked at without the server. */
export const isKept = (id) => Boolean(kept.get(id)?.picture && kept.get(id).pixels);

/** What is known of a picture; while the server is away, what was known of it. */
export async function pictureOf(id) {
  if (state.away && isKept(id)) return kept.get(id).picture;
  try {
    const picture = await api.picture(id);
    keep(id, { picture });
    return picture;
  } catch (error) {
    if (error.status === 0 && isKept(id)) return kept.get(id).picture;
    throw error;
  }
}

/** The pixels of a picture as a blob. side: of its longer side, at least. */
export async function pixelsOf(id, side) {
  const known = kept.get(id);
  if (known?.pixels && (known.side >= side || state.away)) return known.pixels;
  const pixels = await api.image(id, side);
  keep(id, { pixels, side });
  return pixels;
}

let round = 0;

/** Fetch the pictures that come next, one after the other. wanted: [id, side]. */
export async function fetchAhead(wanted) {
  const mine = (round += 1);
  for (const [id, side] of wanted) {
    if (mine !== round || state.away) return;
    try {
      keep(id, { picture: await api.pictureAhead(id) });
      await pixelsOf(id, side);
    } catch {
      return; // it is fetched again, and the refusal shown, when it is opened
    }
  }
}

on("picture", () => {
  if (state.picture && kept.has(state.picture.id)) keep(state.picture.id, { picture: state.picture });
});
