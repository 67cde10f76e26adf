// The left side: channels, direct messages, who I am, what is unread.

import { page, user } from "./api.js";

const key = (channelId) => `read/${page.me}/${channelId}`;
const mentions = new Map(); // channel id → mentions and direct messages since it was last looked at

export const lastRead = (channelId) => Number(localStorage.getItem(key(channelId)) ?? 0);

export function markRead(channelId, ts) {
  mentions.delete(channelId);
  if (ts && Number(ts) > lastRead(channelId)) localStorage.setItem(key(channelId), ts);
}

export function countMention(channelId) {
  mentions.set(channelId, (mentions.get(channelId) ?? 0) + 1);
}

export function drawSidebar(route) {
  const shown = page.state.channels.filter((channel) => channel.kind !== "im");
  const direct = page.state.channels.filter((channel) => channel.kind === "im");
  direct.sort((a, b) => Number(b.partner === page.state.bot) - Number(a.partner === page.state.bot));
  const places = document.getElementById("places");
  const focused = document.activeElement?.dataset?.place;
  places.replaceChildren(section("Channels", shown, route), section("Direct messages", direct, route));
  if (focused) places.querySelector(`[data-place="${CSS.escape(focused)}"]`)?.focus();
  drawMe();
  const count = [...mentions.values()].reduce((sum, number) => sum + number, 0);
  document.title = `${count ? `(${count}) ` : ""}${page.state.team}`;
}

function section(title, channels, route) {
  const element = document.createElement("section");
  const heading = document.createElement("h2");
  heading.textContent = title;
  element.append(heading, ...channels.map((channel) => place(channel, channel.id === route.channel)));
  return element;
}

function place(channel, isCurrent) {
  const link = document.createElement("a");
  link.href = `#/${page.me}/${channel.id}`;
  link.dataset.place = channel.id;
  link.className = "place";
  if (isCurrent) link.setAttribute("aria-current", "page");
  const partner = channel.partner && user(channel.partner);
  const mark = document.createElement("span");
  mark.className = "mark";
  if (partner) mark.innerHTML = partner.avatar; // the server's drawing of a person
  else mark.textContent = channel.kind === "group" ? "🔒" : "#";
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = partner?.real_name ?? (channel.name || "Direct message");
  link.append(mark, name);
  if (partner?.is_bot) link.append(Object.assign(document.createElement("span"), { className: "badge", textContent: "APP" }));
  const count = mentions.get(channel.id);
  if (!isCurrent && (count || Number(channel.latest ?? 0) > lastRead(channel.id))) {
    link.classList.add("unread");
    const words = Object.assign(document.createElement("span"), { className: count ? "count" : "unseen", textContent: count ?? "unread" });
    link.append(words);
  }
  return link;
}

function drawMe() {
  const select = document.getElementById("me");
  const people = page.state.users.filter((user) => !user.is_bot);
  const options = people.map((user) => new Option(`${user.real_name}${user.note && ` (${user.note})`}`, user.id, false, user.id === page.me));
  select.replaceChildren(...options, new Option("Add a person…", ""));
  document.getElementById("my-avatar").innerHTML = user(page.me).avatar; // the server's drawing
  const link = document.getElementById("rate-link");
  link.hidden = !page.state.has_sheet;
  link.href = `/rate#/${page.me}`;
}

// The link above (-1) or below (1) that of a channel.
export function stepPlace(step, channelId) {
  const links = [...document.querySelectorAll(".place")];
  const at = links.findIndex((link) => link.dataset.place === channelId);
  return links[(at + step + links.length) % links.length];
}

document.getElementById("places").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const here = document.activeElement.dataset.place;
  if (!step || !here || event.altKey) return;
  event.preventDefault();
  stepPlace(step, here).focus();
});
