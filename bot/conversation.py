"""The values that a conversation is made of. Frozen, no I/O."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message as an engine reads it, in the words of the chat-completions protocol."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ConversationId:
    """A thread in Slack: everything that is remembered, ordered and answered belongs to one of these."""

    team_id: str
    """Slack's T… id, or the E… id where an organisation installed the app."""

    channel_id: str
    root_ts: str
    """`ts` of the message that the thread hangs on."""

    def __str__(self) -> str:
        return f"{self.team_id}/{self.channel_id}/{self.root_ts}"

    @classmethod
    def parse(cls, text: str) -> "ConversationId":
        """The inverse of `str`. Raises ValueError on anything else."""
        team_id, channel_id, root_ts = text.split("/")
        return cls(team_id, channel_id, root_ts)


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing that a person said to Dolly and that wants one answer."""

    conversation: ConversationId
    ts: str
    """Slack's `ts` of the person's message: seconds since 1970 with six decimals; orders a thread."""

    user_id: str
    text: str
    """What the person wrote, as plain text: mention of Dolly removed, Slack's escapes undone."""

    is_direct: bool = False
    """Whether it was said in a direct message."""

    response_url: str | None = None
    """Where a slash command's answer goes; such a turn has no thread in Slack."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer: remembered, kept in a prompt and dropped from it as a whole."""

    messages: tuple[Message, ...]
    """The user's message and the assistant's, so that roles keep alternating."""

    tokens: int
    """What these messages add to a prompt, template included: an upper bound."""
