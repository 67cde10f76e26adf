"""The messages that one answer stands in: each is written down in the journal as soon as Slack has it.

Another worker may come to an answer at any line. So nothing is sent before it is known how (`Journal.intend`), what
is made is recorded at once (`Journal.posted`), and everything after that goes to the recorded message and comes out
the same however often it is done. Where nobody knows whether a message was made, PerhapsMade ends the attempt; the
next worker reads the thread and finds out.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.collaborators import Journal
from bot.conversation import Shown, Standing, Turn
from bot.errors import DollyError, LeaseLost, SlackError, SlackUnreachable
from bot.slack.answering.own_messages import OwnMessage, OwnMessages, content, metadata
from bot.slack.client import UNREACHABLE, Identity, failure, is_undone
from bot.slack.pacing import Pacer

log = structlog.get_logger(__name__)

UNREADABLE = frozenset({"missing_scope", "thread_not_found", "message_not_found"})
"""Slack's names for a thread that cannot be looked through; the answer is brought without it."""


class PerhapsMade(SlackUnreachable):
    """Slack was asked for a message, and did not say whether it is there."""


class AnswerMessages:
    """The messages of one answer, in order. Methods raise SlackError, SlackUnreachable or LeaseLost."""

    def __init__(self, client: AsyncWebClient, identity: Identity, turn: Turn, journal: Journal, pacer: Pacer) -> None:
        self._client = client
        self._identity = identity
        self._turn = turn
        self._journal = journal
        self._pacer = pacer
        self._own = OwnMessages(client, identity)
        self._channel_id = turn.conversation.channel_id
        self._ts: list[str] = list(journal.posting.ts)
        self._model = self._prompt_hash = ""
        self._making: asyncio.Task[None] | None = None

    @property
    def is_begun(self) -> bool:
        """Whether there is a message."""
        return bool(self._ts)

    def sign(self, model: str, prompt_hash: str) -> None:
        """What is written from now on was written by that model."""
        self._model, self._prompt_hash = model, prompt_hash

    # --- what another worker left ---------------------------------------------------------------------------------

    async def standing(self) -> Standing | None:
        """The answer that stands whole in the thread, though the store does not know of it any more.

        Where only a part of one may stand there, it is written down that a call may have been made: whoever begins the
        answer takes that over.
        """
        recorded = await self._journal.recorded()
        gone = await self._journal.disowned()
        own = [message for message in await self._own_after() if message.ts not in gone]
        mine = [message for message in own if message.job_id == self._journal.job_id]
        if mine and not mine[-1].is_part:
            for message in mine:
                await self._journal.posted(message.ts)
            text, ts = "\n\n".join(message.text for message in mine), tuple(message.ts for message in mine)
            return Standing(text, ts, mine[-1].model, mine[-1].prompt_hash)
        if self._journal.posting.shape is None and self._leftover(own, recorded):
            await self._journal.intend("stream")
        return None

    async def take_over(self) -> None:
        """Take back what another worker had no time to, end the stream that it may have left, and find the message
        that it did not write down."""
        gone = await self._journal.disowned()
        await self._take_back([ts for ts in self._ts if ts in gone])
        if not self._ts:
            for ts in await self._unrecorded():
                if not self._ts and await self._journal.posted(ts):
                    self._ts.append(ts)
                elif await self._journal.disown(ts):
                    await self._own.take_back(self._channel_id, ts, self._journal.job_id)
        if self._ts and self._journal.posting.shape == "stream":
            await self._own.end_stream(self._channel_id, self._ts[-1], self._journal.job_id)

    async def _unrecorded(self) -> list[str]:
        """Dolly's messages after the question that no job has written down and none but this one has marked."""
        own = await self._own_after()
        return self._leftover(own, await self._journal.recorded())

    def _leftover(self, own: Sequence[OwnMessage], recorded: frozenset[str]) -> list[str]:
        mine = (None, self._journal.job_id)
        return [message.ts for message in own if message.ts not in recorded and message.job_id in mine]

    async def _own_after(self) -> list[OwnMessage]:
        """Dolly's messages after the question; none where the thread cannot be read."""
        try:
            return await self._own.after(self._turn.conversation, self._turn.ts)
        except SlackError as error:
            if error.reason not in UNREADABLE:
                raise
            log.warning("thread_unreadable", reason=str(error))
            return []

    # --- streamed ---------------------------------------------------------------------------------------------------

    async def start_stream(self, markdown: str) -> None:
        """Open a streamed message that begins with this text."""
        await self._journal.intend("stream")
        await self._make(
            "chat.startStream",
            lambda: self._client.chat_startStream(
                channel=self._channel_id,
                thread_ts=self._turn.conversation.root_ts,
                recipient_team_id=self._turn.asker_team_id or self._identity.home_id,
                recipient_user_id=self._turn.user_id,
                markdown_text=markdown,
            ),
        )

    async def append(self, markdown: str) -> None:
        """Add to the streamed message."""
        await _done(
            "chat.appendStream",
            self._client.chat_appendStream(channel=self._channel_id, ts=self._ts[-1], markdown_text=markdown),
        )

    async def end_stream(self, shown: Shown) -> None:
        """End the streamed message, with this as its last."""
        await _done(
            "chat.stopStream",
            self._client.chat_stopStream(
                channel=self._channel_id,
                ts=self._ts[-1],
                markdown_text=shown.markdown or None,
                blocks=list(shown.below) or None,
                metadata=metadata(self._journal.job_id, self._model, self._prompt_hash, is_part=shown.is_part),
            ),
        )

    # --- placed -----------------------------------------------------------------------------------------------------

    async def place(self, parts: Sequence[Shown]) -> None:
        """Have the first messages show `parts`, one each, whatever they show now; further ones are posted.

        The intent is written down each time: it is the fence, and a worker that was paused stops here.
        """
        await self._journal.intend("placed")
        for number, part in enumerate(parts):
            part = replace(part, model=self._model, prompt_hash=self._prompt_hash)
            if number < len(self._ts) and self._journal.shown.get(self._ts[number]) == part:
                continue
            if number < len(self._ts) and await self._update(self._ts[number], part):
                continue
            await self.trim(number)  # so that what is posted now comes last
            await self._post(part)

    async def trim(self, count: int) -> None:
        """Take all but the first `count` messages back."""
        await self._take_back(self._ts[count:])

    async def _take_back(self, messages: Sequence[str]) -> None:
        """Delete messages of the answer. It is written down before, so that nobody takes it for a person's doing."""
        for ts in messages:
            await self._journal.taken_back(ts)
            await self._own.take_back(self._channel_id, ts, self._journal.job_id)
            self._ts.remove(ts)

    async def _post(self, shown: Shown) -> None:
        async with await self._pacer.turn("chat.postMessage", self._channel_id):
            await self._make(
                "chat.postMessage",
                lambda: self._client.chat_postMessage(
                    channel=self._channel_id,
                    thread_ts=self._turn.conversation.root_ts,
                    metadata=metadata(self._journal.job_id, shown.model, shown.prompt_hash, is_part=shown.is_part),
                    unfurl_links=False,
                    unfurl_media=False,
                    **content(shown),
                ),
            )
        self._journal.shown[self._ts[-1]] = shown

    async def _update(self, ts: str, shown: Shown) -> bool:
        """Replace what the message shows; False where it is there no more."""
        try:
            try:
                await self._own.show(self._channel_id, ts, shown, self._journal.job_id)
            except SlackError as error:
                if error.reason != "streaming_state_conflict":
                    raise
                await self._own.end_stream(self._channel_id, ts, self._journal.job_id)
                await self._own.show(self._channel_id, ts, shown, self._journal.job_id)
        except SlackError as error:
            if error.reason == "streaming_state_conflict":  # Slack ends it within five minutes of its start
                raise SlackUnreachable(error.method, error.reason) from None
            if error.reason != "message_not_found":
                raise
            log.info("message_gone")  # somebody deleted it
            return False
        self._journal.shown[ts] = shown
        return True

    # --- made, and written down -------------------------------------------------------------------------------------

    async def _make(self, method: str, call: Callable[[], Awaitable[Any]]) -> None:
        """Make a message and write it down. Whoever is cancelled meanwhile leaves this to come to its end."""
        self._making = asyncio.create_task(self._made(method, call))
        self._making.add_done_callback(lambda making: making.cancelled() or making.exception())
        await asyncio.shield(self._making)

    async def _made(self, method: str, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            ts = str((await call())["ts"])
        except (SlackApiError, *UNREACHABLE) as error:
            refusal = failure(method, error)
            if isinstance(refusal, SlackUnreachable) and not is_undone(error):
                raise PerhapsMade(method, refusal.reason) from None
            raise refusal from None
        try:
            if not await self._journal.posted(ts):
                raise PerhapsMade(method, "taken_back")
        except LeaseLost:
            await self._leave(ts)
            raise
        self._ts.append(ts)

    async def _leave(self, ts: str) -> None:
        """Take back what nobody knows of, unless the worker that took over has found it and goes on with it."""
        with contextlib.suppress(DollyError):  # what cannot be taken back now is found when the thread is settled
            if await self._journal.disown(ts):
                await self._own.take_back(self._channel_id, ts, self._journal.job_id)

    async def written_down(self) -> None:
        """Return when the message that is being made, if one is, stands and is recorded; or is not."""
        if self._making is not None:
            await asyncio.wait({self._making})


async def _done(method: str, call: Awaitable[Any]) -> None:
    try:
        await call
    except (SlackApiError, *UNREACHABLE) as error:
        raise failure(method, error) from None
