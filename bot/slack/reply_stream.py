"""An answer on its way into a Slack thread: deltas → one streaming message, or a posted one where that is refused."""

import contextlib
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import Turn
from bot.errors import SlackError
from bot.responder import Stopped
from bot.slack.client import Identity, error_name
from bot.slack.mrkdwn import escape
from bot.slack.pacing import Cadence
from bot.words import Words

log = structlog.get_logger(__name__)

PIECE_CHARACTERS = 2_400
"""Sent in one call: Slack takes 12,000 characters, and escaping can make five of one."""

STREAM_ENDED = "message_not_in_streaming_state"
"""Slack ends a stream five minutes after its start, even while it is written."""


class ReplyStream:
    """Writes one answer in its thread, at the pace that Slack allows."""

    def __init__(self, client: AsyncWebClient, identity: Identity, turn: Turn, cadence: Cadence, words: Words) -> None:
        self._client = client
        self._identity = identity
        self._turn = turn
        self._cadence = cadence
        self._words = words
        self._unsent = ""
        self._stream_ts: str | None = None
        self._streaming_refused = False

    async def thinking(self) -> None:
        """Show Slack's own "is thinking…" under the question; Slack takes it away with the first text."""
        try:
            await self._client.assistant_threads_setStatus(
                channel_id=self._turn.conversation.channel_id,
                thread_ts=self._turn.conversation.root_ts,
                status=self._words.say("thinking"),
                loading_messages=self._words.choices("thinking_steps"),
            )
        except (SlackApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.info("status_not_shown", error=type(error).__name__)  # an answer without it is still an answer

    async def write(self, delta: str) -> None:
        """Add a piece of the model's text. Raises Stopped when the reader pressed Stop."""
        self._unsent += delta
        first = self._stream_ts is None
        if self._unsent.strip() and not self._streaming_refused and (first or self._cadence.take()):
            await self._send()

    async def finish(self, sentence: str | None = None) -> None:
        """Bring out what is unsent, then `sentence`. Raises Stopped as `write` does, SlackError when refused."""
        while self._unsent.strip() and not self._streaming_refused:
            await self._send()
        if self._stream_ts is not None and await self._end_stream(sentence):
            return
        for piece in _pieces(self._unsent.strip()):
            await self._post(escape(piece))
        if sentence:
            await self._post(sentence)

    async def stop(self, sentence: str) -> None:
        """Write no more; say `sentence` where Slack, having stopped the stream itself, still takes it."""
        if self._stream_ts is None:
            await self._post(sentence)
            return
        with contextlib.suppress(Stopped):
            await self._end_stream(sentence)

    async def _send(self) -> None:
        """Send the next piece, opening a stream where none is open. What Slack refuses stays unsent."""
        piece = self._unsent[:PIECE_CHARACTERS]
        try:
            if self._stream_ts is None:
                await self._open_stream(piece)
            else:
                await self._client.chat_appendStream(
                    channel=self._turn.conversation.channel_id, ts=self._stream_ts, markdown_text=escape(piece)
                )
        except SlackApiError as error:
            self._take_refusal(error_name(error))
        else:
            self._unsent = self._unsent[len(piece) :]

    async def _open_stream(self, piece: str) -> None:
        answer = await self._client.chat_startStream(
            channel=self._turn.conversation.channel_id,
            thread_ts=self._turn.conversation.root_ts,
            recipient_team_id=self._identity.home_id,
            recipient_user_id=self._turn.user_id,
            markdown_text=escape(piece),
        )
        self._stream_ts = answer["ts"]

    async def _end_stream(self, sentence: str | None) -> bool:
        """End the open stream with `sentence`; False when Slack has ended it before, so that it was not taken."""
        arguments: dict[str, Any] = {"channel": self._turn.conversation.channel_id, "ts": self._stream_ts}
        if sentence:
            arguments["markdown_text"] = "\n\n" + sentence
        try:
            await self._client.chat_stopStream(**arguments)
        except SlackApiError as error:
            self._take_refusal(error_name(error))
            return not sentence
        return True

    def _take_refusal(self, reason: str) -> None:
        """Go on in a new message where a stream has ended, in posted ones where there can be no stream."""
        if reason == "stopped_by_user":
            raise Stopped
        log.info("stream_refused", reason=reason)
        if reason != STREAM_ENDED:
            self._streaming_refused = True
        self._stream_ts = None

    async def _post(self, text: str) -> None:
        try:
            await self._client.chat_postMessage(
                channel=self._turn.conversation.channel_id,
                thread_ts=self._turn.conversation.root_ts,
                markdown_text=text,
                unfurl_links=False,
                unfurl_media=False,
            )
        except SlackApiError as error:
            raise SlackError("chat.postMessage", error_name(error)) from None


def _pieces(text: str) -> list[str]:
    return [text[start : start + PIECE_CHARACTERS] for start in range(0, len(text), PIECE_CHARACTERS)]
