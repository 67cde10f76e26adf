// What people do to a message: react, reply, edit, delete, the app's shortcuts; with the mouse, a finger or the keyboard.

import { act, attempt, page, read } from "./api.js";
import { ask } from "./dialogs.js";
import { openMenu, pickEmoji } from "./menus.js";

const KEYS = { t: "thread", r: "react", e: "edit", m: "more", Delete: "delete" };

const place = (article) => ({ channel_id: article.dataset.channel, ts: article.dataset.ts });

export function listenToTools(container, openThread) {
  const tools = {
    thread: (article) => openThread(article.dataset.channel, article.dataset.thread),
    react: (article, button) => pickEmoji(button, (name) => react(article, name, true)),
    edit,
    delete: remove,
    more: (article, button) => openMenu(button, shortcuts(article)),
  };
  container.addEventListener("click", (event) => {
    const article = event.target.closest("article");
    const tool = event.target.closest("[data-tool]");
    const reaction = event.target.closest("[data-reaction]");
    const channel = event.target.closest("[data-open-channel]");
    if (tool) tools[tool.dataset.tool](article, tool);
    else if (reaction) react(article, reaction.dataset.reaction, reaction.getAttribute("aria-pressed") !== "true");
    else if (channel) location.hash = `#/${page.me}/${channel.dataset.openChannel}`;
  });
  container.addEventListener("keydown", (event) => {
    const article = event.target;
    const tool = KEYS[event.key];
    if (article.tagName !== "ARTICLE" || event.ctrlKey || event.metaKey || event.altKey) return;
    const button = article.querySelector(`.toolbar [data-tool="${event.key === "Enter" ? "thread" : tool}"]`);
    if (!button) return;
    event.preventDefault();
    tools[button.dataset.tool](article, button);
  });
}

// The app's message shortcuts, as its manifest names them.
function shortcuts(article) {
  return page.state.shortcuts.map(({ callback_id, name, description }) => ({
    name,
    note: description,
    run: () => attempt(act("shortcut", { ...place(article), callback_id })),
  }));
}

function react(article, name, add) {
  attempt(act(add ? "react" : "unreact", { ...place(article), name }));
}

async function remove(article) {
  const sure = { title: "Delete message", text: "Are you sure you want to delete this message? This cannot be undone.", confirm: "Delete" };
  if (await ask(sure)) attempt(act("delete", place(article)));
}

export async function edit(article) {
  if (article.classList.contains("editing")) return;
  const source = await attempt(read("source", place(article)));
  if (source) openEditor(article, source.text);
}

function openEditor(article, text) {
  const body = article.querySelector(".message-body");
  const form = document.createElement("form");
  form.className = "edit";
  const box = document.createElement("textarea");
  box.value = text;
  box.rows = Math.min(12, text.split("\n").length + 1);
  box.setAttribute("aria-label", "Edit message");
  const cancel = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: "Cancel" });
  const save = Object.assign(document.createElement("button"), { className: "button primary", textContent: "Save" });
  form.append(box, cancel, save);
  const end = () => {
    article.classList.remove("editing");
    form.remove();
    article.focus();
    article.dispatchEvent(new Event("edited", { bubbles: true }));
  };
  cancel.onclick = end;
  form.onsubmit = async (event) => {
    event.preventDefault();
    const changed = box.value.trim();
    end();
    if (!changed) return remove(article);
    const done = await attempt(act("edit", { ...place(article), text: changed }).then(() => true));
    if (!done) openEditor(article, changed);
  };
  box.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === "Escape") end();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  };
  article.classList.add("editing");
  body.after(form);
  box.focus();
}

// The newest message of this person in a list, for "arrow up" in an empty box.
export function editLast(list) {
  const mine = list.articles.findLast((article) => article.querySelector('.toolbar [data-tool="edit"]'));
  if (mine) edit(mine);
}
