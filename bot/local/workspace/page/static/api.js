// The page's way to the server: reads, acts, and the live connection.

export const page = { me: "", state: null };

export const user = (id) => page.state.users.find((user) => user.id === id);
export const channel = (id) => page.state.channels.find((channel) => channel.id === id);

// What is done is not sent twice: a failed act is told, and the person decides.
export async function act(name, body) {
  return answered(
    fetch(`/page/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ user_id: page.me, ...body }),
    }),
  );
}

export async function read(name, query = {}) {
  return answered(fetch(`/page/${name}?${new URLSearchParams({ user_id: page.me, ...query })}`));
}

async function answered(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new Error("The workspace does not answer. Is Dolly still running?");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.error ?? `The workspace answered with ${response.status}.`);
  return body;
}

// Runs an act; what goes wrong is shown as a notice. Resolves to undefined then.
export async function attempt(promise) {
  try {
    return await promise;
  } catch (error) {
    notice(error.message);
  }
}

export function notice(text) {
  const place = document.getElementById("notices");
  const note = document.createElement("div");
  note.className = "notice";
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Dismiss";
  close.onclick = () => note.remove();
  note.append(text, close);
  place.append(note);
  setTimeout(() => note.remove(), 12000);
}

// Keeps one WebSocket open for the person. `heard` gets each frame, `opened` each (re)connection.
export function follow({ heard, opened, lost }) {
  let pause = 250;
  const open = () => {
    const address = new URL(`/page/live?user_id=${encodeURIComponent(page.me)}`, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.onmessage = (event) => {
      const frame = JSON.parse(event.data);
      if (frame.kind !== "hello") return heard(frame);
      pause = 250;
      opened();
    };
    socket.onclose = () => {
      lost();
      setTimeout(open, pause);
      pause = Math.min(pause * 2, 4000);
    };
  };
  open();
}
