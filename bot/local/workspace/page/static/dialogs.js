// What lies over the page: modals of the app, questions before what cannot be undone, help.

import { act, attempt } from "./api.js";
import { stateValues } from "./elements.js";
import { morph } from "./messages.js";

const modal = document.getElementById("modal");

// Shows the app's topmost modal, or closes it where `html` is empty. What was typed stays on an update.
export function showModal(html) {
  if (!html) {
    modal.close();
    modal.replaceChildren();
    return;
  }
  const template = document.createElement("template");
  template.innerHTML = html; // made safe by the server
  const form = template.content.firstElementChild;
  const shown = modal.firstElementChild;
  if (shown?.dataset.view === form.dataset.view) morph(shown, form);
  else modal.replaceChildren(form);
  if (!modal.open) modal.showModal();
  if (shown !== modal.firstElementChild) modal.querySelector(".modal-blocks :is(input, textarea, select, button)")?.focus();
}

function closeView() {
  const view = modal.firstElementChild?.dataset.view;
  if (view) attempt(act("close", { view_id: view }));
}

modal.addEventListener("cancel", (event) => {
  event.preventDefault();
  closeView();
});
modal.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) closeView();
});
modal.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  if (form.classList.contains("busy")) return;
  form.classList.add("busy");
  const answer = await attempt(act("submit", { view_id: form.dataset.view, state_values: stateValues(form) }));
  form.classList.remove("busy");
  if (answer) showFaults(form, answer.faults);
});

// Each fault under its own field; one without a field at the foot. The first is brought into view.
function showFaults(form, faults) {
  for (const place of form.querySelectorAll(".fault")) place.textContent = "";
  for (const [block, sentence] of Object.entries(faults)) {
    const place = form.querySelector(`[data-fault="${CSS.escape(block)}"]`) ?? form.querySelector(".modal-fault");
    place.textContent = sentence;
  }
  for (const block of form.querySelectorAll("[data-block]"))
    for (const control of block.querySelectorAll(".field")) control.setAttribute("aria-invalid", block.dataset.block in faults);
  form.querySelector('[aria-invalid="true"]')?.focus();
}

// Asks before what cannot be undone. Resolves to whether the answer was yes.
export function ask({ title, text, confirm, deny, style }) {
  const dialog = document.getElementById("confirm");
  const [no, yes] = dialog.querySelectorAll("button");
  dialog.querySelector("h2").textContent = title || "Are you sure?";
  dialog.querySelector("p").textContent = text || "";
  yes.textContent = confirm || "Yes";
  yes.className = `button ${style === "danger" ? "danger" : "primary"}`;
  no.textContent = deny || "Cancel";
  dialog.returnValue = "";
  dialog.showModal();
  yes.focus();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true }));
}

export function showHelp() {
  document.getElementById("help").showModal();
}
