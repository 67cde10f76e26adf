"""What stands around a thread with the app: its status line, title, suggested prompts, agent session."""

from collections.abc import Sequence

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import Json
from bot.local.workspace.timeline.changes import Change, Changes
from bot.local.workspace.timeline.database import Database

STATUS_LIFETIME_SECONDS = 120
"""Slack takes a status away when no message has followed it for two minutes."""

TOP_OF_TAB = ""
"""Where prompts stand that belong to no thread."""


class Threads:
    """A status lives in memory, as it says what is going on now; the rest is kept."""

    def __init__(self, database: Database, changes: Changes, clock: Clock) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock
        self._statuses: dict[tuple[str, str], tuple[float, Json]] = {}
        changes.subscribe(self._follow)

    def set_status(self, channel_id: str, thread_ts: str, status: str, loading_messages: Sequence[str] = ()) -> None:
        """Show "<app> <status>" in the thread; an empty status clears it. The session follows it."""
        if status:
            detail = {"status": status, "loading_messages": list(loading_messages)}
            self._statuses[channel_id, thread_ts] = (self._clock.now(), detail)
            self._changes.publish(Change("status", channel_id, thread_ts=thread_ts, detail=detail))
        else:
            self._clear_status(channel_id, thread_ts)
        self.set_session(channel_id, thread_ts, "processing" if status else "active")

    def _clear_status(self, channel_id: str, thread_ts: str) -> None:
        if self._statuses.pop((channel_id, thread_ts), None) is not None:
            detail = {"status": "", "loading_messages": []}
            self._changes.publish(Change("status", channel_id, thread_ts=thread_ts, detail=detail))

    def status(self, channel_id: str, thread_ts: str) -> Json | None:
        """{"status", "loading_messages"} while there is one."""
        since, detail = self._statuses.get((channel_id, thread_ts), (0.0, None))
        return detail if self._clock.now() - since < STATUS_LIFETIME_SECONDS else None

    def expire(self) -> None:
        """Clear the statuses whose two minutes are over, and tell of it."""
        for channel_id, thread_ts in tuple(self._statuses):
            if self.status(channel_id, thread_ts) is None:
                self._clear_status(channel_id, thread_ts)

    def _follow(self, change: Change) -> None:
        """A message of the app clears the status; a stream moves the session."""
        is_of_app = change.message is not None and "bot_id" in change.message
        if change.channel_id is None or change.thread_ts is None or not is_of_app:
            return
        if change.kind == "message":
            self._clear_status(change.channel_id, change.thread_ts)
        if change.detail.get("state") == "streaming" and change.kind == "message":
            self.set_session(change.channel_id, change.thread_ts, "processing")
        if change.detail.get("state") == "stopped":
            self.set_session(change.channel_id, change.thread_ts, "active")

    def set_session(self, channel_id: str, thread_ts: str, status: str) -> None:
        """Move the thread's agent session to processing, active, suspended or closed."""
        if self.session(channel_id, thread_ts) != status:
            self._keep(channel_id, thread_ts, {"session": status})
            self._changes.publish(Change("session", channel_id, thread_ts=thread_ts, detail={"status": status}))

    def session(self, channel_id: str, thread_ts: str) -> str | None:
        session: str | None = self._database.thread_record(channel_id, thread_ts).get("session")
        return session

    def set_title(self, channel_id: str, thread_ts: str, title: str) -> None:
        self._keep(channel_id, thread_ts, {"title": title})
        self._changes.publish(Change("title", channel_id, thread_ts=thread_ts, detail={"title": title}))

    def title(self, channel_id: str, thread_ts: str) -> str | None:
        title: str | None = self._database.thread_record(channel_id, thread_ts).get("title")
        return title

    def set_prompts(
        self, channel_id: str, thread_ts: str | None, prompts: list[Json], title: str | None = None
    ) -> None:
        """Offer prompts, each {"title", "message"}, in the thread or (None) at the top of the messages tab."""
        detail = {"title": title, "prompts": prompts}
        self._keep(channel_id, thread_ts or TOP_OF_TAB, {"prompts": detail})
        self._changes.publish(Change("prompts", channel_id, thread_ts=thread_ts, detail=detail))

    def prompts(self, channel_id: str, thread_ts: str | None) -> Json | None:
        """{"title", "prompts"} as they were last set."""
        record = self._database.thread_record(channel_id, thread_ts or TOP_OF_TAB)
        prompts: Json | None = record.get("prompts")
        return prompts

    def _keep(self, channel_id: str, thread_ts: str, change: Json) -> None:
        record = self._database.thread_record(channel_id, thread_ts) | change
        self._database.save_thread_record(channel_id, thread_ts, record)
