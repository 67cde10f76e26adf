// The page: where one is (the address after #), what is shown there, and what the live connection tells.
// The address is #/<user>/<channel>, with /home or /<ts of a thread> behind it: two tabs can be two people.

import { act, attempt, channel, follow, notice, page, read, user } from "./api.js";
import { Composer } from "./composer.js";
import { showHelp, showModal } from "./dialogs.js";
import { listen } from "./elements.js";
import { emptyPlace } from "./empty.js";
import { closePopup } from "./menus.js";
import { MessageList } from "./messages.js";
import { editLast, listenToTools } from "./message_tools.js";
import { askForPerson } from "./newcomers.js";
import { countMention, drawSidebar, lastRead, markRead, stepPlace } from "./sidebar.js";
import "./theme_switch.js";

const $ = (id) => document.getElementById(id);
let route = {};
let loads = 0; // frames that come while something loads wait in `early`
let early = [];

const messages = new MessageList($("messages"), { empty: () => emptyPlace(channel(route.channel), (text) => composer.fill(text), $("prompts").hasChildNodes()) });
const thread = new MessageList($("thread-messages"), { empty: () => document.createElement("p") });
const composer = new Composer($("composer"), {
  send: post,
  editLast: () => editLast(messages),
  leave: () => $("messages").querySelector('article[tabindex="0"]')?.focus(),
});
const threadComposer = new Composer($("thread-composer"), { send: post, editLast: () => editLast(thread), leave: closeThread });

async function post(channel_id, thread_ts, text, files = []) {
  const sent = await act(files.length ? "share" : "post", { channel_id, thread_ts, text, files });
  if (sent.ts && !thread_ts && channel(channel_id)?.partner === page.state.bot) openThread(channel_id, sent.ts);
  (thread_ts ? thread : messages).toEnd();
  return sent;
}

// Where one is

function parse() {
  const [, me, channelId, rest] = location.hash.split("/").map(decodeURIComponent);
  return { me, channel: channelId, home: rest === "home", thread: rest && rest !== "home" ? rest : null };
}

function go(channelId, rest) {
  location.hash = `#/${page.me}/${channelId}${rest ? `/${rest}` : ""}`;
}

const openThread = (channelId, ts) => go(channelId, ts);

function closeThread() {
  if (!route.thread) return;
  const opener = messages.find(route.thread);
  go(route.channel);
  (opener ?? composer.box).focus();
}

async function arrive() {
  const next = parse();
  if (next.me !== page.me) return location.reload(); // another person begins with nothing of this one
  if (!channel(next.channel)) {
    const usual = page.state.channels.find((place) => place.name === "general") ?? page.state.channels[0];
    history.replaceState(null, "", `#/${page.me}/${usual.id}`);
    return arrive();
  }
  const before = route;
  route = { ...next, home: next.home && channel(next.channel).partner === page.state.bot };
  $("app").dataset.pane = route.thread ? "thread" : "channel";
  if (before.channel !== route.channel || before.me !== route.me) await showChannel();
  if (before.home !== route.home || before.channel !== route.channel) showTab();
  if (before.thread !== route.thread || before.channel !== route.channel) await showThread();
  drawSidebar(route);
}

async function start() {
  const state = await attempt(read("state", { user_id: parse().me ?? localStorage.getItem("me") ?? "" }));
  if (!state) return setTimeout(start, 2000);
  page.me = state.me;
  page.state = state;
  document.documentElement.toggleAttribute("data-shortcuts", state.shortcuts.length > 0);
  localStorage.setItem("me", page.me);
  if (parse().me !== page.me) history.replaceState(null, "", `#/${page.me}/${parse().channel ?? ""}`);
  await arrive();
  let isFirst = true;
  follow({
    heard: (frame) => (loads ? early.push(frame) : hear(frame)),
    lost: () => ($("offline").hidden = false),
    opened: () => {
      $("offline").hidden = true;
      if (!isFirst) reload();
      isFirst = false;
      loading(showViews);
    },
  });
}

// After a lost connection: everything that is shown is read anew.
async function reload() {
  const state = await attempt(read("state"));
  if (!state) return;
  page.state = state;
  await showChannel();
  await showThread();
  drawSidebar(route);
}

async function loading(work) {
  loads += 1;
  try {
    await work();
  } catch (error) {
    notice(error.message);
  } finally {
    loads -= 1;
    if (!loads) for (const frame of early.splice(0)) hear(frame);
  }
}

// What is shown

async function showChannel() {
  const here = channel(route.channel);
  const partner = here.partner && user(here.partner);
  const name = partner?.real_name ?? here.name;
  $("channel-name").textContent = partner ? name : `# ${name}`;
  $("channel-topic").textContent = partner?.is_bot ? "Your team's own assistant" : here.topic;
  $("channel-members").textContent = partner ? "" : here.members.length;
  $("channel-members").title = here.members.map((id) => user(id)?.real_name ?? id).join(", ");
  $("tabs").hidden = !partner?.is_bot;
  composer.enter(here.id, null, partner ? `Message ${name}` : `Message #${name}`);
  await loading(async () => {
    const found = await read("channel", { channel_id: here.id });
    if (here.id !== route.channel) return;
    showPrompts($("prompts"), found.prompts, null);
    messages.reset(found.messages, { unreadAfter: unreadAfter(here, found.messages) });
    offerOlder(here.id, found);
    markRead(here.id, found.messages.at(-1)?.ts);
  });
}

// The last ts that was read here, where something newer by others follows it; else no mark is wanted.
function unreadAfter(here, items) {
  const read = lastRead(here.id);
  return read && items.some((item) => Number(item.ts) > read && item.user_id !== page.me) ? read : Infinity;
}

function offerOlder(channelId, { messages: items, has_more: hasMore }) {
  if (!hasMore) return;
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "button older", textContent: "Show older messages" });
  button.onclick = () =>
    loading(async () => {
      const found = await read("channel", { channel_id: channelId, before: items[0].ts });
      button.remove();
      messages.prepend(found.messages);
      offerOlder(channelId, found);
    });
  $("messages").prepend(button);
}

function showPrompts(place, prompts, threadTs) {
  const chips = prompts.map(({ title, message }) => {
    const chip = Object.assign(document.createElement("button"), { type: "button", className: "chip", textContent: title });
    chip.onclick = () => attempt(post(route.channel, threadTs, message));
    return chip;
  });
  place.replaceChildren(...chips);
}

function showTab() {
  const isDolly = !$("tabs").hidden;
  $("home").hidden = !route.home;
  $("messages-panel").hidden = route.home;
  for (const [id, selected] of [["tab-home", route.home], ["tab-messages", !route.home]]) {
    $(id).setAttribute("aria-selected", selected);
    $(id).tabIndex = selected ? 0 : -1;
  }
  if (!isDolly) return;
  if (route.home) loading(showViews);
  attempt(act(route.home ? "open_home" : "open_messages", {}));
}

async function showViews() {
  const views = await read("views");
  showHome(views.home);
  showModal(views.modal);
}

function showHome(html) {
  $("home").innerHTML = html || '<p class="empty">Dolly has put nothing on its Home tab yet.</p>'; // made safe by the server
}

async function showThread() {
  $("thread").hidden = !route.thread;
  if (!route.thread) return;
  const { channel: channelId, thread: ts } = route;
  threadComposer.enter(channelId, ts, "Reply…");
  await loading(async () => {
    const found = await read("thread", { channel_id: channelId, thread_ts: ts });
    if (ts !== route.thread) return;
    thread.reset(found.messages);
    $("thread-title").textContent = found.title || $("channel-name").textContent;
    showPrompts($("thread-prompts"), found.prompts, ts);
    showWork(found.work);
    markRead(channelId, found.messages.at(-1)?.ts);
    if (!matchMedia("(pointer: coarse)").matches) threadComposer.box.focus({ preventScroll: true }); // no keyboard pops up
  });
}

function showWork({ text, can_stop: canStop }) {
  const words = Object.assign(document.createElement("span"), { textContent: text });
  $("work").replaceChildren(words);
  $("work").classList.toggle("working", Boolean(text));
  if (!canStop) return;
  const stop = Object.assign(document.createElement("button"), { type: "button", className: "button stop" });
  stop.innerHTML = '<svg aria-hidden="true"><use href="#i-stop"/></svg>Stop';
  stop.onclick = () => attempt(act("stop", { channel_id: route.channel, thread_ts: route.thread }));
  $("work").append(stop);
}

// What the live connection tells

const HEAR = {
  message: hearMessage,
  removed: ({ ts }) => {
    messages.remove(ts);
    thread.remove(ts);
  },
  work: (frame) => frame.channel_id === route.channel && frame.thread_ts === route.thread && showWork(frame),
  modal: ({ html }) => showModal(html),
  home: ({ html }) => showHome(html),
  error: ({ text }) => notice(text),
  state: () => reload(),
  refresh: ({ channel_id: id }) => id === route.channel && loading(() => refresh(id)),
};

function hear(frame) {
  HEAR[frame.kind]?.(frame);
}

function hearMessage(item) {
  const here = channel(item.channel_id);
  if (!here) return reload();
  if (item.channel_id === route.channel && item.in_channel) messages.upsert(item);
  if (route.thread && item.channel_id === route.channel && [item.ts, item.thread_ts].includes(route.thread)) thread.upsert(item);
  if (!item.is_new) return;
  const counts = item.in_channel || here.kind === "im";
  if (counts && Number(item.ts) > Number(here.latest ?? 0)) here.latest = item.ts;
  const looking = item.channel_id === route.channel && document.hasFocus();
  if (looking || item.user_id === page.me) markRead(item.channel_id, counts ? item.ts : null);
  else if (here.kind === "im" || item.html.includes("mention-me")) countMention(item.channel_id);
  drawSidebar(route);
}

async function refresh(channelId) {
  showPrompts($("prompts"), (await read("channel", { channel_id: channelId })).prompts, null);
  if (!route.thread) return;
  const { title, prompts } = await read("thread", { channel_id: channelId, thread_ts: route.thread });
  showPrompts($("thread-prompts"), prompts, route.thread);
  $("thread-title").textContent = title || $("channel-name").textContent;
}

// What is pressed

for (const pane of [$("messages"), $("thread-messages")]) listenToTools(pane, openThread);
listen(document.body);
addEventListener("hashchange", () => page.state && arrive());
addEventListener("focus", () => {
  const here = page.state && channel(route.channel);
  if (!here) return;
  markRead(here.id, here.latest);
  drawSidebar(route);
});
$("me").addEventListener("change", () => {
  if (!$("me").value) {
    $("me").value = page.me;
    return askForPerson(route.channel);
  }
  const isShared = channel(route.channel).kind !== "im";
  location.hash = `#/${$("me").value}/${isShared ? route.channel : ""}`;
});
$("thread-close").addEventListener("click", closeThread);
$("help-button").addEventListener("click", showHelp);
$("tab-home").addEventListener("click", () => go(route.channel, "home"));
$("tab-messages").addEventListener("click", () => go(route.channel));
$("tabs").addEventListener("keydown", (event) => {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  go(route.channel, route.home ? "" : "home");
  $(route.home ? "tab-messages" : "tab-home").focus();
});
$("places").addEventListener("click", (event) => {
  if (event.target.closest(".place")) $("app").dataset.pane = "channel";
});
for (const button of document.querySelectorAll("[data-go]"))
  button.addEventListener("click", () => {
    if (button.dataset.go === "channel") closeThread();
    else $("app").dataset.pane = "sidebar";
  });

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select");
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (closePopup()) return;
    if (event.target.closest("#thread")) closeThread();
    else composer.box.focus();
  } else if (event.key === "?" && !isTyping) showHelp();
  else if (event.altKey && ["ArrowUp", "ArrowDown"].includes(event.key)) {
    event.preventDefault();
    stepPlace(event.key === "ArrowDown" ? 1 : -1, route.channel).click();
  }
});

start();
