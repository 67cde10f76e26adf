"""An answer on its way into a Slack thread: deltas → one streamed message, or one that is written over and over.

It is begun as a stream as soon as it has text and a stream may be started; what is finished before that is posted as
one message. A stream that cannot go on (it is soon five minutes old, or full, or its last call got no answer) is ended,
and the whole text is put in its place: from then on the answer is placed, in as many messages as it needs. Where Slack
has no streams, an answer is placed from its beginning, if there are calls left to write over what it says first.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot import metrics
from bot.collaborators import Journal, Stopped
from bot.conversation import Shown, Turn
from bot.errors import DollyError, SlackError, SlackUnreachable
from bot.slack import blocks
from bot.slack.answering.answer_blocks import below_answer, while_written
from bot.slack.answering.answer_messages import AnswerMessages, PerhapsMade
from bot.slack.answering.markdown import MARKDOWN_CHARACTERS, ended, pieces
from bot.slack.answering.output_filter import OutputFilter
from bot.slack.answering.thinking import Thinking
from bot.slack.client import Identity
from bot.slack.pacing import Pacer, Permit, Priority
from bot.slack.people import ReaderWords

log = structlog.get_logger(__name__)

ABANDON_SECONDS = 1.0
"""Longer than Slack takes as a rule; whoever stops Dolly waits for it."""

STOP_SOON_SECONDS = 1.0
"""If a stream cannot be ended sooner, its last text goes out before its end."""

STREAM_SECONDS = 270.0
"""Slack ends a stream, whatever is written to it, some five minutes after its start: so long one is written to."""

LONGEST_YIELD_SECONDS = 10.0
"""An answer that has sent n pieces lets others go first that ask up to n seconds later; at most so many."""

NO_STREAMS_HERE = frozenset(
    {
        *("unknown_method", "method_deprecated", "deprecated_endpoint", "feature_not_enabled", "access_denied"),
        *("not_allowed_token_type", "missing_scope", "no_permission", "streaming_mode_mismatch"),
    }
)
"""Slack's names for what keeps every stream of a workspace from starting, not just this one."""


class ReplyStream:
    """Writes one answer in its thread, at the pace that Slack allows (bot.responder.Reply)."""

    def __init__(
        self,
        client: AsyncWebClient,
        identity: Identity,
        turn: Turn,
        journal: Journal,
        pacer: Pacer,
        words: ReaderWords,
        output: OutputFilter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._turn = turn
        self._journal = journal
        self._pacer = pacer
        self._words = words
        self._thinking = Thinking(client, turn, words)
        self._messages = AnswerMessages(client, identity, turn, journal, pacer)
        self._output = output
        self._clock = clock
        self._started_at = 0.0
        self._streamed = ""
        """What the stream has taken: a beginning of what is shown."""
        self._placed = ""
        """The text that was last placed as a whole."""
        self._is_streamed = False
        self._unknown: PerhapsMade | None = None
        self._sender: asyncio.Task[None] | None = None
        self._calling = asyncio.Lock()
        self._is_visible = False
        self._sent = 0

    async def begin(self) -> None:
        """Take over what another worker left, if one did; then show that an answer is being prepared."""
        self._is_streamed = self._journal.posting.shape is None and self._pacer.has_streams
        if self._journal.posting.shape is not None:
            await self._messages.take_over()
        elif not self._is_streamed and await self._pacer.take("chat.update", priority=Priority.GROWTH):
            words = await self._words()
            below = while_written(words, self._turn)
            await self._messages.place([Shown(words.say("placeholder"), below, is_part=True)])
            return
        await self._thinking.show()

    def hear(self, texts: Iterable[str]) -> None:
        """What people wrote in the conversation, whose addresses the model may repeat."""
        self._output.hear(texts)

    def sign(self, model: str, prompt_hash: str) -> None:
        """Which model writes it, under which system prompt."""
        self._messages.sign(model, prompt_hash)

    async def write(self, delta: str) -> None:
        """Add a piece of the model's text. Raises Stopped when the reader pressed Stop."""
        if self._sender is not None and self._sender.done():
            await self._end_sender()
        self._output.write(delta)
        if self._sender is None and self._has_news:
            self._sender = asyncio.create_task(self._send_in_turn())

    async def loading(self) -> None:
        """Show that a new model is being loaded before the answer is prepared."""
        if self._pacer.has_streams:
            await self._thinking.wait()
        else:
            await self.notice((await self._words()).say("waiting_for_model"))

    async def notice(self, sentence: str) -> None:
        """Say this where the answer will stand, until it does; not where the answer itself would wait for it."""
        if not await self._pacer.take("chat.update", priority=Priority.GROWTH):
            return
        if self._journal.posting.shape is not None:
            await self._messages.take_over()
        below = while_written(await self._words(), self._turn)
        await self._messages.place([Shown(sentence, below, is_part=True)])

    async def finish(self, sentence: str | None = None) -> None:
        """Bring out what is unsent, then `sentence`. Raises Stopped as `write` does."""
        await self._end_sender()
        self._raise_unknown()
        text = self._output.whole()
        below = await self._below(text)
        if not await self._stream_ended(text, sentence, below):
            await self._place(text.strip(), sentence, below, is_last=True)
        await self._thinking.clear()

    async def stop(self, sentence: str) -> None:
        """Write no more; say `sentence` where Slack, having stopped the stream itself, still takes it."""
        with contextlib.suppress(Stopped):
            await self._end_sender()
        self._raise_unknown()
        if self._is_streamed and self._messages.is_begun:
            with contextlib.suppress(Stopped):
                await self._stream_ended(self._streamed, sentence, await self._below(self._streamed))
        else:
            await self._place(self._placed, sentence, await self._below(self._placed), is_last=True)
        await self._thinking.clear()

    async def abandon(self) -> None:
        """Write no more; what stands there stays, and is no longer shown as being written."""
        self._thinking.rest()
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        with contextlib.suppress(Stopped, DollyError, TimeoutError):
            async with asyncio.timeout(ABANDON_SECONDS):
                await self._messages.written_down()
                await self._stream_ended(self._streamed, None, (), is_part=True)
                await self._thinking.clear()

    async def _below(self, text: str) -> tuple[blocks.Block, ...]:
        """What stands under an answer; nothing under a sentence of Dolly's own."""
        return below_answer(await self._words(), self._turn) if text.strip() else ()

    # --- sending ----------------------------------------------------------------------------------------------------

    @property
    def _has_news(self) -> bool:
        """Whether there is text that can be sent and was not."""
        if self._unknown is not None:
            return False
        if self._is_streamed:
            return bool(self._output.so_far[len(self._streamed) :].strip())
        return self._output.so_far.strip() != self._placed

    async def _send_in_turn(self) -> None:
        """Send what is unsent whenever it may be, until nothing is."""
        while self._has_news:
            async with await self._next_permit(), self._calling:
                if self._is_streamed:
                    await self._stream_on()
                elif not await self._placed_on():
                    return  # with the next text, or with the end
            self._sent += 1

    async def _next_permit(self) -> Permit:
        """Return when more may be sent. Those who have shown little go first."""
        if self._is_streamed and not self._messages.is_begun:
            return await self._pacer.turn("chat.startStream")
        method = "chat.appendStream" if self._is_streamed else "chat.update"
        yields_seconds = min(self._sent, LONGEST_YIELD_SECONDS)
        permit = await self._pacer.turn(method, priority=Priority.GROWTH, yields_seconds=yields_seconds)
        if not self._messages.is_begun:
            permit.use()  # the price of a first message: it will have to be written over
        return permit

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

    def _raise_unknown(self) -> None:
        """Leave it to the next worker to find out what stands in Slack: it reads the thread, now and later."""
        if self._unknown is not None:
            raise self._unknown

    # --- as a stream --------------------------------------------------------------------------------------------------

    async def _stream_on(self) -> None:
        """Send what is unsent to the stream, opening it with the first; go over to placing where that fails."""
        piece = self._output.so_far[len(self._streamed) : MARKDOWN_CHARACTERS]
        is_old = self._messages.is_begun and self._clock() - self._started_at >= STREAM_SECONDS
        if is_old or not piece:
            self._go_over("stream_old" if is_old else "message_full")
            return
        try:
            if self._messages.is_begun:
                await self._messages.append(piece)
            else:
                self._started_at = self._clock()
                await self._messages.start_stream(piece)
        except PerhapsMade as error:
            self._unknown = error
        except (SlackError, SlackUnreachable) as error:
            self._go_over(error.reason)
        else:
            self._streamed += piece
            self._show_text()

    def _go_over(self, reason: str) -> None:
        """Place the answer from now on. Raises Stopped where the reader stopped the stream."""
        if reason == "stopped_by_user":
            raise Stopped
        log.info("stream_refused", reason=reason)
        if not self._messages.is_begun and reason in NO_STREAMS_HERE:
            self._pacer.streams_refused()
        self._is_streamed = False

    async def _stream_ended(
        self, text: str, sentence: str | None, below: tuple[blocks.Block, ...], *, is_part: bool = False
    ) -> bool:
        """End the open stream: it says `text`, which begins as it does, and `sentence`, with blocks below it. False
        where it cannot."""
        if not self._is_streamed:
            return False
        if not self._messages.is_begun:
            self._is_streamed = False
            return False
        text = self._streamed + text[len(self._streamed) :].rstrip()
        if len(text) > MARKDOWN_CHARACTERS:
            self._go_over("message_full")
            return False
        try:
            async with await self._permit_to_end(text):
                more = ended(text, sentence)[len(self._streamed) :]
                await self._messages.end_stream(Shown(more, below, is_part=is_part))
        except (SlackError, SlackUnreachable) as error:
            self._go_over(error.reason)
            return False
        self._thinking.ended()
        return True

    async def _permit_to_end(self, text: str) -> Permit:
        """Return when the stream may be ended; where that is not soon, with all of `text` shown before."""
        try:
            async with asyncio.timeout(STOP_SOON_SECONDS):
                return await self._pacer.turn("chat.stopStream")
        except TimeoutError:
            if len(self._streamed) < len(text):
                await self._messages.append(text[len(self._streamed) :])
                self._streamed = text
            return await self._pacer.turn("chat.stopStream")

    # --- placed -------------------------------------------------------------------------------------------------------

    async def _placed_on(self) -> bool:
        """Place the text so far; False where Slack does not take it now."""
        try:
            below = while_written(await self._words(), self._turn)
            await self._place(self._output.so_far.strip(), None, below, is_last=False)
        except PerhapsMade as error:
            self._unknown = error
        except SlackUnreachable as error:
            log.info("slack_unreachable", reason=str(error))
            return False
        return True

    async def _place(self, text: str, sentence: str | None, below: tuple[blocks.Block, ...], *, is_last: bool) -> None:
        """Have the answer's messages say all of `text` and `sentence`, and, at the last, no other message be there."""
        *first, last = pieces(text) or [""]
        last = ended(last, sentence)
        parts = [*(Shown(part) for part in first), *([Shown(last, below, is_part=not is_last)] if last else [])]
        await self._messages.place(parts)
        self._placed = text
        if text:
            self._show_text()
        if is_last:
            await self._messages.trim(len(parts))

    def _show_text(self) -> None:
        if not self._is_visible:
            metrics.first_text_seconds.observe(self._journal.age_seconds)
            self._thinking.rest()
        self._is_visible = True
