"""What an admin reviews: corrections that wait, one after the other, and neighbour questions to go with each.

Only what its channel lets train a model is shown or suggested: nobody agreed to more.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from bot import neighbours
from bot.conversation import Message
from bot.engines import Engines
from bot.errors import EngineError, ModelLoading
from bot.exports import Exports
from bot.feedback import KeptFeedback, Review
from bot.store.feedback import FeedbackStore

log = structlog.get_logger(__name__)

SUGGESTED_NEAREST, SUGGESTED_BY_ENGINE = 4, 3
NEIGHBOURS, PARAPHRASES = 12, 6
"""As many as are kept with one correction."""
NO_CHANNEL = ""
"""The model in service is asked, and none that is tried in a channel."""
ENGINE_SECONDS = 10.0
ENGINE_TOKENS = 160
ENGINE_PROMPT = (
    "Write five other short questions on the same topic as this question, each on its own line:\n\n{question}"
)
"""What an engine is asked in English: the question says itself which language its neighbours have."""
ENGINE_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A correction as a reviewer saw it."""

    name: str
    version: str
    at: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """A correction that waits for its review."""

    kept: KeptFeedback
    further: int
    """How many come after it in this order."""
    neighbours: tuple[str, ...]
    """Questions that others asked on its topic, the nearest first."""

    @property
    def seen(self) -> Seen:
        """What a form has to carry of it."""
        return Seen(self.kept.name, self.kept.version, self.kept.feedback.at)


class Reviewing:
    """Reads and decides. Methods raise StoreUnavailable.

    All that may be learned from is read at once (`everything`): whoever decides about one correction wants the next.
    """

    def __init__(self, exports: Exports, store: FeedbackStore, engines: Engines) -> None:
        self._exports = exports
        self._store = store
        self._engines = engines

    async def everything(self) -> list[KeptFeedback]:
        """What may be learned from: channels agree to it now, and agreed when it was given."""
        return await self._exports.consenting()

    def next(
        self, everything: Sequence[KeptFeedback], after: Seen | None = None, *, oldest_first: bool = False
    ) -> Waiting | None:
        """The first correction that waits, or the first one that comes `after` one; None where there is no more."""
        direction = 1 if oldest_first else -1
        waiting = sorted(
            (each for each in everything if each.waits),
            key=lambda each: (direction * each.feedback.at, each.name),
        )
        if after is not None:
            passed = (direction * after.at, after.name)
            waiting = [each for each in waiting if (direction * each.feedback.at, each.name) > passed]
        if not waiting:
            return None
        first = waiting[0]
        found = neighbours.nearest(
            first.feedback.question, (each.feedback.question for each in everything), SUGGESTED_NEAREST
        )
        return Waiting(first, len(waiting) - 1, tuple(found))

    async def decide(
        self,
        everything: Sequence[KeptFeedback],
        seen: Seen,
        review: Review,
        reviewer_id: str,
        *,
        correction: str = "",
        neighbour_lines: str = "",
        ticked: Sequence[str] = (),
        paraphrase_lines: str = "",
    ) -> bool:
        """Keep what a reviewer says; False where the correction is not any more as they saw it.

        A neighbour that is a rated question, word for word, is kept as a reference to it, and goes when that goes.
        """
        kept = next((each for each in everything if each.name == seen.name), None)
        if kept is None or kept.version != seen.version or not kept.waits:
            return False
        if review == "rejected":
            return await self._store.review(kept, kept.feedback.reviewed("rejected", reviewer_id))
        own = " ".join(kept.feedback.question.split())
        lines = dict.fromkeys([*neighbours.lines(neighbour_lines, NEIGHBOURS), *ticked])
        written = [line for line in lines if line.casefold() != own.casefold()][:NEIGHBOURS]
        names = {" ".join(each.feedback.question.split()): each.name for each in everything}
        reviewed = kept.feedback.reviewed(
            review,
            reviewer_id,
            edit=correction,
            neighbours=tuple(line for line in written if line not in names),
            neighbour_names=tuple(names[line] for line in written if line in names),
            paraphrases=tuple(neighbours.lines(paraphrase_lines, PARAPHRASES)),
        )
        return await self._store.review(kept, reviewed)

    async def suggested(self, question: str, but: Sequence[str], most_characters: int) -> list[str]:
        """Questions that the model in service thinks of on the topic of `question`, none of `but`.

        Empty where it thinks of none in time.
        """
        asked = Message("user", ENGINE_PROMPT.format(question=question[:ENGINE_CHARACTERS]))
        written = ""
        try:
            async with (
                asyncio.timeout(ENGINE_SECONDS),
                self._engines.of(NO_CHANNEL) as engine,
                aclosing(engine.stream([asked], max_tokens=ENGINE_TOKENS)) as deltas,
            ):
                async for delta in deltas:
                    written += delta
        except (EngineError, ModelLoading, TimeoutError) as error:
            log.info("no_neighbours_suggested", reason=type(error).__name__)
        found = neighbours.listed(written, question, SUGGESTED_BY_ENGINE + len(but), most_characters)
        return [each for each in found if each not in but][:SUGGESTED_BY_ENGINE]
