// What opens beside a button: the emoji picker, and a message's menu. One at a time; Escape or Tab closes it.

import { page } from "./api.js";

const popup = document.getElementById("popup");
const COLUMNS = 8;

// The emoji picker beside `button`; `chosen` gets the name.
export function pickEmoji(button, chosen) {
  const choices = page.state.emoji.map(({ name, character }) => {
    const choice = item(character, () => chosen(name));
    choice.title = `:${name}:`;
    choice.setAttribute("aria-label", name.replaceAll("_", " "));
    return choice;
  });
  open(button, choices, "picker", "React with");
}

// A menu beside `button`. `entries` are { name, note, run }.
export function openMenu(button, entries) {
  const choices = entries.map(({ name, note, run }) => {
    const choice = item(name, run);
    if (note) choice.append(Object.assign(document.createElement("span"), { className: "hint", textContent: note }));
    return choice;
  });
  open(button, choices, "menu", "More actions");
}

function item(words, run) {
  const choice = Object.assign(document.createElement("button"), { type: "button", textContent: words });
  choice.role = "menuitem";
  choice.onclick = () => {
    closePopup();
    run();
  };
  return choice;
}

function open(button, choices, kind, label) {
  popup.replaceChildren(...choices);
  popup.className = kind;
  popup.setAttribute("aria-label", label);
  popup.hidden = false;
  const at = button.getBoundingClientRect();
  const { width, height } = popup.getBoundingClientRect();
  popup.style.left = `${Math.max(8, Math.min(at.right - width, innerWidth - width - 8))}px`;
  popup.style.top = `${at.top > height + 8 ? at.top - height - 4 : at.bottom + 4}px`;
  popup.opener = button.closest("article") ?? button;
  choices[0].focus();
}

export function closePopup() {
  if (popup.hidden) return false;
  popup.hidden = true;
  popup.opener?.focus();
  return true;
}

popup.addEventListener("keydown", (event) => {
  const row = popup.className === "picker" ? COLUMNS : 1;
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row }[event.key];
  if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    event.stopPropagation();
    closePopup();
  } else if (step) {
    event.preventDefault();
    const all = [...popup.children];
    all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
  }
});
document.addEventListener("pointerdown", (event) => {
  if (!popup.hidden && !popup.contains(event.target)) closePopup();
});
