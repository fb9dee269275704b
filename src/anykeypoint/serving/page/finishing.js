// "All correct": the picture is finished, perhaps an example, and the least sure one comes next.

import { change } from "./history.js";
import { ABSENT, countMarked, finished, point } from "./labels.js";
import { changesBetween } from "./merging.js";
import { openLeastSure, showUnsaved } from "./pictures.js";
import { say } from "./saving.js";
import { at, keys, make, set, state } from "./state.js";

const UNSURE = 0.5; // a point of less confidence is more likely wrong than right
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
  const doubtful = keys().filter(isDoubtful).length;
  if (2 * doubtful > keys().length) {
    if (!(await isMeant(doubtful))) return;
    if (!isAsAsked(picture, label)) {
      say("The picture changed while you were asked, and is shown as it is now; look at it again.");
      return;
    }
  }
  say("");
  at("stage").focus({ preventScroll: true }); // so that Enter finishes the next picture, whatever was pressed for this
  set({ mode: "look", creating: false, cross: null, selected: null });
  change({ ...label, example: example || picture.label.example });
  showUnsaved();
  await openLeastSure();
}

/** Whether a point that nobody touched is absent or unsure: finished by a slip, it would be a false label. */
function isDoubtful(key) {
  const one = point(key);
  return Boolean(one) && !one.mine && (one.visibility === ABSENT || (one.confidence ?? 1) < UNSURE);
}

/** Whether what would be finished now is what was asked about: another window may have changed it, or another one come. */
function isAsAsked(picture, label) {
  return state.picture?.id === picture.id && !changesBetween(label, finished(state.picture, keys())).length;
}

/** Ask whether a picture is finished although so many points are in doubt. */
function isMeant(doubtful) {
  const dialog = at("sure-dialog");
  const says = `${doubtful} of ${keys().length} points are absent or unsure, and nobody has set them: are all of them correct?`;
  dialog.replaceChildren(
    make("p", { id: "sure-says" }, says),
    make("form", { method: "dialog", class: "buttons" },
      make("button", { value: "no", autofocus: true }, "Look again (N)"),
      make("button", { value: "yes", class: "primary" }, "All correct (Y)")));
  dialog.onkeydown = (event) => {
    const value = { y: "yes", n: "no" }[event.key.toLowerCase()];
    if (!value || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // N means something else where no dialog is open
    dialog.close(value);
  };
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}
