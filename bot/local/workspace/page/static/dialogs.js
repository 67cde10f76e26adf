// What lies over the page: modals of the app, questions before what cannot be undone, the emoji picker, help.

import { act, attempt, page } from "./api.js";
import { stateValues } from "./elements.js";
import { morph } from "./messages.js";

const modal = document.getElementById("modal");
const picker = document.getElementById("picker");

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
export function ask({ title, text, confirm, deny }) {
  const dialog = document.getElementById("confirm");
  const [no, yes] = dialog.querySelectorAll("button");
  dialog.querySelector("h2").textContent = title || "Are you sure?";
  dialog.querySelector("p").textContent = text || "";
  yes.textContent = confirm || "Yes";
  no.textContent = deny || "Cancel";
  dialog.returnValue = "";
  dialog.showModal();
  yes.focus();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true }));
}

export function showHelp() {
  document.getElementById("help").showModal();
}

// The emoji picker beside `button`; `chosen` gets the name.
export function pickEmoji(button, chosen) {
  const buttons = page.state.emoji.map(({ name, character }) => {
    const choice = document.createElement("button");
    Object.assign(choice, { type: "button", textContent: character, title: `:${name}:` });
    choice.role = "menuitem";
    choice.setAttribute("aria-label", name.replaceAll("_", " "));
    choice.onclick = () => {
      closePicker();
      chosen(name);
    };
    return choice;
  });
  picker.replaceChildren(...buttons);
  picker.hidden = false;
  const at = button.getBoundingClientRect();
  const { width, height } = picker.getBoundingClientRect();
  picker.style.left = `${Math.max(8, Math.min(at.right - width, innerWidth - width - 8))}px`;
  picker.style.top = `${at.top > height + 8 ? at.top - height - 4 : at.bottom + 4}px`;
  picker.opener = button.closest("article") ?? button;
  buttons[0].focus();
}

export function closePicker() {
  if (picker.hidden) return false;
  picker.hidden = true;
  picker.opener?.focus();
  return true;
}

const COLUMNS = 8;
picker.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS }[event.key];
  if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    event.stopPropagation();
    closePicker();
  } else if (step) {
    event.preventDefault();
    const all = [...picker.children];
    all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
  }
});
document.addEventListener("pointerdown", (event) => {
  if (!picker.hidden && !picker.contains(event.target)) closePicker();
});
