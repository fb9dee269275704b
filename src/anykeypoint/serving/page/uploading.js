// Pictures dropped onto the page, or chosen: sent one after the other, each refusal shown with the name of its file.

import { api } from "./api.js";
import { open, refreshSometimes } from "./pictures.js";
import { at, make, set, state } from "./state.js";

const AT_ONCE = 2;
const GONE = "it cannot be read; it may have been moved or removed.";
const NO_PICTURES = /(^|\/)(\.|__MACOSX|Thumbs\.db|desktop\.ini)/;
const PICTURE = /\.(jpe?g|jpe|jfif|png|webp|bmp|tiff?|avif|hei[cf])$/i;
let left = 0;
let all = 0;

/** How many pictures are still to be sent: [sent, all]; null where none is. */
export const uploads = () => (left ? [all - left, all] : null);

/** Send files. entries: [file, name with folders]. */
export async function send(entries) {
  const seen = entries.filter(([, name]) => !NO_PICTURES.test(name));
  if (!seen.length) return;
  while (!state.project) await new Promise((done) => setTimeout(done, 50)); // dropped before the page was ready
  at("refused").replaceChildren();
  const wanted = seen.filter(([file, name]) => !file || !name.includes("/") || PICTURE.test(name));
  passOver(seen.filter((one) => !wanted.includes(one)).map(([, name]) => name));
  if (!wanted.length) return;
  left += wanted.length;
  all = left === wanted.length ? left : all + wanted.length;
  const rest = [...wanted];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (rest.length) await sendOne(...rest.shift());
  }));
  set({ uploaded: all });
}

/** Say how many files of a folder are no pictures by their names: labels, tables and notes often lie beside pictures. */
function passOver(names) {
  if (!names.length) return;
  const one = names.length === 1;
  note(`${names.length} file${one ? "" : "s"} of the folder ${one ? "is no picture and was" : "are no pictures and were"} passed over: ${names.slice(0, 3).join(", ")}${names.length > 3 ? " …" : ""}`);
}

async function sendOne(file, name) {
  try {
    if (!file) throw new Error(GONE);
    const most = state.project.largest_upload;
    if (file.size > most) throw new Error(`it has ${megabytes(file.size)} MB, more than the ${megabytes(most)} MB that the server takes.`);
    const added = await uploaded(file, name);
    await refreshSometimes().catch(() => {}); // the picture is there: the list comes when it is asked for again
    if (!state.picture) await open(added.id);
  } catch (error) {
    refuse(name, error.message);
  } finally {
    left -= 1;
    set({ project: state.project });
  }
}

/** Send a file; while the server is away, wait for it. */
async function uploaded(file, name) {
  const bytes = await file.arrayBuffer().catch(() => { throw new Error(GONE); }); // what cannot be read is no server's fault
  for (;;) {
    try {
      return await api.upload(bytes, name);
    } catch (error) {
      if (error.status !== 0) throw error;
      while (state.away) await new Promise((done) => setTimeout(done, 200));
    }
  }
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

const refuse = (name, sentence) => note(sentence.startsWith(name) ? sentence : `${name}: ${sentence}`);

/** Show a sentence above the list of pictures until it is closed. */
export function note(text) {
  const gone = () => entry.remove();
  const close = make("button", { class: "icon", onclick: gone, "aria-label": "Close this message" }, "×");
  const entry = make("p", { class: "refusal" }, text, close);
  at("refused").append(entry);
}

// What was not sent is lost with the page, other than labels: the browser asks whether it is left.
window.addEventListener("beforeunload", (event) => left && event.preventDefault());

// --- choosing and dropping -------------------------------------------------------------------------------------------

for (const [button, input] of [["add-pictures", "file-input"], ["add-folder", "folder-input"]]) {
  at(button).addEventListener("click", () => at(input).click());
  at(input).addEventListener("change", (event) => {
    send([...event.target.files].map((file) => [file, file.webkitRelativePath || file.name]));
    event.target.value = "";
  });
}

let over = 0;
const hasFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");

window.addEventListener("dragenter", (event) => {
  if (!hasFiles(event)) return;
  over += 1;
  document.body.classList.add("dropping");
});
window.addEventListener("dragleave", (event) => {
  if (!hasFiles(event)) return;
  over = Math.max(0, over - 1);
  if (!over) document.body.classList.remove("dropping");
});
window.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
window.addEventListener("drop", async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  over = 0;
  document.body.classList.remove("dropping");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = entries.length ? (await Promise.all(entries.map((entry) => filesOf(entry)))).flat() : [];
  send(files.length || entries.length ? files : [...event.dataTransfer.files].map((file) => [file, file.name]));
});

/** The files of a dropped file or folder, with their names below it. */
async function filesOf(entry) {
  const name = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise((done) => entry.file(done, () => done(null)));
    return [[file, name]]; // null where it cannot be read, as with a folder, which is said beside its name
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done) => reader.readEntries(done, () => done(null)));
    if (!some) return [...found, [null, name]];
    if (!some.length) return found;
    for (const one of some) found.push(...(await filesOf(one)));
  }
}
