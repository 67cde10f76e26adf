"""Reading what was said: one message, a channel's history, a thread's replies, page by page."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Literal, cast

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.database import Database

TextFormat = Literal["mrkdwn", "markdown"]
StreamState = Literal["streaming", "stopped", "stopped_by_user", "expired"]
Page = tuple[list[Json], str | None]
"""Messages, and the cursor of the next page if there is one."""

STREAM_LIFETIME_SECONDS = 300
"""Slack closes a stream about five minutes after its start, even while text is being appended."""

THREAD_FACTS = ("reply_count", "reply_users_count", "reply_users", "latest_reply", "is_locked", "subscribed")
"""What the root of a thread carries when it is read, and what is never kept."""

_TS = re.compile(r"(\d{1,10})(?:\.(\d{1,6}))?")
_FIRST, _LAST = "", "~"
"""Sort before and after every ts."""


class History:
    """The messages as they are read. Raises Refused with Slack's error names."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def message(self, channel_id: str, ts: str) -> Json | None:
        """One message, with the facts of its thread if it is a root."""
        message = self._database.message(channel_id, ts)
        return None if message is None else self._with_thread_facts(channel_id, [message])[0]

    def existing(self, channel_id: str, ts: str) -> Json:
        """The message, or Refused("message_not_found")."""
        message = self.message(channel_id, ts)
        if message is None:
            raise Refused("message_not_found")
        return message

    def text_format(self, channel_id: str, ts: str) -> TextFormat:
        """In what the message's text is written: Markdown if it was streamed, else mrkdwn."""
        return cast(TextFormat, self._database.text_format(channel_id, ts) or "mrkdwn")

    def stream_state(self, channel_id: str, ts: str) -> StreamState | None:
        """How the stream stands by the clock; None if the message never was one."""
        stream = self._database.stream(channel_id, ts)
        if stream is None:
            return None
        has_lived = self._clock.now() - stream["started"] >= STREAM_LIFETIME_SECONDS
        if stream["state"] == "streaming" and has_lived:
            return "expired"
        return cast(StreamState, stream["state"])

    def history(
        self,
        channel_id: str,
        *,
        oldest: str | None = None,
        latest: str | None = None,
        inclusive: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        """The channel's messages without replies in threads, newest first."""
        after, before = _bounds(oldest, latest, inclusive)
        if cursor is not None:
            before = min(before, _read_cursor(cursor))
        messages = self._database.history(channel_id, after, before, limit + 1)
        next_cursor = _cursor(messages[limit - 1]["ts"]) if len(messages) > limit else None
        return self._with_thread_facts(channel_id, messages[:limit]), next_cursor

    def replies(
        self,
        channel_id: str,
        thread_ts: str,
        *,
        oldest: str | None = None,
        latest: str | None = None,
        inclusive: bool = False,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page:
        """A thread: its root, whatever `oldest` says, then its replies, oldest first. Of a reply: it alone."""
        root = self.message(channel_id, thread_ts)
        if root is None:
            raise Refused("thread_not_found")
        after, before = _bounds(oldest, latest, inclusive)
        opening = [root]
        if cursor is not None:
            after, opening = max(after, _read_cursor(cursor)), []
        room = limit - len(opening)
        replies = self._database.thread(channel_id, thread_ts, after, before, room + 1)
        messages = opening + replies[:room]
        next_cursor = _cursor(messages[-1]["ts"]) if len(replies) > room else None
        return messages, next_cursor

    def _with_thread_facts(self, channel_id: str, messages: list[Json]) -> list[Json]:
        timestamps = [message["ts"] for message in messages]
        replies: dict[str, list[tuple[str, str]]] = {}
        for root_ts, ts, user_id in self._database.repliers(channel_id, timestamps):
            replies.setdefault(root_ts, []).append((ts, user_id))
        return [
            message | _thread_facts(message["ts"], replies[message["ts"]]) if message["ts"] in replies else message
            for message in messages
        ]


def _thread_facts(root_ts: str, replies: list[tuple[str, str]]) -> Json:
    users = list(dict.fromkeys(user_id for _, user_id in replies))
    return {
        "thread_ts": root_ts,
        "reply_count": len(replies),
        "reply_users_count": len(users),
        "reply_users": users[:5],
        "latest_reply": replies[-1][0],
        "is_locked": False,
        "subscribed": False,
    }


def _bounds(oldest: str | None, latest: str | None, inclusive: bool) -> tuple[str, str]:
    """The timestamps between which to read, both of them left out."""
    widening = 1 if inclusive else 0
    after = _FIRST if oldest is None else _ts(_micros(oldest, "invalid_ts_oldest") - widening)
    before = _LAST if latest is None else _ts(_micros(latest, "invalid_ts_latest") + widening)
    return after, before


def _micros(ts: str, error: str) -> int:
    match = _TS.fullmatch(ts)
    if match is None:
        raise Refused(error)
    return int(match[1]) * 1_000_000 + int(f"{match[2] or '':0<6}")


def _ts(micros: int) -> str:
    return f"{max(0, micros) // 1_000_000:010d}.{max(0, micros) % 1_000_000:06d}"


def _cursor(ts: str) -> str:
    return urlsafe_b64encode(f"next_ts:{ts}".encode()).decode()


def _read_cursor(cursor: str) -> str:
    try:
        name, _, ts = urlsafe_b64decode(cursor.encode()).decode().partition(":")
    except (Base64Error, UnicodeError):
        raise Refused("invalid_cursor") from None
    if name != "next_ts":
        raise Refused("invalid_cursor")
    return _ts(_micros(ts, "invalid_cursor"))
