// Files that are to go with what is being written: chosen, dropped or pasted; each can be taken away again.

import { notice } from "./api.js";

const MOST_FILES = 10;
const MOST_BYTES = 30 * 2 ** 20;

export class Attached {
  files = [];

  // `form` is the composer's; `changed` is called when there are more or fewer files.
  constructor(form, changed) {
    this.list = form.querySelector(".attached");
    this.box = form.querySelector("textarea");
    this.changed = changed;
    const input = form.querySelector('input[type="file"]');
    form.querySelector(".attach").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.#add(input.files);
      input.value = "";
    });
    form.addEventListener("paste", (event) => {
      if (event.clipboardData.files.length) this.#add(event.clipboardData.files);
    });
    form.addEventListener("dragover", (event) => event.preventDefault());
    form.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#add(event.dataTransfer.files);
    });
  }

  // When one goes to another conversation: nothing is told, as what is written there is drawn anew.
  clear() {
    this.files = [];
    this.#show();
  }

  remove(files) {
    this.files = this.files.filter((file) => !files.includes(file));
    this.#draw();
  }

  // As the page sends them: names and base64.
  async encoded() {
    return Promise.all(this.files.map(async (file) => ({ name: file.name, content: await base64(file) })));
  }

  #add(files) {
    const all = [...this.files, ...files];
    const bytes = all.reduce((sum, file) => sum + file.size, 0);
    if (all.length > MOST_FILES || bytes > MOST_BYTES) return notice(`Attach up to ${MOST_FILES} files, 30 MB together.`);
    this.files = all;
    this.#draw();
  }

  #draw() {
    this.#show();
    this.changed();
  }

  #show() {
    this.list.hidden = !this.files.length;
    this.list.replaceChildren(...this.files.map((file) => this.#chip(file)));
  }

  #chip(file) {
    const chip = document.createElement("li");
    const away = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
    away.setAttribute("aria-label", `Remove ${file.name}`);
    away.onclick = () => {
      this.remove([file]);
      this.box.focus();
    };
    chip.append(Object.assign(document.createElement("span"), { textContent: `📄 ${file.name}` }), away);
    return chip;
  }
}

function base64(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => failed(new Error(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });
}
