"""The prompt: what stands around the messages of a conversation, as text and as tokens.

The text is a Jinja chat template, rendered here by the tokenizer and in serving by the engine. The tokens differ from
the engine's in one thing: what users, files and records say never becomes a control token here, whatever it holds.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer as Backend

from trainer.errors import BadInput
from trainer.records import Message

END_KEY = "### End"
INSTRUCTION_KEY = "### Instruction:"
RESPONSE_KEY = "### Response:\n"
DOLLY_KEYS = (END_KEY, INSTRUCTION_KEY, RESPONSE_KEY)
"""Dolly's control tokens. The newline belongs to the third: other tokenizers merge it into what follows (dolly#4)."""

Tokenizer = Any
"""A PreTrainedTokenizerFast; transformers is not imported where only texts are counted."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A conversation as tokens."""

    input_ids: list[int]
    loss_mask: list[bool]
    """Of the same length; True where the token is learned."""


@dataclass(frozen=True, slots=True)
class _Rendered:
    text: str
    contents: tuple[Span, ...]
    """Where in the text the messages' contents stand, but for blank characters at their ends."""


class Template:
    """The chat template of one tokenizer."""

    def __init__(self, tokenizer: Tokenizer, name: Literal["own", "dolly"], chat_template: str) -> None:
        self.name = name
        self.chat_template = chat_template
        """Jinja source; it travels with the model."""
        self._tokenizer = tokenizer
        self._segments = _Segments(tokenizer)
        self.keys: tuple[str, ...] = tuple(self._segments.control)
        """The text of every control token of the tokenizer. A bot breaks them in what people say."""
        probe = [Message("user", "a"), Message("assistant", "a")]
        self.end_id: int = self.encode(probe).input_ids[-1] if name == "dolly" else self._end_of(probe)
        """The token that ends an answer."""
        self.stop_ids: tuple[int, ...] = tuple(
            dict.fromkeys(id for id in (self.end_id, tokenizer.eos_token_id) if id is not None)
        )
        """Tokens at which an engine stops."""

    def encode(self, messages: Sequence[Message]) -> Encoded:
        """For training: all turns, each answer learned with the key that ends it. Raises BadInput."""
        raise NotImplementedError

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """For generation: all turns and the opening of an answer. Raises BadInput."""
        raise NotImplementedError

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        """The text that an engine's Jinja makes of it. Raises BadInput where the template refuses the conversation."""
        raise NotImplementedError


def own_template(tokenizer: Tokenizer) -> Template:
    """The base's own chat template. Raises BadInput where it has none."""
    raise NotImplementedError


def dolly_template(tokenizer: Tokenizer) -> Template:
    """Dolly's template, for a tokenizer that holds its keys. Raises BadInput where it does not (tuning.keys adds them)."""
    raise NotImplementedError


def template_of(tokenizer: Tokenizer) -> Template:
    """What the tokenizer carries: of a tuned model Dolly's or the base's own. Raises BadInput where it carries none."""
    raise NotImplementedError
