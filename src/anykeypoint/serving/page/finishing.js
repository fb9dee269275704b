// "All correct": the picture is finished, perhaps an example, and the least sure one comes next.

import { change } from "./history.js";
import { countMarked, finished } from "./labels.js";
import { openLeastSure, refresh } from "./pictures.js";
import { say, saved } from "./saving.js";
import { at, keys, set, state } from "./state.js";

let busy = false; // one key that is held down finishes one picture

/** Finish the picture. example: whether the model is shown it from now on. */
export async function finish(example) {
  if (busy) return;
  busy = true;
  try {
    await finishOne(example);
  } finally {
    busy = false;
  }
}

async function finishOne(example) {
  const { picture } = state;
  if (!picture) return;
  if (!keys().length) {
    say("Say first what should be found (C), or click the points onto the picture (M).");
    return;
  }
  const label = finished(picture, keys());
  if (!Object.keys(label.points).length) {
    say("No point is here yet: wait for the answer, or mark the points (M).");
    return;
  }
  if (example && !countMarked(label)) {
    say("An example needs a point that is not absent; mark one (M).");
    return;
  }
  say("");
  at("stage").focus({ preventScroll: true }); // so that Enter finishes the next picture, whatever was pressed for this
  set({ mode: "look", creating: false, cross: null, selected: null });
  change({ ...label, example: example || picture.label.example });
  await saved();
  await refresh().catch((error) => say(error.message));
  await openLeastSure();
}
