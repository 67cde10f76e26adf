// Where people write: grows, completes @names and /commands, takes files, keeps a draft per conversation.

import { attempt, page } from "./api.js";
import { Attached } from "./attached.js";

export class Composer {
  #place = null; // { key, channelId, threadTs }
  #matches = [];
  #picked = 0;

  constructor(container, { send, editLast, leave }) {
    const template = document.getElementById("composer-template");
    container.append(template.content.cloneNode(true));
    this.form = container.querySelector("form");
    this.box = this.form.querySelector("textarea");
    this.list = this.form.querySelector(".completion");
    this.list.id = `${container.id}-completion`;
    this.box.setAttribute("aria-controls", this.list.id);
    this.button = this.form.querySelector(".send");
    this.attached = new Attached(this.form, () => this.#drawn());
    this.send = send;
    this.editLast = editLast;
    this.leave = leave;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.box.addEventListener("input", () => this.#changed());
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("blur", () => this.#close());
    // A thread that opens makes it narrower; in the next frame, because growing is a resize too.
    new ResizeObserver(() => requestAnimationFrame(() => this.#grow())).observe(this.form);
    this.list.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const item = event.target.closest("li");
      if (item) this.#take(Number(item.dataset.index));
    });
  }

  // Moves to another conversation, with the draft that was left there.
  enter(channelId, threadTs, label) {
    this.#place = { channelId, threadTs, key: `draft/${page.me}/${channelId}/${threadTs ?? ""}` };
    this.box.placeholder = label;
    this.box.setAttribute("aria-label", label);
    this.attached.clear();
    this.#set(localStorage.getItem(this.#place.key) ?? "");
  }

  fill(text) {
    this.#set(text);
    this.box.focus();
    this.box.setSelectionRange(text.length, text.length);
  }

  async #submit() {
    const text = this.box.value.trim();
    const files = this.attached.files;
    if (!text && !files.length) return;
    const { channelId, threadTs } = this.#place;
    this.#set("");
    const sent = await attempt(this.attached.encoded().then((encoded) => this.send(channelId, threadTs, text, encoded)));
    if (sent) this.attached.remove(files);
    else if (!this.box.value && this.#place.channelId === channelId) this.#set(text);
  }

  #set(text) {
    this.box.value = text;
    this.#close();
    this.#drawn();
  }

  #changed() {
    this.#drawn();
    this.#complete();
  }

  #drawn() {
    const text = this.box.value;
    if (text) localStorage.setItem(this.#place.key, text);
    else localStorage.removeItem(this.#place.key);
    this.button.disabled = !text.trim() && !this.attached.files.length;
    this.#grow();
  }

  #grow() {
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(this.box.scrollHeight, innerHeight * 0.4)}px`;
  }

  #key(event) {
    if (event.isComposing) return;
    const open = !this.list.hidden;
    if (open && ["ArrowDown", "ArrowUp"].includes(event.key)) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#picked = (this.#picked + step + this.#matches.length) % this.#matches.length;
      this.#show();
    } else if (open && (event.key === "Tab" || event.key === "Enter") && !event.shiftKey) {
      event.preventDefault();
      this.#take(this.#picked);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (open) this.#close();
      else this.leave();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "ArrowUp" && !this.box.value) {
      event.preventDefault();
      this.editLast();
    }
  }

  #complete() {
    const before = this.box.value.slice(0, this.box.selectionStart);
    const mention = /(?:^|[\s(])@([\w.-]*)$/.exec(before);
    const command = /^\/(\w*)$/.exec(before);
    if (mention) this.#offer(people(mention[1]), mention[1].length + 1);
    else if (command) this.#offer(commands(command[1]), before.length);
    else this.#close();
  }

  #offer(matches, replaced) {
    this.#matches = matches.map((match) => ({ ...match, replaced }));
    this.#picked = 0;
    if (matches.length) this.#show();
    else this.#close();
  }

  #show() {
    this.list.replaceChildren(...this.#matches.map((match, index) => option(match, index, index === this.#picked, this.list.id)));
    this.list.hidden = false;
    this.box.setAttribute("aria-expanded", "true");
    this.box.setAttribute("aria-activedescendant", `${this.list.id}-${this.#picked}`);
  }

  #close() {
    this.list.hidden = true;
    this.box.setAttribute("aria-expanded", "false");
    this.box.removeAttribute("aria-activedescendant");
  }

  #take(index) {
    const { insert, replaced } = this.#matches[index];
    const end = this.box.selectionStart;
    this.box.setRangeText(`${insert} `, end - replaced, end, "end");
    this.#changed();
    this.#close();
  }
}

function people(typed) {
  const begins = (text) => text.toLowerCase().startsWith(typed.toLowerCase());
  return page.state.users
    .filter((user) => user.id !== page.me && (begins(user.name) || begins(user.real_name)))
    .sort((a, b) => Number(b.is_bot) - Number(a.is_bot))
    .map((user) => ({ insert: `@${user.name}`, title: user.real_name, note: `@${user.name}${user.is_bot ? " · app" : ""}`, avatar: user.avatar }));
}

function commands(typed) {
  return page.state.commands
    .filter((command) => command.name.startsWith(`/${typed}`))
    .map((command) => ({ insert: command.name, title: `${command.name} ${command.hint}`, note: command.description, avatar: "" }));
}

function option({ title, note, avatar }, index, selected, listId) {
  const item = document.createElement("li");
  item.role = "option";
  item.id = `${listId}-${index}`;
  item.dataset.index = index;
  item.setAttribute("aria-selected", selected);
  item.innerHTML = avatar; // the server's drawing of a person, or nothing
  const words = document.createElement("b");
  words.textContent = title;
  const more = document.createElement("span");
  more.textContent = note;
  item.append(words, more);
  return item;
}
