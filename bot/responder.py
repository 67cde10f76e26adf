"""An answer: one turn → window → stream → reply."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from bot import metrics, tracing
from bot.attachments import Attached
from bot.audit import Decision
from bot.collaborators import Engines, Journal, Model, Reply, Slack, Stopped
from bot.conversation import Exchange, Message, Turn
from bot.errors import (
    AnsweredBefore,
    EngineError,
    EngineOverloaded,
    EngineUnreachable,
    MessageGone,
    ModelLoading,
    QuestionTooLong,
    SlackError,
    SlackUnreachable,
    StoreUnavailable,
)
from bot.guidance import Guidance
from bot.prompts import Prompt, Prompts
from bot.store.memory import Memory

log = structlog.get_logger(__name__)

TEMPLATE_BYTES = 64
QUOTED_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """How answers are written."""

    system_prompt: str
    max_tokens: int
    file_memory_tokens: int = 4_000
    """How much of the files that come with a question is remembered."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a turn ended for its reader."""

    decision: Decision = "answered"
    reason: str = ""
    """Of an apology, its sentence's key; of a refusal, what stood against an answer."""
    exchange: Exchange | None = None
    """What is to be remembered of it."""
    tokens: int = 0
    """What the engine read and wrote for it."""
    model: str = ""
    """The name of what wrote it."""


class AnswerNotDelivered(Exception):
    """The answer is finished, and Slack does not take it now."""

    def __init__(self, exchange: Exchange, reason: SlackUnreachable) -> None:
        super().__init__(str(reason))
        self.exchange = exchange
        self.reason = reason


class Responder:
    """Answers turns."""

    def __init__(self, memory: Memory, engines: Engines, slack: Slack, guidance: Guidance, style: AnswerStyle) -> None:
        self._memory = memory
        self._engines = engines
        self._slack = slack
        self._guidance = guidance
        self._style = style

    async def respond(
        self, turn: Turn, journal: Journal, stop: asyncio.Event, gives_up: Callable[[EngineError], bool]
    ) -> Ending:
        """Bring the answer to its reader.

        `stop` may be set at any time: the answer then ends as it stands. Of an engine in trouble the reader is
        told where `gives_up` says so; otherwise its EngineError is raised, to be tried again. Raises
        AnswerNotDelivered, StoreUnavailable, LeaseLost, SlackError or SlackUnreachable.
        """
        reply = self._slack.reply(turn, journal)
        try:
            try:
                if not turn.text:
                    await reply.begin()
                    await reply.finish((await self._slack.words(turn)).say("empty_question"))
                    return Ending()
                async with self._engines.of(turn.conversation.channel_id) as model:
                    return await self._respond(turn, journal, reply, model, stop, gives_up)
            except AnsweredBefore as error:
                log.info("answered_before", reason=str(error))
                await reply.finish()  # with nothing: what was shown meanwhile goes, while the lease holds
                return Ending("refused", "answered_before")
            except ModelLoading as error:
                if not gives_up(error):
                    raise
                log.warning("no_answer", error=type(error).__name__, reason=str(error))
                sentence = (await self._slack.words(turn)).say(error.words_key)
                await self._finish(turn, reply, await self._answer_before(turn, reply), sentence)
                return Ending("apologised", error.words_key)
        except BaseException:
            await reply.abandon()
            raise

    async def found(self, turn: Turn, journal: Journal) -> Ending | None:
        """How a turn ends whose answer stands in its thread, though the store has lost it; None where none does.

        It is remembered as it stands there. Where nothing else is, of a thread that goes further back, the next
        question has all of it read in Slack. Where Slack does not let Dolly look, the question is answered. Raises
        StoreUnavailable, LeaseLost or SlackUnreachable.
        """
        try:
            standing = await self._slack.standing(turn, journal)
        except SlackError as error:
            log.warning("thread_unreadable", job=journal.job_id, reason=str(error))
            return None
        if standing is None:
            return None
        log.info("found_in_thread", job=journal.job_id)
        before = await self._memory.read(turn.conversation)
        is_read_later = not before and turn.ts != turn.conversation.root_ts
        if not standing.model or turn.about or is_read_later or any(exchange.ts == turn.ts for exchange in before):
            return Ending("refused", "answered_before")
        exchange = Exchange(
            turn.ts,
            turn.user_id,
            await self._slack.readable(turn.text),
            standing.text,
            0,
            answer_ts=standing.ts,
            model=standing.model,
            prompt_hash=standing.prompt_hash,
            asker_team_id=turn.asker_team_id,
        )
        tokens = sum(len(message.content.encode()) + TEMPLATE_BYTES for message in exchange.messages)
        return Ending("refused", "answered_before", replace(exchange, tokens=tokens))

    async def say(self, turn: Turn, journal: Journal, words_key: str) -> None:
        """End the turn with one of Dolly's own sentences instead of an answer."""
        words = await self._slack.words(turn)
        reply = self._slack.reply(turn, journal)
        await self._finish(turn, reply, await self._answer_before(turn, reply), words.say(words_key))

    async def stop(self, turn: Turn, journal: Journal) -> None:
        """End the turn as one that was stopped before anything was written."""
        await self.say(turn, journal, "stopped")

    async def deliver(self, turn: Turn, journal: Journal, exchange: Exchange) -> Exchange:
        """Bring out an answer that was finished before; the exchange to remember."""
        reply = self._slack.reply(turn, journal)
        exchanges = [*await self._memory.read(turn.conversation), exchange]
        reply.hear([await self._guidance.of(turn), *(each.said for each in exchanges)])
        reply.sign(exchange.model, exchange.prompt_hash)
        heading = await self._heading(turn, exchange.question, exchange.is_about)
        await self._finish(turn, reply, heading + exchange.answer, None)
        return replace(exchange, answer_ts=journal.posting.ts)

    async def tell_place(
        self, turn: Turn, journal: Journal, error: EngineOverloaded | EngineUnreachable, place: int
    ) -> None:
        """Say, where the answer will stand, that it has to wait, and for how many others.

        Not where the answer before stands: it stays until there is a new one.
        """
        if turn.again:
            return
        reply = self._slack.reply(turn, journal)
        try:
            await reply.notice((await self._slack.words(turn)).say(error.waiting_key, place=place))
        except BaseException:
            await reply.abandon()
            raise

    async def tell_loading(self, turn: Turn, journal: Journal) -> None:
        """Show that the answer waits for a new model to be loaded."""
        reply = self._slack.reply(turn, journal)
        try:
            await reply.loading()
        except BaseException:
            await reply.abandon()
            raise

    async def _finish(self, turn: Turn, reply: Reply, text: str, sentence: str | None) -> None:
        try:
            await reply.begin()
            if text:
                await reply.write(text)
            await reply.finish(sentence)
        except Stopped:
            await reply.stop((await self._slack.words(turn)).say("stopped"))
        except BaseException:
            await reply.abandon()
            raise

    async def _respond(
        self,
        turn: Turn,
        journal: Journal,
        reply: Reply,
        model: Model,
        stop: asyncio.Event,
        gives_up: Callable[[EngineError], bool],
    ) -> Ending:
        written: list[str] = []
        prompt = Prompt((), 0, turn.text, ())
        closing: str | None = None
        apology: str | None = None
        is_about, above = False, ""
        beginning = asyncio.create_task(reply.begin())
        try:
            try:
                try:
                    with tracing.step("window") as window:
                        prompt = await self._prompts(model).of(turn)
                        window.note({tracing.PROMPT_TOKENS: prompt.tokens})
                    reply.hear(prompt.said)
                    reply.sign(model.served_model, prompt.hash)
                    unread = await self._unread(turn, prompt.attached)
                    is_about = await self._is_about(turn)
                    heading = await self._heading(turn, prompt.question, is_about)
                    if prompt.messages and (heading or unread):
                        await beginning
                        above = heading + (f"{unread}\n\n" if unread else "")
                        await reply.write(above)
                    metrics.engine_tokens.labels("prompt").inc(prompt.tokens)
                    if prompt.messages:
                        await self._generate(model, prompt.messages, reply, beginning, written, stop)
                finally:
                    await beginning
                closing = await self._closing(turn, _joined(written)) if prompt.messages else unread
            except (QuestionTooLong, MessageGone) as error:
                log.warning("no_answer", error=type(error).__name__, reason=str(error))
                closing = (await self._slack.words(turn)).say(error.words_key)
            except EngineError as error:
                metrics.engine_errors.labels(type(error).__name__).inc()
                if not gives_up(error):
                    raise
                log.warning("no_answer", error=type(error).__name__, reason=str(error))
                closing, apology = (await self._slack.words(turn)).say(error.words_key), error.words_key
            if not written and (before := await self._answer_before(turn, reply, above)):
                await reply.write(before)
            undelivered = await self._brought_out(reply, closing)
        except Stopped:
            undelivered = None
            stopped = (await self._slack.words(turn)).say("stopped")
            with contextlib.suppress(SlackUnreachable):  # what was wanted is that nothing more comes
                if not written and (before := await self._answer_before(turn, reply, above)):
                    await reply.write(before)
                    await reply.finish(stopped)
                else:
                    await reply.stop(stopped)
        exchange, answer_tokens = await self._exchange(turn, model, prompt, _joined(written), journal, is_about)
        if undelivered is not None:
            if exchange is None or apology is not None:
                raise undelivered
            raise AnswerNotDelivered(exchange, undelivered)
        return Ending(
            "apologised" if apology else "answered",
            apology or "",
            exchange,
            prompt.tokens + answer_tokens,
            model.served_model,
        )

    def _prompts(self, model: Model) -> Prompts:
        style = self._style
        return Prompts(self._memory, model, self._slack, self._guidance, style.max_tokens, style.file_memory_tokens)

    async def _answer_before(self, turn: Turn, reply: Reply, above: str = "") -> str:
        """What stands for a new answer that does not come, where a question is answered once more: the one before.

        It goes under `above`, if that stands there already.
        """
        exchanges = await self._memory.read(turn.conversation) if turn.again else []
        reply.hear([exchange.said for exchange in exchanges])
        before = next((exchange for exchange in exchanges if exchange.ts == turn.ts), None)
        if before is None:
            return ""
        reply.sign(before.model, before.prompt_hash)
        return ("" if above else await self._heading(turn, before.question, before.is_about)) + before.answer

    async def _is_about(self, turn: Turn) -> bool:
        """Whether the question is about a message in the thread, and stands there only above its answer."""
        if not turn.again:
            return bool(turn.about) and not turn.response_url
        exchanges = await self._memory.read(turn.conversation)
        return any(exchange.ts == turn.ts and exchange.is_about for exchange in exchanges)

    async def _heading(self, turn: Turn, question: str, is_about: bool) -> str:
        """Who asks what, where that stands nowhere else in the thread."""
        if not is_about:
            return ""
        name = await self._slack.readable(f"@{turn.user_id}")
        quoted = " ".join(question.split())
        if len(quoted) > QUOTED_CHARACTERS:
            quoted = quoted[:QUOTED_CHARACTERS] + "…"
        return (await self._slack.words(turn)).say("about_heading", name=name, question=quoted) + "\n\n"

    async def _brought_out(self, reply: Reply, closing: str | None) -> SlackUnreachable | None:
        try:
            await reply.finish(closing)
        except SlackUnreachable as error:
            return error
        return None

    async def _exchange(
        self, turn: Turn, model: Model, prompt: Prompt, answer: str, journal: Journal, is_about: bool
    ) -> tuple[Exchange | None, int]:
        """What is remembered of an answer, and the answer's own tokens."""
        if not answer:
            return None, 0
        posted = journal.posting.ts
        exchange = Exchange(
            turn.ts,
            turn.user_id,
            prompt.question,
            answer,
            0,
            prompt.earlier,
            posted,
            prompt.remembered,
            model.served_model,
            prompt.hash,
            is_about,
            turn.asker_team_id,
        )
        question_tokens, answer_tokens = [await self._cost(model, message) for message in exchange.messages]
        return replace(exchange, tokens=question_tokens + answer_tokens), answer_tokens

    async def _generate(
        self,
        model: Model,
        prompt: Sequence[Message],
        reply: Reply,
        beginning: asyncio.Task[None],
        written: list[str],
        stop: asyncio.Event,
    ) -> None:
        """Pass the model's text to `reply`, once that has begun, and to `written`.

        The engine reads the prompt while Slack is told of it. Raises Stopped as soon as the user wants no more.
        """

        async def pass_on() -> None:
            async with contextlib.aclosing(model.stream(prompt, max_tokens=self._style.max_tokens)) as deltas:
                async for delta in deltas:
                    await beginning
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

    async def _unread(self, turn: Turn, attached: Sequence[Attached]) -> str:
        """What the asker has to know of their files before the answer: which of them it is not about, or not whole."""
        words = await self._slack.words(turn) if attached else None
        sentences = [file.unread for file in attached if file.unread]
        if words is not None:
            cut_short = [file for file in attached if file.text and file.extent]
            sentences += [words.say("file_cut", name=file.name, percent=file.percent) for file in cut_short]
        return "\n".join(f"_{sentence}_" for sentence in sentences)

    async def _closing(self, turn: Turn, answer: str) -> str | None:
        """What Dolly says below: that there is no answer; once, in a direct message, how conversations work there."""
        if not answer:
            return (await self._slack.words(turn)).say("engine_silent")
        if not turn.is_direct:
            return None
        with contextlib.suppress(StoreUnavailable):
            if await self._memory.first_time(f"{turn.conversation.team_id}/{turn.conversation.channel_id}"):
                return (await self._slack.words(turn)).say("thread_hint")
        return None

    async def _cost(self, model: Model, message: Message) -> int:
        """What `message` adds to later prompts; its bytes, an upper bound, when the engine cannot be asked now."""
        try:
            return await model.count_content(message.content)
        except EngineError:
            return len(message.content.encode()) + TEMPLATE_BYTES


def _joined(deltas: list[str]) -> str:
    return "".join(deltas).strip()
