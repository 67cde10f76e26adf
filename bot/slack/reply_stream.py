"""An answer on its way into a Slack thread: deltas → one streaming message, or a posted one where that is refused."""

import asyncio
import contextlib
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import Turn
from bot.errors import DollyError
from bot.responder import Stopped
from bot.slack.client import UNREACHABLE, Identity, error_name, failure
from bot.slack.mrkdwn import escape, first_piece, pieces
from bot.slack.pacing import Cadence
from bot.words import Words

log = structlog.get_logger(__name__)

ABANDON_SECONDS = 1.0
"""Longer than Slack takes as a rule; whoever stops Dolly waits for it."""

STREAM_ENDED = "message_not_in_streaming_state"
"""Slack ends a stream five minutes after its start, even while it is written."""


class ReplyStream:
    """Writes one answer in its thread, at the pace that Slack allows.

    Methods raise SlackUnreachable where a call may work later, SlackError where Slack takes none of this.
    """

    def __init__(self, client: AsyncWebClient, identity: Identity, turn: Turn, cadence: Cadence, words: Words) -> None:
        self._client = client
        self._identity = identity
        self._turn = turn
        self._cadence = cadence
        self._words = words
        self._unsent = ""
        self._sender: asyncio.Task[None] | None = None
        self._calling = asyncio.Lock()
        self._stream_ts: str | None = None
        self._streaming_refused = False
        self._is_processing = False

    async def thinking(self) -> None:
        """Show Slack's own "is thinking…" under the question; Slack takes it away with the first text."""
        try:
            await self._client.assistant_threads_setStatus(
                channel_id=self._turn.conversation.channel_id,
                thread_ts=self._turn.conversation.root_ts,
                status=self._words.say("thinking"),
                loading_messages=self._words.choices("thinking_steps"),
            )
        except (SlackApiError, *UNREACHABLE) as error:
            log.info("status_not_shown", error=type(error).__name__)  # an answer without it is still an answer
        else:
            self._is_processing = True

    async def write(self, delta: str) -> None:
        """Add a piece of the model's text. Raises Stopped when the reader pressed Stop."""
        if self._sender is not None and self._sender.done():
            await self._end_sender()
        self._unsent += delta
        if self._sender is None and self._unsent.strip() and not self._streaming_refused:
            self._sender = asyncio.create_task(self._send_in_turn())

    async def finish(self, sentence: str | None = None) -> None:
        """Bring out what is unsent, then `sentence`. Raises Stopped as `write` does."""
        await self._end_sender()
        while self._unsent.strip() and not self._streaming_refused:
            await self._send()
        rest = self._unsent.strip()
        if self._stream_ts is not None and await self._end_stream(None if rest else sentence) and not rest:
            return
        for piece in pieces(rest):
            await self._post(escape(piece))
        if sentence:
            await self._post(sentence)
        await self._settle()

    async def stop(self, sentence: str) -> None:
        """Write no more; say `sentence` where Slack, having stopped the stream itself, still takes it."""
        with contextlib.suppress(Stopped):
            await self._end_sender()
        if self._stream_ts is None:
            await self._post(sentence)
        else:
            with contextlib.suppress(Stopped):
                await self._end_stream(sentence)
        await self._settle()

    async def abandon(self) -> None:
        """Write no more; what stands there stays, and is no longer shown as being written."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        with contextlib.suppress(Stopped, DollyError, TimeoutError):
            async with asyncio.timeout(ABANDON_SECONDS):
                if self._stream_ts is not None:
                    await self._end_stream(None)
                await self._settle()

    async def _settle(self) -> None:
        """Tell Slack that nothing is being prepared any more, where no ended stream has told it."""
        if not self._is_processing:
            return
        self._is_processing = False
        with contextlib.suppress(SlackApiError, *UNREACHABLE):
            await self._client.assistant_threads_setStatus(
                channel_id=self._turn.conversation.channel_id, thread_ts=self._turn.conversation.root_ts, status=""
            )

    async def _send_in_turn(self) -> None:
        """Send what is unsent, the first piece at once and the others when it is their turn."""
        while self._unsent.strip() and not self._streaming_refused:
            if self._stream_ts is not None:
                await self._cadence.turn()
            async with self._calling:
                await self._send()

    async def _end_sender(self) -> None:
        """Let a call under way come to its end, so that nothing is sent twice; raise what the sender raised."""
        if self._sender is None:
            return
        sender, self._sender = self._sender, None
        async with self._calling:
            sender.cancel()
        await asyncio.wait({sender})
        if not sender.cancelled():
            sender.result()

    async def _send(self) -> None:
        """Send the next piece, opening a stream where none is open. What Slack refuses stays unsent."""
        piece = first_piece(self._unsent)
        try:
            if self._stream_ts is None:
                await self._open_stream(piece)
            else:
                await self._client.chat_appendStream(
                    channel=self._turn.conversation.channel_id, ts=self._stream_ts, markdown_text=escape(piece)
                )
        except SlackApiError as error:
            self._take_refusal(error_name(error))
        except UNREACHABLE as error:
            method = "chat.startStream" if self._stream_ts is None else "chat.appendStream"
            raise failure(method, error) from None
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
        except UNREACHABLE as error:
            raise failure("chat.stopStream", error) from None
        self._is_processing = False
        return True

    def _take_refusal(self, reason: str) -> None:
        """Go on in a new message where a stream has ended, in posted ones where there can be no stream."""
        if reason == "stopped_by_user":
            raise Stopped
        log.info("stream_refused", reason=reason)
        if reason == STREAM_ENDED:
            self._stream_ts = None
        else:
            self._streaming_refused = True

    async def _post(self, text: str) -> None:
        try:
            await self._client.chat_postMessage(
                channel=self._turn.conversation.channel_id,
                thread_ts=self._turn.conversation.root_ts,
                markdown_text=text,
                unfurl_links=False,
                unfurl_media=False,
            )
        except (SlackApiError, *UNREACHABLE) as error:
            raise failure("chat.postMessage", error) from None
