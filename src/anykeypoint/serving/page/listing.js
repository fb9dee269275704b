// The list of pictures as the server has it: what is known is kept, and only what changed is fetched.

import { api } from "./api.js";

const known = new Map(); // id -> its entry; another object whenever something of the picture has changed
let revision = ""; // of what is known
let turn = Promise.resolve();

/** The entry of a picture in the list; undefined where the list does not have it yet. */
export const entryOf = (id) => known.get(id);

/** Whether the server has changed something since the list was fetched. project: GET /v1/project. */
export const isOld = (project) => project.revision !== revision;

/** Fetch what changed, one request after the other; gives the whole list, the least sure first and finished ones last. */
export function fetchList() {
  turn = turn.catch(() => null).then(async () => {
    const answer = await api.pictures(revision);
    for (const entry of answer.entries) known.set(entry.id, entry);
    revision = answer.revision;
    return [...known.values()].sort(inOrder);
  });
  return turn;
}

/** As the server orders its whole list. */
function inOrder(one, other) {
  const rank = ({ state, doubt }) => (state === "done" || state === "example" ? 1 : -(doubt ?? 1));
  const byName = one.name < other.name ? -1 : one.name > other.name ? 1 : one.id - other.id;
  return rank(one) - rank(other) || byName;
}
