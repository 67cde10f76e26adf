// Block Kit's interactive elements: what was chosen, in Slack's own names, and telling the app of it.

import { act, attempt } from "./api.js";
import { ask } from "./dialogs.js";

const ON_CLICK = ["button", "icon_button", "feedback_buttons", "overflow"];
const ON_ENTER = ["plain_text_input", "email_text_input", "url_text_input", "number_input"];
const ONE = {
  datepicker: "selected_date",
  timepicker: "selected_time",
  users_select: "selected_user",
  channels_select: "selected_channel",
  conversations_select: "selected_conversation",
};

// What a control holds now, as Slack sends it: {value}, {selected_option}, {selected_users} …
export function choice(control) {
  const kind = control.dataset.action;
  if (kind === "feedback_buttons") return { value: control.dataset.value };
  if (kind === "overflow") return { selected_option: JSON.parse(control.dataset.option) };
  if (ON_CLICK.includes(kind)) return {};
  if (kind === "radio_buttons") return { selected_option: options(control, ":checked")[0] ?? null };
  if (kind === "checkboxes") return { selected_options: options(control, ":checked") };
  if (kind === "datetimepicker") return { selected_date_time: control.value ? Math.round(new Date(control.value) / 1000) : null };
  if (kind in ONE) return { [ONE[kind]]: control.value || null };
  if (kind.replace("multi_", "") in ONE)
    return { [`${ONE[kind.replace("multi_", "")]}s`]: [...control.selectedOptions].map((option) => option.value) };
  if (kind.startsWith("multi_")) return { selected_options: options(control, "option:checked") };
  if (kind.endsWith("_select")) return { selected_option: options(control, "option:checked")[0] ?? null };
  return { value: control.value || null };
}

function options(control, selector) {
  return [...control.querySelectorAll(selector)].filter((option) => option.dataset.option).map((option) => JSON.parse(option.dataset.option));
}

// {block_id: {action_id: {type, …}}} of every input within `root`.
export function stateValues(root) {
  const values = {};
  for (const control of root.querySelectorAll("[data-action]")) {
    const { action, actionId, blockId } = control.dataset;
    if (ON_CLICK.includes(action)) continue;
    values[blockId] ??= {};
    values[blockId][actionId] = { type: action, ...choice(control) };
  }
  return values;
}

// Where a control stands: a message (its channel and ts) or a view (its id).
function place(control) {
  const view = control.closest("[data-view]");
  if (view) return { root: view, channel_id: null, where: view.dataset.view };
  const message = control.closest("article");
  return { root: message, channel_id: message.dataset.channel, where: message.dataset.ts };
}

async function use(control) {
  const { root, channel_id, where } = place(control);
  if (control.dataset.confirm && !(await ask(JSON.parse(control.dataset.confirm)))) return;
  if (control.dataset.url) window.open(control.dataset.url, "_blank", "noopener");
  if (control.dataset.action === "feedback_buttons")
    for (const button of control.parentElement.children) button.setAttribute("aria-pressed", button === control);
  const { actionId, blockId } = control.dataset;
  control.classList.add("busy");
  const body = { channel_id, where, block_id: blockId, action_id: actionId, choice: choice(control) };
  await attempt(act("click", { ...body, state_values: stateValues(root) }));
  control.classList.remove("busy");
}

// Whether using this control tells the app at once. Inside an input block only where the app asked for it.
function dispatches(control) {
  const input = control.closest(".input");
  return !input || "dispatch" in input.dataset;
}

async function search(field) {
  const select = field.parentElement.querySelector("select");
  const { channel_id, where } = place(select);
  const { actionId, blockId } = select.dataset;
  const body = { channel_id, where, block_id: blockId, action_id: actionId, value: field.value };
  const found = await attempt(act("options", body));
  const chosen = [...select.selectedOptions].filter((option) => option.value);
  const rows = (found?.options ?? []).map((option) => {
    const row = new Option(option.text.text, option.value);
    row.dataset.option = JSON.stringify(option);
    return row;
  });
  select.replaceChildren(new Option("Choose…", ""), ...chosen, ...rows);
}

export function listen(root) {
  let typing;
  root.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      await navigator.clipboard.writeText(copy.parentElement.querySelector("code").textContent);
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    }
    const control = event.target.closest("[data-action]");
    if (!control || !ON_CLICK.includes(control.dataset.action)) return;
    control.closest("details")?.removeAttribute("open");
    use(control);
  });
  root.addEventListener("change", (event) => {
    const control = event.target.closest("[data-action]");
    if (control && !ON_ENTER.includes(control.dataset.action) && dispatches(control)) use(control);
  });
  root.addEventListener("keydown", (event) => {
    const control = event.target.closest("[data-action]");
    const sends = event.key === "Enter" && control?.tagName === "INPUT" && ON_ENTER.includes(control.dataset.action);
    if (sends && control.closest("[data-dispatch]")) use(control);
  });
  root.addEventListener("input", (event) => {
    if (!event.target.matches("[data-query]")) return;
    clearTimeout(typing);
    typing = setTimeout(() => search(event.target), 200);
  });
}
