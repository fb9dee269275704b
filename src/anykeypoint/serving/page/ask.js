// "What is this?": the likeliest names of a place, each a button that puts that point there.

import { api } from "./api.js";
import { change } from "./history.js";
import { VISIBLE, percent, withMark } from "./labels.js";
import { at, make, on, set, state } from "./state.js";
import { toScreen } from "./view.js";

const popover = at("ask");
let of = null; // id of the picture that was asked about
let number = 0; // of the question, so that a late answer to an older one is not shown

/** Ask for the name of a place of the picture, in image pixels. */
export async function askAt(place) {
  const mine = (number += 1);
  const { picture } = state;
  of = picture.id;
  set({ mode: state.mode === "ask" ? "look" : state.mode, cross: null });
  show(place, make("p", { class: "faint" }, "What is this?"));
  let content;
  try {
    const { names } = await api.identify(picture.id, ...place);
    content = names.map((one) => choice(one, place));
    content.unshift(make("h3", {}, "What is this?"));
  } catch (error) {
    content = [make("p", { class: "refusal" }, error.message)];
  }
  if (mine !== number || state.picture?.id !== picture.id) return;
  show(place, ...content);
  if (document.activeElement === document.body || at("stage").contains(document.activeElement)) {
    popover.querySelector("button")?.focus({ preventScroll: true }); // not away from a name that is being written
  }
}

function choice({ name, probability }, place) {
  const use = () => {
    change(withMark(state.picture.label, name, [...place, VISIBLE]));
    set({ selected: name });
    closeAsk();
  };
  const bar = make("span", { class: "share" });
  bar.style.setProperty("--share", probability);
  const button = { class: "quiet choice", onclick: use, title: `Put “${name}” here` };
  return make("button", button, make("span", {}, name), make("span", { class: "faint" }, percent(probability)), bar);
}

function show(place, ...content) {
  popover.replaceChildren(...content);
  popover.hidden = false;
  const [x, y] = toScreen(...place);
  const stage = at("stage");
  const left = Math.min(Math.max(8, x + 14), stage.clientWidth - popover.offsetWidth - 8);
  const top = Math.min(Math.max(8, y + 14), stage.clientHeight - popover.offsetHeight - 8);
  popover.style.transform = `translate(${Math.max(8, left)}px, ${Math.max(8, top)}px)`;
}

/** Take the question away. */
export function closeAsk() {
  if (popover.hidden) return;
  number += 1;
  const inside = popover.contains(document.activeElement);
  popover.hidden = true;
  if (inside) at("stage").focus({ preventScroll: true });
}

on("picture", () => state.picture?.id !== of && closeAsk());
