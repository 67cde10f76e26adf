// A list of messages: the server draws each one, this places, groups and updates them.

const MINUTES = 60;

export class MessageList {
  constructor(container, { empty }) {
    this.container = container;
    this.empty = empty; // () => a node that says what to try here
    this.unreadAfter = Infinity;
    this.waiting = new Map(); // ts → what came for a message while it was being edited
    container.addEventListener("edited", (event) => this.#catchUp(event.target.dataset.ts));
    container.addEventListener("keydown", (event) => this.#move(event));
    container.addEventListener("focusin", (event) => this.#focus(event.target.closest("article")));
  }

  get articles() {
    return [...this.container.querySelectorAll(":scope > article")];
  }

  reset(items, { unreadAfter = Infinity } = {}) {
    this.unreadAfter = unreadAfter;
    this.container.replaceChildren(...items.map(draw));
    this.#arrange();
    this.toEnd();
  }

  // Puts older messages in front, leaving what is in view where it is.
  prepend(items) {
    const fromEnd = this.container.scrollHeight - this.container.scrollTop;
    this.container.prepend(...items.map(draw));
    this.#arrange();
    this.container.scrollTop = this.container.scrollHeight - fromEnd;
  }

  upsert(item) {
    const follow = this.#isAtEnd();
    const drawn = draw(item);
    const shown = this.find(item.ts);
    if (shown) {
      if (shown.classList.contains("editing")) this.waiting.set(item.ts, item);
      else {
        const kept = ["grouped", "first-unread"].filter((name) => shown.classList.contains(name));
        drawn.classList.add(...kept);
        drawn.tabIndex = shown.tabIndex;
        morph(shown, drawn);
      }
    } else {
      const next = this.articles.find((article) => Number(article.dataset.ts) > Number(item.ts));
      this.container.insertBefore(drawn, next ?? null);
      this.#arrange();
    }
    if (follow) this.toEnd();
  }

  #catchUp(ts) {
    const item = this.waiting.get(ts);
    this.waiting.delete(ts);
    if (item) this.upsert(item);
  }

  remove(ts) {
    this.find(ts)?.remove();
    this.#arrange();
  }

  find(ts) {
    return this.articles.find((article) => article.dataset.ts === ts);
  }

  toEnd() {
    this.container.scrollTop = this.container.scrollHeight;
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.container;
    return scrollHeight - scrollTop - clientHeight < 120;
  }

  // Days get a line, a person's consecutive messages one head, the first unread one a mark.
  #arrange() {
    for (const line of this.container.querySelectorAll(":scope > :not(article, .older)")) line.remove();
    let before = null;
    let marked = false;
    for (const article of this.articles) {
      const at = new Date(Number(article.dataset.ts) * 1000);
      const isNewDay = !before || before.at.toDateString() !== at.toDateString();
      if (isNewDay) article.before(dayLine(at));
      const isUnread = !marked && Number(article.dataset.ts) > this.unreadAfter;
      if (isUnread) article.before(line("new-line", "New"));
      marked ||= isUnread;
      const grouped =
        !isNewDay && !isUnread && before.user === article.dataset.user && at - before.at < 5 * MINUTES * 1000 &&
        !article.matches(".ephemeral, .system") && !before.special;
      article.classList.toggle("grouped", grouped);
      before = { at, user: article.dataset.user, special: article.matches(".ephemeral, .system") };
    }
    if (!before) this.container.append(this.empty());
    if (!this.container.querySelector('article[tabindex="0"]')) this.articles.at(-1)?.setAttribute("tabindex", "0");
  }

  // One message at a time is in the tab order; the arrows move through them.
  #focus(article) {
    if (!article) return;
    for (const other of this.articles) if (other !== article) other.tabIndex = -1;
    article.tabIndex = 0;
  }

  #move(event) {
    if (event.target.closest("input, textarea, select, form, .menu")) return;
    const articles = this.articles;
    const at = articles.indexOf(document.activeElement.closest("article"));
    const last = articles.length - 1;
    const to = {
      ArrowUp: at < 0 ? last : at - 1,
      ArrowDown: at < 0 ? last : at + 1,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    articles[Math.max(0, Math.min(last, to))]?.focus();
  }
}

function draw(item) {
  const template = document.createElement("template");
  template.innerHTML = item.html; // made safe by the server; the security policy runs no inline script
  const article = template.content.firstElementChild;
  article.dataset.channel = item.channel_id;
  article.dataset.thread = item.thread_ts ?? item.ts;
  for (const time of article.querySelectorAll(".message-head time")) {
    const at = new Date(time.dateTime);
    time.textContent = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    time.title = at.toLocaleString([], { dateStyle: "full", timeStyle: "short" });
    article.setAttribute("aria-label", `${article.dataset.author}, ${time.textContent}`);
  }
  return article;
}

function dayLine(at) {
  const day = 24 * 60 * MINUTES * 1000;
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / day);
  const words = ["Today", "Yesterday"][days] ?? at.toLocaleDateString([], { weekday: "long", month: "long", day: "numeric" });
  return line("day", words);
}

function line(name, words) {
  const element = document.createElement("div");
  element.className = name;
  element.append(Object.assign(document.createElement("span"), { textContent: words }));
  return element;
}

// Makes `shown` equal to `drawn`, touching only what differs: focus, selection and what was typed stay. A form's field is
// the same one where its block has the same id, wherever it stands; another one begins as the app gave it.
export function morph(shown, drawn) {
  for (const { name, value } of drawn.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  for (const { name } of [...shown.attributes])
    if (!drawn.hasAttribute(name) && name !== "aria-pressed" && name !== "open") shown.removeAttribute(name);
  const wanted = [...drawn.childNodes];
  for (const [index, node] of wanted.entries()) {
    let old = shown.childNodes[index];
    if (fieldId(node) !== fieldId(old)) {
      const own = fieldId(node) && [...shown.children].find((child) => fieldId(child) === fieldId(node));
      shown.insertBefore(own || node, old ?? null);
      if (!own) continue;
      old = own;
    }
    if (!old) shown.append(node);
    else if (old.isEqualNode(node)) continue;
    else if (old.nodeType === Node.TEXT_NODE && node.nodeType === Node.TEXT_NODE) old.data = node.data;
    else if (old.nodeName === node.nodeName && old.nodeType === Node.ELEMENT_NODE) morph(old, node);
    else old.replaceWith(node);
  }
  while (shown.childNodes.length > wanted.length) shown.lastChild.remove();
}

// The block id of a form's field; undefined for anything else.
function fieldId(node) {
  return node?.classList?.contains("block-input") ? node.dataset.block : undefined;
}
