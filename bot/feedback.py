"""What people think of an answer, and what an admin makes of it: frozen values."""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

from bot.conversation import ConversationId

Rating = Literal["up", "down"]
Review = Literal["", "approved", "rejected"]
"""What an admin said of a piece of feedback; "" as long as nobody has."""

CORRECTION_CHARACTERS = 3_000
"""How long a correction may be: what one box of a form in Slack holds."""
COMMENT_CHARACTERS = 1_000
RECORD_ID_CHARACTERS = 24


@dataclass(frozen=True, slots=True)
class Feedback:
    """One person's rating of one answer, with all that is needed to learn from it later."""

    ts: str
    """Slack's `ts` of the question."""
    asker_id: str
    """Who asked it."""
    rater_id: str
    rating: Rating
    question: str
    answer: str
    model: str
    """What wrote the answer, as the engine named it."""
    prompt_hash: str
    """Of the system prompt that it was written under."""
    consent: bool
    """Whether the channel let its feedback train a model when this was given."""
    at: float
    """When, in seconds since 1970."""
    correction: str = ""
    """The answer as it should have been, in the rater's words."""
    comment: str = ""
    answer_ts: tuple[str, ...] = ()
    """Slack's `ts` of the messages that hold the answer."""
    review: Review = ""
    reviewer_id: str = ""
    edit: str = ""
    """The correction in the reviewer's words; empty where it stays as the rater wrote it."""
    neighbours: tuple[str, ...] = ()
    """Questions close to this one whose answers are to stay as they are, in the reviewer's words."""
    neighbour_names: tuple[str, ...] = ()
    """More of these: the questions of other feedback, by its name (`name_of`), so that they go with it."""
    paraphrases: tuple[str, ...] = ()
    """The question in other words."""

    @property
    def draft(self) -> str:
        """The answer as it is laid before somebody who wants to correct it: as much of it as a form takes."""
        return self.answer[:CORRECTION_CHARACTERS].strip()

    @property
    def is_cut(self) -> bool:
        """Whether there is more of the answer than `draft`."""
        return len(self.answer) > CORRECTION_CHARACTERS

    @property
    def lesson(self) -> str:
        """The correction to learn from: as it was edited, else as the rater wrote it; empty without one."""
        return self.edit or self.correction

    def reviewed(
        self,
        review: Review,
        reviewer_id: str,
        *,
        edit: str = "",
        neighbours: tuple[str, ...] = (),
        neighbour_names: tuple[str, ...] = (),
        paraphrases: tuple[str, ...] = (),
    ) -> "Feedback":
        """The same with what a reviewer says of it, in place of what was said before."""
        return replace(
            self,
            review=review,
            reviewer_id=reviewer_id,
            edit="" if edit == self.correction else edit,
            neighbours=neighbours,
            neighbour_names=neighbour_names,
            paraphrases=paraphrases,
        )

    def unreviewed(self) -> "Feedback":
        """The same as if nobody had reviewed it."""
        return self.reviewed("", "")

    def without_reviewer(self) -> "Feedback":
        """The same without its reviewer and their words; where there were some, it is to be reviewed again."""
        has_words = self.edit or self.neighbours or self.paraphrases
        return self.unreviewed() if has_words else replace(self, reviewer_id="")


def name_of(conversation: ConversationId, feedback: Feedback) -> str:
    """Which piece of feedback it is, wherever it is spoken of: team, channel, thread, question, asker, rater."""
    return f"{conversation}/{feedback.ts}/{feedback.asker_id}/{feedback.rater_id}"


def record_id(name: str) -> str:
    """What the piece of feedback `name` is known by outside of Dolly's store: no ids of people can be read off it."""
    return hashlib.sha256(name.encode()).hexdigest()[:RECORD_ID_CHARACTERS]


@dataclass(frozen=True, slots=True)
class KeptFeedback:
    """A piece of feedback as the store has it."""

    conversation: ConversationId
    feedback: Feedback
    version: str
    """Another one after each change, by its rater or by a reviewer."""

    @property
    def name(self) -> str:
        """As `name_of`."""
        return name_of(self.conversation, self.feedback)

    @property
    def waits(self) -> bool:
        """Whether it is a correction that may be learned from, as its channel said then, and nobody reviewed it."""
        return self.feedback.consent and bool(self.feedback.correction) and not self.feedback.review
