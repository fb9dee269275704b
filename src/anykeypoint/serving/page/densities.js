// Where else a point may be: fetched once for a picture, when a point of it is hovered over or asked about.

import { api } from "./api.js";
import { say } from "./saving.js";
import { on, set, state } from "./state.js";

let fetching = null; // what is being fetched

const needed = () => state.picture && (state.hovered || (state.density && state.selected));
const asked = () => `${state.picture.id} ${state.picture.answer?.asked} ${JSON.stringify(state.picture.label.box)}`;

async function fetchThem() {
  if (!needed() || state.away || state.project?.model.state !== "ready" || !state.picture.answer) return;
  if (state.project.answers.reason) return; // nothing can be asked yet: the page says why elsewhere
  const wanted = asked();
  if (state.densities?.asked === wanted || fetching === wanted) return;
  fetching = wanted;
  const { id } = state.picture;
  try {
    const found = await api.densities(id);
    const grids = {};
    for (const [key, text] of Object.entries(found.densities)) {
      grids[key] = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    }
    if (state.picture && asked() === wanted) set({ densities: { id, asked: wanted, crop: found.crop, cells: found.cells, grids } });
  } catch (error) {
    if (error.status !== 0 && state.picture?.id === id) say(error.message);
  } finally {
    fetching = null;
  }
}

/** Begin to fetch densities when they are needed. */
export function followDensities() {
  on("hovered selected density picture", fetchThem);
}
