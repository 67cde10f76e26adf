"""How many tokens a prompt has, by the engine's own endpoint for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.conversation import Message
from bot.errors import EngineRefused
from bot.model_client.connection import EngineConnection
from bot.model_client.dialects import Dialect

_PROMPT_OVERHEAD_BYTES = 128
_MESSAGE_OVERHEAD_BYTES = 32
"""Bounds for what chat templates in use write around a prompt and around each message."""


def bound(messages: Sequence[Message]) -> int:
    """An upper bound without the engine: no token is shorter than a byte of UTF-8."""
    return _PROMPT_OVERHEAD_BYTES + sum(bound_of_message(message.content) for message in messages)


def bound_of_message(text: str) -> int:
    return _MESSAGE_OVERHEAD_BYTES + len(text.encode())


@dataclass(frozen=True, slots=True)
class TemplateCost:
    """What a chat template writes around messages, in tokens."""

    shortest_prompt: int
    """A prompt of one user message that is one token long: default system prompts are in it."""

    per_message: int
    """What a message of an earlier turn costs beside its text: half of what a question and its answer cost."""

    def of_content(self, shortest_prompt_with: int) -> int:
        """A bound for what a text adds to a prompt, from the count of a prompt that holds it alone."""
        return shortest_prompt_with - self.shortest_prompt + 1 + self.per_message


async def measure_template(engine: EngineConnection, dialect: Dialect, model: str) -> TemplateCost | None:
    """The template's cost; None where the engine does not count, or does not let us. Raises bot.errors.Engine*."""
    question, answer = Message("user", "a"), Message("assistant", "a")
    try:
        shortest = await count(engine, dialect, model, [question])
        longer = shortest and await count(engine, dialect, model, [question, answer, question])
    except EngineRefused:
        return None
    if shortest is None or longer is None:
        return None
    both = longer - shortest - 2  # less the two texts
    return TemplateCost(shortest, -(-both // 2) + 1)  # one more, where text and template share a token


async def count(engine: EngineConnection, dialect: Dialect, model: str, messages: Sequence[Message]) -> int | None:
    """The tokens of a prompt as the engine sees it, the beginning of the answer included.

    None where the engine cannot tell. Raises bot.errors.Engine*.
    """
    body: dict[str, Any] = {"messages": as_json(messages)}
    match dialect:
        case "tgi":
            answer = await engine.call("POST", "/chat_tokenize", {"model": model, **body})
            return _length(answer, "tokenize_response")
        case "vllm":
            answer = await engine.call("POST", "/tokenize", {"model": model, **body})
            return answer["count"] if isinstance(answer, dict) and isinstance(answer.get("count"), int) else None
        case "llama.cpp":
            rendered = await engine.call("POST", "/apply-template", body)
            if not isinstance(rendered, dict):
                return None
            prompt = {"content": rendered.get("prompt"), "add_special": True, "parse_special": True}
            return _length(await engine.call("POST", "/tokenize", prompt), "tokens")
    return None


def as_json(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages as the chat-completions protocol writes them."""
    return [{"role": message.role, "content": message.content} for message in messages]


def _length(answer: Any, key: str) -> int | None:
    tokens = answer.get(key) if isinstance(answer, dict) else None
    return len(tokens) if isinstance(tokens, list) else None
