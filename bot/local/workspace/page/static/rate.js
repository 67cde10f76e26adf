// Rating: one answer at a time, A to D, by whoever the address names (/rate#/<user>). What is pressed is kept at once.

import { act, attempt, page, read } from "./api.js";
import "./theme_switch.js";

const $ = (id) => document.getElementById(id);
let items = [];
let given = []; // ids of rated answers, the last one last
let skipped = []; // ids of those that were left for later
let shown = null; // the answer that is on the page
let busy = false;

const waiting = () => items.filter((item) => !given.includes(item.id));

function next() {
  const left = waiting();
  const fresh = left.find((item) => !skipped.includes(item.id));
  return fresh ?? items.find((item) => item.id === skipped[0]) ?? null;
}

function show(item) {
  shown = item;
  $("progress").value = given.length;
  $("progress").max = items.length || 1;
  $("position").textContent = item ? `Rated ${given.length} of ${items.length}` : `All ${items.length} rated`;
  $("rated").hidden = !item;
  $("done").hidden = Boolean(item);
  $("done").textContent = "You have rated every answer. Whose they are, and what all say of them, tells dolly-trainer rate report.";
  enable();
  if (!item) return;
  for (const part of ["question", "input", "answer"]) write(part, item[part]);
  $("input").parentElement.hidden = !item.input.trim();
  $("rated").scrollTop = 0;
}

function write(part, text) {
  $(part).textContent = text.trim() ? text : "(nothing)";
  $(part).classList.toggle("nothing", !text.trim());
}

function enable() {
  for (const button of document.querySelectorAll(".letter")) button.disabled = !shown;
  $("skip").disabled = !shown || waiting().length < 2;
  $("undo").disabled = !given.length;
}

async function keep(item, rating) {
  busy = true;
  const isKept = (await attempt(act("rate", { item, rating }))) !== undefined;
  busy = false;
  return isKept;
}

async function rate(rating) {
  if (busy || !shown) return;
  const { id } = shown;
  if (!(await keep(id, rating))) return;
  given.push(id);
  skipped = skipped.filter((other) => other !== id);
  show(next());
}

async function undo() {
  if (busy || !given.length) return;
  const last = given.at(-1);
  if (!(await keep(last, null))) return;
  given.pop();
  show(items.find((item) => item.id === last));
}

function skip() {
  if (busy || !shown || waiting().length < 2) return;
  skipped = [...skipped.filter((id) => id !== shown.id), shown.id];
  show(next());
}

async function start() {
  const asked = decodeURIComponent(location.hash.split("/")[1] ?? "") || localStorage.getItem("me") || "";
  const state = await attempt(read("state", { user_id: asked }));
  if (!state) return setTimeout(start, 2000);
  page.me = state.me;
  history.replaceState(null, "", `#/${page.me}`);
  $("back").href = `/#/${page.me}/`;
  const people = state.users.filter((user) => !user.is_bot);
  $("me").replaceChildren(...people.map((user) => new Option(user.real_name, user.id, false, user.id === page.me)));
  try {
    const sheet = await read("ratings");
    items = sheet.items;
    given = sheet.ratings.map((rating) => rating.item);
    show(next());
  } catch (error) {
    show(null);
    $("position").textContent = "";
    $("undo").disabled = true;
    $("done").textContent = error.message;
  }
}

for (const button of document.querySelectorAll(".letter")) button.addEventListener("click", () => rate(button.dataset.rating));
$("undo").addEventListener("click", undo);
$("skip").addEventListener("click", skip);
$("me").addEventListener("change", () => (location.hash = `#/${$("me").value}`));
addEventListener("hashchange", () => location.reload()); // another person begins with nothing of this one
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select")) return;
  const key = event.key.toUpperCase();
  if (["A", "B", "C", "D"].includes(key)) rate(key);
  else if (key === "U") undo();
  else if (key === "S") skip();
});

start();
