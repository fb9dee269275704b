// The labels as a file, in every form; and how to train with them.

import { api } from "./api.js";
import { saved } from "./saving.js";
import { at, make, state } from "./state.js";
import { note } from "./uploading.js";

const dialog = at("export-dialog");

/** Open the dialog. */
export async function showExport() {
  const forms = make("select", { id: "export-form", onchange: look });
  const answers = make("input", { id: "export-answers", type: "checkbox", onchange: look });
  dialog.replaceChildren(
    make("form", { method: "dialog", class: "dialog-head" },
      make("h2", { id: "export-title" }, "Export the labels"),
      make("button", { class: "icon", "aria-label": "Close" }, "×")),
    make("label", { for: "export-form" }, "Form"), forms,
    make("label", { class: "switch" }, answers, " also the answers that nobody has looked at"),
    make("div", { id: "export-look", role: "status" }),
    make("p", { id: "export-refused", class: "refusal", role: "alert" }),
    make("button", { id: "export-go", class: "primary", onclick: download, disabled: true }, "Download"),
    make("p", { class: "faint" }, "All is saved in the project folder already: ", make("code", {}, state.project.folder)),
  );
  dialog.showModal();
  forms.focus();
  try {
    for (const one of await api.forms()) forms.append(make("option", { value: one.name }, `${one.name} – ${one.what}`));
    await look();
  } catch (error) {
    if (dialog.open) refuse(error.message);
  }
}

let looks = 0; // number of the last look, so that a late answer to an older one is not shown

const refuse = (sentence) => {
  at("export-refused").textContent = sentence;
  at("export-go").disabled = true; // until it is known that there is something to export
};
const chosen = () => [at("export-form").value, at("export-answers").checked];

async function look() {
  const mine = (looks += 1);
  refuse("");
  try {
    await saved();
    const found = await api.lookAtExport(...chosen());
    if (mine !== looks) return;
    const objects = `${found.objects} ${at("export-answers").checked ? "labelled or answered" : "labelled"} object${found.objects === 1 ? "" : "s"}`;
    const lines = [make("p", {}, `${objects} → `, make("code", {}, found.name))];
    if (found.lost.length) {
      lines.push(make("p", {}, "Not in it, as this form has no room:"), make("ul", {}, ...found.lost.map((one) => make("li", {}, one))));
    }
    if (found.advice) lines.push(make("p", { class: "faint" }, found.advice));
    lines.push(make("p", { class: "faint" }, "With 20 finished pictures or more, a model of your own:"), make("pre", {}, found.adapt));
    at("export-look").replaceChildren(...lines);
    at("export-go").disabled = false;
  } catch (error) {
    if (mine !== looks || !dialog.open) return;
    at("export-look").replaceChildren();
    refuse(error.message);
  }
}

async function download() {
  try {
    const [form, answers] = chosen();
    const { name } = await api.lookAtExport(form, answers);
    const url = URL.createObjectURL(await api.exported(form, answers));
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  } catch (error) {
    if (dialog.open) refuse(error.message);
    else note(error.message);
  }
}
