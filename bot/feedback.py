"""What people think of an answer: frozen values."""

from dataclasses import dataclass
from typing import Literal

Rating = Literal["up", "down"]

CORRECTION_CHARACTERS = 3_000
"""How long a correction may be: what one box of a form in Slack holds."""
COMMENT_CHARACTERS = 1_000


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
    """The answer as it should have been."""
    comment: str = ""
    answer_ts: tuple[str, ...] = ()
    """Slack's `ts` of the messages that hold the answer."""

    @property
    def draft(self) -> str:
        """The answer as it is laid before somebody who wants to correct it: as much of it as a form takes."""
        return self.answer[:CORRECTION_CHARACTERS].strip()

    @property
    def is_cut(self) -> bool:
        """Whether there is more of the answer than `draft`."""
        return len(self.answer) > CORRECTION_CHARACTERS
