"""What an engine is asked: system prompt, what the conversation remembers, the question; within the engine's window."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.context_window import fit
from bot.conversation import Line, Message, Turn, asked
from bot.errors import LeaseLost
from bot.store.memory import Memory


class Counter(Protocol):
    """Knows the engine's window, and what a prompt takes of it (bot.model_client.ModelClient)."""

    async def count_tokens(self, messages: Sequence[Message]) -> int: ...
    async def prompt_budget(self, max_tokens: int) -> int: ...


class Reader(Protocol):
    """Reads what stands in Slack (bot.slack.threads.Threads)."""

    async def readable(self, text: str) -> str:
        """`text` with the names of the people who are mentioned in it."""

    async def earlier_messages(self, turn: Turn) -> list[Line]:
        """What was said in the turn's thread before it, oldest first."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the engine is asked, and what of it is remembered."""

    messages: Sequence[Message]
    tokens: int
    """An upper bound."""
    question: str
    earlier: tuple[Line, ...]


class Prompts:
    """Builds prompts. Answers of up to `max_tokens` find room after them."""

    def __init__(self, memory: Memory, model: Counter, slack: Reader, system_prompt: str, max_tokens: int) -> None:
        self._memory = memory
        self._model = model
        self._slack = slack
        self._system = Message("system", system_prompt)
        self._max_tokens = max_tokens

    async def of(self, turn: Turn) -> Prompt:
        """The prompt of `turn`, in its conversation.

        Raises QuestionTooLong, EngineError or StoreUnavailable; LeaseLost where another worker has answered it.
        """
        budget = await self._model.prompt_budget(self._max_tokens)
        exchanges = await self._memory.read(turn.conversation)
        if any(exchange.ts == turn.ts for exchange in exchanges):
            raise LeaseLost(f"{turn.job_id} was answered by another worker")
        text = await self._slack.readable(turn.text)
        earlier: list[Line] = []
        required = await self._model.count_tokens([self._system, asked(text)])
        if not exchanges and required <= budget and turn.ts != turn.conversation.root_ts and not turn.response_url:
            said = await self._slack.earlier_messages(turn)
            earlier = await self._fitting(await self._memory.unforgotten(turn.conversation, said), text, budget)
            required = await self._model.count_tokens([self._system, asked(text, earlier)])
        messages = fit(self._system, exchanges, asked(text, earlier), required_tokens=required, token_budget=budget)
        tokens = min(required + sum(exchange.tokens for exchange in exchanges), budget)
        return Prompt(messages, tokens, text, tuple(earlier))

    async def _fitting(self, earlier: list[Line], text: str, budget: int) -> list[Line]:
        """As many of the newest `earlier` lines as fit `budget` before the question; found by halving."""
        fits, too_many = 0, len(earlier) + 1
        while too_many - fits > 1:
            lines = (fits + too_many) // 2
            tokens = await self._model.count_tokens([self._system, asked(text, earlier[-lines:])])
            fits, too_many = (lines, too_many) if tokens <= budget else (fits, lines)
        return earlier[len(earlier) - fits :]
