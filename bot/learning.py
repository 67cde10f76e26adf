"""What admins ask of whatever trains Dolly's own models: one interface, and what answers where there is no trainer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Told:
    """What an admin is told: the key of a sentence, and what is filled in there."""

    words_key: str
    values: Mapping[str, object] = field(default_factory=dict)


class LearningLoop(Protocol):
    """From what people think of answers to another model. Who may ask for this has been seen to; `admin_id` is theirs.

    Each answers within a second: what takes longer is begun, and told of otherwise. Methods may raise DollyError.
    """

    async def review(self, admin_id: str) -> Told:
        """The feedback that somebody has to look at before a model may learn of it."""

    async def retrain(self, admin_id: str) -> Told:
        """Begin to train a candidate."""

    async def models(self, admin_id: str) -> Told:
        """The revisions that there are; which one answers, and which one is a candidate."""

    async def promote(self, admin_id: str, revision: str) -> Told:
        """Have `revision` answer from now on."""

    async def rollback(self, admin_id: str) -> Told:
        """Have the revision before the one that answers answer again."""


class NoTrainer:
    """A Dolly whose model nobody trains: it says so, and what it would take."""

    async def review(self, admin_id: str) -> Told:
        """There is nothing to review."""
        return _NO_TRAINER

    async def retrain(self, admin_id: str) -> Told:
        """There is nobody to do it."""
        return _NO_TRAINER

    async def models(self, admin_id: str) -> Told:
        """There is the engine's own."""
        return _NO_TRAINER

    async def promote(self, admin_id: str, revision: str) -> Told:
        """There is nothing to promote."""
        return _NO_TRAINER

    async def rollback(self, admin_id: str) -> Told:
        """There is nothing to go back to."""
        return _NO_TRAINER


_NO_TRAINER = Told("learning_no_trainer")
