"""An answer: one turn → window → stream → reply."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from bot.context_window import after_earlier, fit
from bot.conversation import Exchange, Message, Turn
from bot.errors import EngineError, QuestionTooLong, StoreUnavailable
from bot.store.memory import Memory
from bot.words import Words

log = structlog.get_logger(__name__)

TEMPLATE_BYTES = 64


class Stopped(Exception):
    """The person who asked wants no more of this answer."""


class Reply(Protocol):
    """One answer on its way to where it was asked for.

    Raises SlackError where it is refused for good, SlackUnreachable where it may be tried again later.
    """

    async def thinking(self) -> None:
        """Show that an answer is being prepared, until the first text arrives."""

    async def write(self, delta: str) -> None:
        """Add a piece of the model's text. Raises Stopped when the reader pressed Stop."""

    async def finish(self, sentence: str | None = None) -> None:
        """Bring out all that was written, then `sentence`, one of Dolly's own; nothing can be written after it."""

    async def stop(self, sentence: str) -> None:
        """End as it stands, with `sentence` where that can still be added; nothing more is brought out."""

    async def abandon(self) -> None:
        """Write no more: somebody else will answer, or nobody."""


class Slack(Protocol):
    """Where questions come from and answers go."""

    def reply(self, turn: Turn) -> Reply:
        """The answer to `turn`, not yet begun."""

    async def readable(self, text: str) -> str:
        """`text` with the names of the people who are mentioned in it."""

    async def earlier_messages(self, turn: Turn) -> list[str]:
        """What was said in the turn's thread before it, oldest first, a line per message with its author."""


class Model(Protocol):
    """What writes the answers (bot.model_client.ModelClient)."""

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]: ...
    async def count_tokens(self, messages: Sequence[Message]) -> int: ...
    async def count_content(self, text: str) -> int: ...
    async def prompt_budget(self, max_tokens: int) -> int: ...


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """How answers are written."""

    system_prompt: str
    max_tokens: int


class Responder:
    """Answers turns."""

    def __init__(self, memory: Memory, model: Model, slack: Slack, words: Words, style: AnswerStyle) -> None:
        self._memory = memory
        self._model = model
        self._slack = slack
        self._words = words
        self._style = style

    async def respond(self, turn: Turn, stop: asyncio.Event) -> Exchange | None:
        """Bring the answer to its reader; the exchange to remember, or None when there is none.

        `stop` may be set at any time: the answer then ends as it stands. Engines in trouble are told to the
        reader. Raises StoreUnavailable, SlackError or SlackUnreachable.
        """
        reply = self._slack.reply(turn)
        try:
            return await self._respond(turn, reply, stop)
        except BaseException:
            await reply.abandon()
            raise

    async def _respond(self, turn: Turn, reply: Reply, stop: asyncio.Event) -> Exchange | None:
        if not turn.text:
            await reply.finish(self._words.say("empty_question"))
            return None
        written: list[str] = []
        question = Message("user", turn.text)
        try:
            try:
                prompt = await self._prompt_while_thinking(turn, reply)
                question = prompt[-1]
                await self._generate(prompt, reply, written, stop)
                closing = await self._closing(turn) if _joined(written) else self._words.say("engine_silent")
            except (EngineError, QuestionTooLong) as error:
                log.warning("no_answer", error=type(error).__name__, reason=str(error))
                closing = self._words.say(error.words_key)
            await reply.finish(closing)
        except Stopped:
            await reply.stop(self._words.say("stopped"))
        answer = Message("assistant", _joined(written))
        if not answer.content or turn.response_url:
            return None
        return Exchange((question, answer), await self._cost(question, answer))

    async def apologise(self, turn: Turn) -> None:
        """Say that there will be no answer."""
        await self._slack.reply(turn).finish(self._words.say("apology"))

    async def _prompt_while_thinking(self, turn: Turn, reply: Reply) -> list[Message]:
        showing = asyncio.create_task(reply.thinking())
        try:
            return await self._prompt(turn)
        finally:
            await showing

    async def _prompt(self, turn: Turn) -> list[Message]:
        """System prompt, what the conversation remembers, the question; within the engine's window."""
        system = Message("system", self._style.system_prompt)
        budget = await self._model.prompt_budget(self._style.max_tokens)
        exchanges = await self._memory.read(turn.conversation)
        text = await self._slack.readable(turn.text)
        question = Message("user", text)
        required = await self._model.count_tokens([system, question])
        if not exchanges and required <= budget and turn.ts != turn.conversation.root_ts and not turn.response_url:
            earlier = await self._slack.earlier_messages(turn)
            question = await self._with_earlier(system, earlier, text, budget)
            required = await self._model.count_tokens([system, question])
        return fit(system, exchanges, question, required_tokens=required, token_budget=budget)

    async def _with_earlier(self, system: Message, earlier: list[str], text: str, budget: int) -> Message:
        """The question, after as many of the newest `earlier` lines as fit `budget`; found by halving."""
        fits, too_many = 0, len(earlier) + 1
        while too_many - fits > 1:
            lines = (fits + too_many) // 2
            tokens = await self._model.count_tokens([system, after_earlier(earlier[-lines:], text)])
            fits, too_many = (lines, too_many) if tokens <= budget else (fits, lines)
        return after_earlier(earlier[len(earlier) - fits :], text)

    async def _generate(self, prompt: Sequence[Message], reply: Reply, written: list[str], stop: asyncio.Event) -> None:
        """Pass the model's text to `reply` and to `written`. Raises Stopped as soon as the user wants no more."""

        async def pass_on() -> None:
            async with contextlib.aclosing(self._model.stream(prompt, max_tokens=self._style.max_tokens)) as deltas:
                async for delta in deltas:
                    written.append(delta)
                    await reply.write(delta)

        passing = asyncio.create_task(pass_on())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({passing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not passing.done():
                raise Stopped
            passing.result()
        finally:
            # Cancelling the reader closes the connection, and that frees the engine's slot.
            passing.cancel()
            stopping.cancel()
            await asyncio.gather(passing, stopping, return_exceptions=True)

    async def _closing(self, turn: Turn) -> str | None:
        """What Dolly says once after its first answer in a direct message: how conversations work there."""
        if not turn.is_direct:
            return None
        with contextlib.suppress(StoreUnavailable):
            if await self._memory.first_time(f"{turn.conversation.team_id}/{turn.conversation.channel_id}"):
                return self._words.say("thread_hint")
        return None

    async def _cost(self, *messages: Message) -> int:
        """What `messages` add to later prompts; their bytes, an upper bound, when the engine cannot be asked now."""
        try:
            return sum([await self._model.count_content(message.content) for message in messages])
        except EngineError:
            return sum(len(message.content.encode()) + TEMPLATE_BYTES for message in messages)


def _joined(deltas: list[str]) -> str:
    return "".join(deltas).strip()
