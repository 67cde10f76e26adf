"""The values that a conversation is made of. Frozen, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bot.attachments import Attached, Attachment

Role = Literal["system", "user", "assistant"]

AGAIN = "~"
"""At the end of the id of a job that answers a question once more."""


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

    response_until: float = 0.0
    """Until when Slack takes posts there, in seconds since 1970."""

    is_late: bool = False
    """Whether it was found so late that one line is said about it, and no answer given."""

    files: tuple[Attachment, ...] = ()
    """What hangs on the message; fetched and read when it is answered."""

    about: str = ""
    """The trigger id under which the message is kept that the question is about (bot/store/quotations.py)."""

    in_place: bool = False
    """Whether the answer at the response_url takes the place of the one under which it was asked for."""

    again: str = ""
    """What has it answered once more, if something does: a click's trigger id, an edit's ts, when it was given up."""

    asker_team_id: str = ""
    """Slack's T… id of the team that `user_id` belongs to, where Slack told it."""

    @property
    def asked_about(self) -> ConversationId:
        """Where the message is kept that the question is about."""
        return replace(self.conversation, root_ts=self.about)

    @property
    def question_id(self) -> str:
        """Of the message, whichever answer to it is meant."""
        return f"{self.conversation}/{self.ts}"

    @property
    def job_id(self) -> str:
        """What it is stored under: one message is one job, however often and in whichever event it comes. It has one
        more while it is answered once more."""
        return self.question_id + (AGAIN if self.again else "")

    @property
    def mark_id(self) -> str:
        """By what it is known when it comes a second time."""
        return self.job_id + self.again


@dataclass(frozen=True, slots=True)
class Line:
    """Something that was said in a thread before Dolly was asked there."""

    ts: str
    user_id: str
    """Who said it; a bot's id where an app did."""
    text: str
    """`name: what was said`, in plain text."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer: remembered, kept in a prompt and dropped from it as a whole."""

    ts: str
    """Slack's `ts` of the question."""
    user_id: str
    """Who asked."""
    question: str
    answer: str
    tokens: int
    """What `messages` add to a prompt, template included: an upper bound."""
    earlier: tuple[Line, ...] = ()
    """What was said in the thread before Dolly knew it, and was put before the question."""
    answer_ts: tuple[str, ...] = ()
    """Slack's `ts` of the messages that hold the answer."""
    attached: tuple[Attached, ...] = ()
    """What is kept of the files that came with the question."""
    model: str = ""
    """What wrote the answer, as the engine named it."""
    prompt_hash: str = ""
    """Of the system prompt that it was written under."""
    is_about: bool = False
    """Whether the question is about a message in the thread and stands nowhere there but above its answer."""
    asker_team_id: str = ""
    """Of who asked, as in the turn."""

    @property
    def messages(self) -> tuple[Message, Message]:
        """As an engine reads them: the user's message, then the assistant's, so that roles keep alternating."""
        return asked(self.question, self.earlier, self.attached), Message("assistant", self.answer)

    @property
    def said(self) -> str:
        """What people wrote in it themselves: their files left out, which anybody may have written."""
        return asked(self.question, self.earlier).content

    @property
    def people(self) -> frozenset[str]:
        """Everybody whose words are in it."""
        return frozenset({self.user_id, *(line.user_id for line in self.earlier)})


def asked(question: str, earlier: Sequence[Line] = (), attached: Sequence[Attached] = ()) -> Message:
    """A question as an engine reads it, after what was said in the thread before, a line per message, and after files.

    One user message holds all, because many chat templates refuse two in a row.
    """
    if not earlier and not attached:
        return Message("user", question)
    parts = [file.block for file in attached]
    if earlier:
        parts.insert(0, "\n".join(["Earlier in this thread:", *(line.text for line in earlier)]))
    return Message("user", "\n\n".join([*parts, f"The newest message:\n{question}"]))


Shape = Literal["stream", "placed", "ephemeral"]
"""How an answer is brought to its reader: a streamed message; a placeholder that is written over; one post to a
response_url."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a message of Dolly's in Slack shows."""

    markdown: str
    below: tuple[dict[str, Any], ...] = ()
    """Blocks under the text, in Slack's own terms."""
    model: str = ""
    """What wrote it, and under the system prompt of which hash: nobody sees that, and it goes with the message."""
    prompt_hash: str = ""
    is_part: bool = False
    """Whether more of the answer is to come: nobody sees that either."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An answer that was found whole in its thread."""

    text: str
    ts: tuple[str, ...]
    """Slack's `ts` of its messages."""
    model: str
    """What wrote it; empty of a sentence of Dolly's own."""
    prompt_hash: str


@dataclass(frozen=True, slots=True)
class Posting:
    """What is known, from the store, of an answer's messages in Slack: what a worker that takes over goes by."""

    shape: Shape | None = None
    """The shape that was written down before the first call; None while nothing was sent."""
    ts: tuple[str, ...] = ()
    """The messages that stand there, in order. Empty with a shape: a call may or may not have been made."""
    uses: int = 0
    """Posts at the turn's response_url that may have been made: Slack takes five."""
