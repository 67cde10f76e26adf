"""What an engine is asked: system prompt, what the conversation remembers, the question; within the engine's window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Protocol

from bot.attachments import SUMMARISE, Attached, cut
from bot.context_window import fit
from bot.conversation import Line, Message, Turn, asked
from bot.errors import AnsweredBefore, MessageGone
from bot.guidance import Guidance
from bot.store.memory import Memory

HASH_DIGITS = 12


class Counter(Protocol):
    """Knows the engine's window, and what a prompt takes of it (bot.model_client.ModelClient)."""

    async def count_tokens(self, messages: Sequence[Message], *, room: int = 0) -> int: ...
    async def prompt_budget(self, max_tokens: int) -> int: ...


class Reader(Protocol):
    """Reads what stands in Slack (bot.slack.asking.threads.Threads)."""

    async def readable(self, text: str) -> str:
        """`text` with the names of the people who are mentioned in it."""

    async def earlier_messages(self, turn: Turn) -> list[Line]:
        """What was said in the turn's thread before it, oldest first."""

    async def line(self, message: Mapping[str, Any]) -> Line | None:
        """What one of Slack's messages says; None where that is nothing."""

    async def attached(self, turn: Turn) -> Sequence[Attached]:
        """What the turn's files say. Raises SlackUnreachable where that can be told a little later."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the engine is asked, and what of it is remembered."""

    messages: Sequence[Message]
    tokens: int
    """An upper bound."""
    question: str
    earlier: tuple[Line, ...]
    attached: tuple[Attached, ...] = ()
    """What of the question's files is in it."""
    remembered: tuple[Attached, ...] = ()
    """What of them is kept for the questions to come."""
    said: tuple[str, ...] = ()
    """What is trusted in it: the system prompt, and what people wrote themselves."""

    @property
    def hash(self) -> str:
        """Of the system prompt: tells answers that were written under different ones apart. Empty without messages."""
        if not self.messages:
            return ""
        return sha256(self.messages[0].content.encode()).hexdigest()[:HASH_DIGITS]


FILES_SHARE = 0.75
"""How much of what a question leaves of the window its files may take; the rest is the thread's."""
REMEMBERED_SHARE = 0.5
"""How much of the window the files of an earlier question may take."""
CHARACTERS_A_TOKEN = 8
"""More than text has for a token, in any tokenizer: longer files are not even counted whole."""


class Prompts:
    """Builds prompts. Answers of up to `max_tokens` find room after them; files are remembered up to
    `file_memory_tokens`."""

    def __init__(
        self,
        memory: Memory,
        model: Counter,
        slack: Reader,
        guidance: Guidance,
        max_tokens: int,
        file_memory_tokens: int,
    ) -> None:
        self._memory = memory
        self._model = model
        self._slack = slack
        self._guidance = guidance
        self._max_tokens = max_tokens
        self._file_memory_tokens = file_memory_tokens

    async def of(self, turn: Turn) -> Prompt:
        """The prompt of `turn`, in its conversation. It has no messages where only unreadable files were sent.

        Raises QuestionTooLong, MessageGone, AnsweredBefore, EngineError, StoreUnavailable or SlackUnreachable.
        """
        budget = await self._model.prompt_budget(self._max_tokens)
        exchanges = await self._memory.read(turn.conversation)
        before = next((exchange for exchange in exchanges if exchange.ts == turn.ts), None)
        if before and not turn.again:
            raise AnsweredBefore(f"{turn.job_id} has its answer.")
        if turn.again:  # what was said since is no part of it
            exchanges = [exchange for exchange in exchanges if exchange.ts < turn.ts]
        system = Message("system", await self._guidance.of(turn))
        text = await self._slack.readable(turn.text)
        files = await self._slack.attached(turn) if turn.files else before.attached if before else ()
        if files and turn.text == SUMMARISE and not any(file.text for file in files):
            return Prompt((), 0, text, (), tuple(files))
        earlier = about = await self._about(turn)
        required = await self._model.count_tokens([system, asked(text, about)])
        attached = await self._cut(files, round((budget - required) * FILES_SHARE))
        remembered = await self._cut(attached, min(self._file_memory_tokens, round(budget * REMEMBERED_SHARE)))
        if attached:
            required = await self._model.count_tokens([system, asked(text, about, attached)])
        if before and before.earlier and required <= budget:
            earlier = await self._fitting(list(before.earlier), about, system, text, attached, budget)
            required = await self._model.count_tokens([system, asked(text, earlier, attached)])
        elif not exchanges and required <= budget and turn.ts != turn.conversation.root_ts and not turn.response_url:
            said = await self._slack.earlier_messages(turn)
            unforgotten = await self._memory.unforgotten(turn.conversation, said)
            others = [line for line in unforgotten if line.ts not in {each.ts for each in about}]
            earlier = await self._fitting(others, about, system, text, attached, budget)
            required = await self._model.count_tokens([system, asked(text, earlier, attached)])
        question = asked(text, earlier, attached)
        messages = fit(system, exchanges, question, required_tokens=required, token_budget=budget)
        tokens = min(required + sum(exchange.tokens for exchange in exchanges), budget)
        by_people = (system.content, *(exchange.said for exchange in exchanges), asked(text, earlier).content)
        return Prompt(messages, tokens, text, tuple(earlier), attached, remembered, by_people)

    async def _about(self, turn: Turn) -> list[Line]:
        """The message that the question is about, if there is one. Raises MessageGone where it was forgotten."""
        if not turn.about:
            return []
        message = await self._memory.asked_about(turn)
        line = await self._slack.line(message) if message else None
        lines = await self._memory.unforgotten(turn.conversation, [line] if line else [])
        if not lines:
            raise MessageGone("The message that is asked about was forgotten.")
        return [replace(line, text=f"The message that is asked about, by {line.text}") for line in lines]

    async def _cut(self, files: Sequence[Attached], tokens: int) -> tuple[Attached, ...]:
        """So much of the beginnings of `files` as takes `tokens` at most; their names at least."""
        characters = min(sum(len(file.text) for file in files), max(tokens, 0) * CHARACTERS_A_TOKEN)
        while files:
            kept = cut(files, characters)
            needed = await self._model.count_tokens([asked("", (), kept)])
            if needed <= tokens or not characters:
                return kept
            characters = int(characters * max(tokens, 0) / needed * 0.95)
        return ()

    async def _fitting(
        self,
        earlier: list[Line],
        about: list[Line],
        system: Message,
        text: str,
        attached: Sequence[Attached],
        budget: int,
    ) -> list[Line]:
        """As many of the newest `earlier` lines as fit `budget` before `about` and the question; found by halving."""
        fits, too_many = 0, len(earlier) + 1
        while too_many - fits > 1:
            lines = (fits + too_many) // 2
            prompt = [system, asked(text, [*earlier[-lines:], *about], attached)]
            tokens = await self._model.count_tokens(prompt, room=budget)
            fits, too_many = (lines, too_many) if tokens <= budget else (fits, lines)
        return [*earlier[len(earlier) - fits :], *about]
