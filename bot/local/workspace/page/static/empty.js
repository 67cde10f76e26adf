// What an empty place says: what it is for, and what to try there.

import { page, user } from "./api.js";

const QUESTIONS = ["What can you do?", "Explain what a thread is in one sentence", "Write a two-line poem about sheep"];

// `fill` puts a text into the box, ready to be sent or changed. `isPrompted`: the app suggests something itself.
export function emptyPlace(channel, fill, isPrompted) {
  const place = document.createElement("div");
  place.className = "empty";
  const partner = channel.partner && user(channel.partner);
  const hasDolly = channel.members.includes(page.state.bot);
  const title = document.createElement("h3");
  const words = document.createElement("p");
  if (partner?.is_bot) {
    place.innerHTML = partner.avatar; // the server's drawing
    title.textContent = "This is you and Dolly";
    words.textContent = "Each message begins a conversation; a reply in its thread continues it. Try one of these:";
  } else if (partner) {
    title.textContent = `This is you and ${partner.real_name}`;
    words.textContent = "Nothing has been said here yet.";
  } else {
    title.textContent = `This is the very beginning of #${channel.name}`;
    words.textContent = hasDolly
      ? `Mention @dolly in #${channel.name} and it answers in a thread. Try one of these:`
      : "Dolly is not in this channel. Mention it in #general, or write it a direct message.";
  }
  place.append(title, words);
  if (hasDolly && !isPrompted) place.append(...QUESTIONS.map((question) => chip(partner ? question : `@dolly ${question}`, fill)));
  return place;
}

function chip(text, fill) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "chip", textContent: text });
  button.onclick = () => fill(text);
  return button;
}
