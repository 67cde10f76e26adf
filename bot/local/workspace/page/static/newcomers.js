// Adding a person to the workspace, to see Dolly with the eyes of a guest, another company, another language.

import { act, attempt, channel } from "./api.js";

const dialog = document.getElementById("invite");
const form = dialog.querySelector("form");
let channelId = "";

export function askForPerson(currentId) {
  channelId = currentId;
  form.reset();
  dialog.showModal();
}

form.querySelector("header button").addEventListener("click", () => dialog.close());
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [name, kind, locale] = ["name", "kind", "locale"].map((id) => document.getElementById(`invite-${id}`).value);
  const added = await attempt(act("invite", { name, kind, locale, channel_id: channelId }));
  if (!added) return;
  dialog.close();
  location.hash = `#/${added.user_id}/${channel(channelId).kind === "im" ? "" : channelId}`;
});
