"""What has just changed in the workspace, told to whoever listens: the page, and the deliveries to the app."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from bot.local.workspace.records import Json

ChangeKind = Literal[
    "message",  # said; a stream that starts is one too, with detail {"state": "streaming"}
    "message_changed",  # by chat.update, an edit or an unfurl; never for streams
    "message_deleted",
    "ephemeral",  # said to user_id only, or replaced
    "ephemeral_deleted",
    "stream",  # text appended (detail {"state": "streaming", "delta": "…"}), or the stream ended (detail
    # {"state": "stopped" | "stopped_by_user" | "expired"}); the one change that tells of it
    "reaction",  # detail {"reaction": "eyes", "added": True}, user_id the one who reacted
    "user",  # new in the workspace, or changed: detail {"user_id": …}
    "channel",  # created, or its members changed: detail {"joined": user id} or {"left": user id}
    "status",  # of a thread: detail {"status": "is thinking…", "loading_messages": […]}, status "" = cleared
    "prompts",  # detail {"title": …, "prompts": [{"title", "message"}…]}
    "title",  # of a thread: detail {"title": "…"}
    "session",  # an agent session: detail {"status": "processing" | "active" | "suspended" | "closed"}
    "view",  # a modal of user_id: detail {"view": {…}, "event": "opened" | "updated" | "pushed" | "closed"}
    "home",  # the home tab of user_id: detail {"view": {…}}
    "error",  # what user_id must be told: detail {"text": "Dolly did not respond"}
]


@dataclass(frozen=True)
class Change:
    """One change. Fields that do not concern its kind are None."""

    kind: ChangeKind
    channel_id: str | None = None
    ts: str | None = None
    """Of the message concerned."""

    thread_ts: str | None = None
    user_id: str | None = None
    """For ephemeral, view, home and error: the only person who sees it. For reaction: who reacted."""

    message: Json | None = None
    """The message after the change."""

    previous: Json | None = None
    """The message before it: message_changed, message_deleted, stream."""

    detail: Json = field(default_factory=dict)


Listener = Callable[[Change], None]


class Changes:
    """Passes each change on to every listener, at once and in order."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def publish(self, change: Change) -> None:
        for listener in tuple(self._listeners):
            listener(change)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called for each change from now on. Returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
