// The server, as the rest of the page sees it: JSON in and out, one kind of error.

const BASE = "/v1/project";
const TOKEN = "anykeypoint-token";

/** A refusal of the server, or no answer at all. status: of the answer, 0 where none came. */
export class Refused extends Error {
  constructor(sentence, status, field) {
    super(sentence);
    this.status = status;
    this.field = field;
  }
}

const ENOUGH = 20000; // milliseconds after which a request that takes no time on the server counts as not answered
const LONGER = 3 * ENOUGH; // of one that takes some time, or brings much
let askForToken = async () => null;
let reach = () => {};
let elsewhere = () => {};
let changes = 0; // of the category that the server has answered
const saves = new Map(); // id of a picture -> labels of it that the server has answered
let project = ""; // identity of the project that the page shows; another one refuses what is meant for it

/** told: a function that is called with whether the server answered, after each request. */
export function onReach(told) {
  reach = told;
}

/** told: a function that is called when another project is served now than the one that the page shows. */
export function onElsewhere(told) {
  elsewhere = told;
}

/** token: a function that asks a person for the server's token. */
export function onTokenNeeded(token) {
  askForToken = token;
}

async function sentenceOf(response) {
  try {
    const body = await response.json();
    return [body.error || "The server refused the request.", body.field];
  } catch {
    return [`The server answered ${response.status} without saying why.`, null];
  }
}

/** within: milliseconds after which an attempt counts as not answered. */
async function request(path, { within = 0, ...options } = {}) {
  const again = () => request(path, { within, ...options });
  const token = sessionStorage.getItem(TOKEN);
  const ofProject = project && path.startsWith(BASE);
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}), ...(ofProject ? { "X-Project": project } : {}) };
  let response;
  try {
    const signal = within ? AbortSignal.timeout(within) : null;
    response = await fetch(path, { ...options, headers, signal });
  } catch {
    return unanswered();
  }
  if (response.status === 502 || response.status === 504) return unanswered(); // of a proxy whose server is away
  reach(true);
  if (response.status === 401) {
    if (sessionStorage.getItem(TOKEN) !== token) return again(); // it was given while this request was under way
    const given = await askForToken();
    if (given) {
      sessionStorage.setItem(TOKEN, given);
      return again();
    }
  }
  if (!response.ok) {
    const [sentence, field] = await sentenceOf(response);
    if (response.status === 404 && ofProject && !field) return unanswered(); // a server without a project
    if (response.status === 412) elsewhere();
    throw new Refused(sentence, response.status, field);
  }
  return response;
}

function unanswered() {
  reach(false);
  throw new Refused("The server does not answer; try it again when it is back.", 0);
}

async function json(path, method = "GET", body = undefined, more = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return read(await request(path, { method, ...sent, ...more }));
}

/** What an answer holds. kind: json or blob. */
async function read(response, kind = "json") {
  try {
    return await response[kind]();
  } catch {
    return unanswered(); // cut off on the way
  }
}

/** What is at an address. What was asked before this window changed it may not know of that, and is asked again. */
async function latest(path, more, id) {
  const known = () => `${changes} ${saves.get(id)}`;
  for (;;) {
    const before = known();
    const found = await json(path, "GET", undefined, more);
    if (before === known()) return found;
  }
}

const soon = (milliseconds = ENOUGH) => ({ within: milliseconds });

const query = (values) => new URLSearchParams(values).toString();

export const api = {
  overview: async () => {
    const found = await latest(BASE, soon());
    project = found.identity;
    return found;
  },

  /** The pictures that changed since a revision of the list, and its revision now; since: "" gives all. */
  pictures: async (since) => {
    const response = await request(`${BASE}/pictures?${query({ since })}`, soon(LONGER));
    return { entries: await read(response), revision: response.headers.get("X-Revision") };
  },

  picture: (id) => latest(`${BASE}/pictures/${id}`, soon(), id),
  addObject: (id) => json(`${BASE}/pictures/${id}/objects`, "POST"),
  pictureAhead: (id) => latest(`${BASE}/pictures/${id}?${query({ ahead: true })}`, {}, id),

  /** Save what differs between a label and the one that it was made of. */
  save: async (id, label, base) => {
    const found = await json(`${BASE}/pictures/${id}/label`, "PUT", { ...label, base }, soon());
    saves.set(id, (saves.get(id) ?? 0) + 1);
    return found;
  },

  identify: (id, x, y) => json(`${BASE}/pictures/${id}/identify`, "POST", { x, y }),
  densities: (id) => json(`${BASE}/pictures/${id}/density`),
  doubts: (text) => json(`${BASE}/category/doubts`, "POST", { text }),
  setCategory: async (change) => {
    const found = await json(`${BASE}/category`, "PUT", change, soon(LONGER));
    changes += 1;
    return found;
  },
  categories: async () => (await json("/v1/categories")).categories,
  forms: () => json(`${BASE}/forms`),
  lookAtExport: (form, answers) => json(`${BASE}/export?${query({ form, answers })}`),

  /** Add a picture; its name may have folders in front. */
  upload: async (file, name) => {
    const sent = { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } };
    return read(await request(`${BASE}/pictures?${query({ name })}`, sent));
  },

  /** A picture's pixels as a blob. side: of its longer side, 128, 512, 1024 or 2048. */
  image: async (id, side) => read(await request(`${BASE}/pictures/${id}/image?${query({ side })}`, soon(LONGER)), "blob"),

  /** A part of a picture as a blob, with as many pixels as the server gives. Pixels of the picture as it is in its file. */
  part: async (id, left, top, width, height) =>
    read(await request(`${BASE}/pictures/${id}/part?${query({ left, top, width, height })}`, soon(LONGER)), "blob"),

  /** An export as a blob. */
  exported: async (form, answers) => read(await request(`${BASE}/export/file?${query({ form, answers })}`), "blob"),
};
