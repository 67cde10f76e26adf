"""A record: one conversation to learn from, whatever file it came from."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said."""

    role: Role
    content: str
    name: str | None = None
    """Who said it, where several people speak."""


@dataclass(frozen=True, slots=True)
class Record:
    """One conversation, ending with an assistant's answer."""

    id: str
    """Of its source and place in it; equal inputs give equal ids."""
    messages: tuple[Message, ...]
    source: str
    """Name of the source, as in the data set's manifest."""
    category: str | None = None
    conversation: str | None = None
    """The thread it was taken from, where several records may be; they are never split between train and held-out."""
