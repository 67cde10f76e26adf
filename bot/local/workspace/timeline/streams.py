"""Messages that are written piece by piece, with Slack's rules for them.

A streamed message is a message like any other: its `text` is the Markdown received so far, its `blocks` are
what to show: a `markdown` block for each run of text, `task_card` and `plan` blocks where tasks were reported,
the app's own blocks last.
"""

from collections.abc import Sequence

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import AppIdentity, Json
from bot.local.workspace.refusals import StreamError
from bot.local.workspace.timeline.blocks import with_ids
from bot.local.workspace.timeline.changes import Change, Changes
from bot.local.workspace.timeline.database import Database
from bot.local.workspace.timeline.history import History, StreamState
from bot.local.workspace.timeline.messages import Messages
from bot.local.workspace.timeline.stream_chunks import apply_chunks


class Streams:
    """Starts, continues and ends streaming messages. Raises StreamError with Slack's error names."""

    def __init__(
        self,
        database: Database,
        changes: Changes,
        clock: Clock,
        identity: AppIdentity,
        history: History,
        messages: Messages,
    ) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock
        self._identity = identity
        self._history = history
        self._messages = messages

    def start_stream(
        self,
        channel_id: str,
        thread_ts: str,
        *,
        markdown_text: str | None = None,
        chunks: Sequence[Json] | None = None,
        task_display_mode: str = "timeline",
        **extra: object,
    ) -> Json:
        """Begin an answer of the app in a thread. `extra` are further keys of the message (username, icons)."""
        mode, pieces = _content(markdown_text, chunks)
        message = self._messages.draft(channel_id, self._identity.bot_user_id, "", thread_ts, as_app=True)
        message |= {name: value for name, value in extra.items() if value is not None}
        message = apply_chunks(message, pieces, task_display_mode)
        stream = {
            "root_ts": message["thread_ts"],
            "started": self._clock.now(),
            "state": "streaming",
            "mode": mode,
            "display_mode": task_display_mode,
        }
        self._database.save_stream(channel_id, message["ts"], stream)
        self._messages.add(channel_id, message, text_format="markdown", detail={"state": "streaming"})
        return message

    def append_stream(
        self,
        channel_id: str,
        ts: str,
        *,
        markdown_text: str | None = None,
        chunks: Sequence[Json] | None = None,
    ) -> Json:
        """Add to a stream, in the mode (markdown_text or chunks) in which its first content came."""
        previous, stream = self._streaming(channel_id, ts)
        mode, pieces = _content(markdown_text, chunks)
        if mode is None:
            raise StreamError("markdown_text_or_chunks_required")
        return self._continue(channel_id, previous, stream, mode, pieces)

    def stop_stream(
        self,
        channel_id: str,
        ts: str,
        *,
        markdown_text: str | None = None,
        chunks: Sequence[Json] | None = None,
        blocks: list[Json] | None = None,
        metadata: Json | None = None,
    ) -> Json:
        """End a stream, with last content, blocks below it and metadata if given."""
        if self._history.stream_state(channel_id, ts) == "stopped_by_user":
            raise StreamError("message_not_in_streaming_state")
        previous, stream = self._streaming(channel_id, ts)
        mode, pieces = _content(markdown_text, chunks)
        final: Json = {"metadata": metadata} if metadata else {}
        return self._continue(
            channel_id, previous | final, stream | {"state": "stopped"}, mode, pieces, with_ids(blocks or [])
        )

    def _streaming(self, channel_id: str, ts: str) -> tuple[Json, Json]:
        """The message and its stream, if text can still be added."""
        message = self._history.existing(channel_id, ts)
        if message.get("bot_id") != self._identity.bot_id:
            raise StreamError("message_not_owned_by_app")
        state = self._history.stream_state(channel_id, ts)
        stream = self._database.stream(channel_id, ts)
        if state == "stopped_by_user":
            raise StreamError("stopped_by_user")
        if state != "streaming" or stream is None:
            self.expire()
            raise StreamError("message_not_in_streaming_state")
        return message, stream

    def _continue(
        self,
        channel_id: str,
        previous: Json,
        stream: Json,
        mode: str | None,
        pieces: Sequence[Json],
        last_blocks: Sequence[Json] = (),
    ) -> Json:
        if mode is not None and stream["mode"] not in (None, mode):
            raise StreamError("streaming_mode_mismatch")
        message = apply_chunks(previous, pieces, stream["display_mode"])
        if last_blocks:
            message["blocks"] = [*message.get("blocks", ()), *last_blocks]
        self._database.save_stream(channel_id, message["ts"], stream | {"mode": stream["mode"] or mode})
        self._messages.save(channel_id, message, text_format="markdown")
        self._tell(channel_id, stream["state"], message, previous)
        return message

    def stop_by_user(self, channel_id: str, ts: str) -> None:
        """A person pressed Stop: the app is told so when it next appends."""
        if self._history.stream_state(channel_id, ts) == "streaming":
            self._end(channel_id, ts, "stopped_by_user")

    def stream_state(self, channel_id: str, ts: str) -> StreamState | None:
        """How the stream stands by the clock; None if the message never was one."""
        return self._history.stream_state(channel_id, ts)

    def open_streams(self, channel_id: str, thread_ts: str) -> list[str]:
        """The ts of each message that is being streamed into the thread, oldest first."""
        return [
            ts
            for channel, root_ts, ts in self._database.streaming()
            if (channel, root_ts) == (channel_id, thread_ts) and self._history.stream_state(channel, ts) == "streaming"
        ]

    def expire(self) -> None:
        """End the streams whose five minutes are over, and tell of it."""
        for channel_id, _, ts in self._database.streaming():
            if self._history.stream_state(channel_id, ts) == "expired":
                self._end(channel_id, ts, "expired")

    def _end(self, channel_id: str, ts: str, state: StreamState) -> None:
        stream = self._database.stream(channel_id, ts)
        message = self._history.message(channel_id, ts)
        if stream is not None and message is not None:
            self._database.save_stream(channel_id, ts, stream | {"state": state})
            self._tell(channel_id, state, message, message)

    def _tell(self, channel_id: str, state: StreamState, message: Json, previous: Json) -> None:
        detail = {"state": state, "delta": message["text"][len(previous["text"]) :]}
        ts, thread_ts = message["ts"], message["thread_ts"]
        self._changes.publish(
            Change("stream", channel_id, ts, thread_ts, message=message, previous=previous, detail=detail)
        )


def _content(markdown_text: str | None, chunks: Sequence[Json] | None) -> tuple[str | None, Sequence[Json]]:
    """(mode, chunks) of what a call brings; the mode is None if it brings nothing."""
    if markdown_text and chunks:
        raise StreamError("cannot_provide_both_markdown_text_and_chunks")
    if chunks:
        return "chunks", chunks
    if markdown_text:
        return "markdown_text", [{"type": "markdown_text", "text": markdown_text}]
    return None, ()
