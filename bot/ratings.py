"""What becomes of a thumb: the answer that it is about is found, and what was thought of it is kept beside it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from bot import metrics
from bot.conversation import ConversationId, Exchange
from bot.feedback import Feedback, Rating
from bot.store.feedback import FeedbackStore
from bot.store.memory import Memory
from bot.store.preferences import PreferenceStore

COMMIT_SECONDS = 0.6
"""An answer stands in Slack a moment before it is remembered."""
LOOK_SECONDS = 0.1


class Ratings:
    """Rates, corrects and withdraws. Every method raises StoreUnavailable.

    An answer is named by its conversation and the `ts` of its question, or of a message that it stands in. None comes
    back of one that is not remembered: nothing can be learnt of it then, and nothing is kept.
    """

    def __init__(
        self,
        memory: Memory,
        store: FeedbackStore,
        preferences: PreferenceStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memory = memory
        self._store = store
        self._preferences = preferences
        self._clock = clock

    async def rate(self, conversation: ConversationId, ts: str, rater_id: str, rating: Rating) -> Feedback | None:
        """Keep it, in place of what the person said of the answer before; the same again changes nothing."""
        exchange = await self._exchange(conversation, ts, seconds=COMMIT_SECONDS)
        if exchange is None:
            return None
        before = await self._store.of(conversation, exchange.ts, rater_id)
        if before is not None and (before.rating, before.answer) == (rating, exchange.answer):
            return before
        rated = Feedback(
            exchange.ts,
            exchange.user_id,
            rater_id,
            rating,
            exchange.question,
            exchange.answer,
            exchange.model,
            exchange.prompt_hash,
            await self._consent(conversation),
            self._clock(),
            answer_ts=exchange.answer_ts,
        )
        return await self._put(conversation, rated, kind=rating)

    async def correct(
        self, conversation: ConversationId, ts: str, rater_id: str, correction: str, comment: str
    ) -> Feedback | None:
        """Keep how the answer should have been, and what else there is to say; nobody has reviewed that. The answer
        itself is no correction.

        None comes back as well where another answer stands there since the person rated it.
        """
        exchange, before = await self._exchange(conversation, ts), await self._store.of(conversation, ts, rater_id)
        if exchange is None or (before is not None and before.answer != exchange.answer):
            return None
        rated = await self.rate(conversation, ts, rater_id, "down")
        if rated is None:
            return None
        consent = rated.consent and await self._consent(conversation)
        correction = "" if correction == rated.draft else correction
        said = rated.unreviewed()
        corrected = replace(said, correction=correction, comment=comment, consent=consent, at=self._clock())
        return await self._put(conversation, corrected, kind="corrected")

    async def of(self, conversation: ConversationId, ts: str, rater_id: str) -> Feedback | None:
        """What the person said of the answer to `ts`."""
        return await self._store.of(conversation, ts, rater_id)

    async def newest(self, rater_id: str, most: int) -> list[tuple[ConversationId, Feedback]]:
        """The answers that a person has rated, the newest first."""
        return await self._store.newest(rater_id, most)

    async def withdraw(self, conversation: ConversationId, ts: str, rater_id: str, only: Rating | None = None) -> bool:
        """Drop what the person said of the answer, where it is this rating; whether there was anything."""
        said = await self._store.of(conversation, ts, rater_id)
        if said is None or only not in (None, said.rating):
            return False
        metrics.feedback.labels("withdrawn").inc()
        return await self._store.withdraw(conversation, said.ts, rater_id)

    async def _put(self, conversation: ConversationId, feedback: Feedback, *, kind: str) -> Feedback | None:
        await self._store.put(conversation, feedback)
        if await self._exchange(conversation, feedback.ts) is None:  # forgotten just now, and this came too late for it
            await self._store.withdraw(conversation, feedback.ts, feedback.rater_id)
            return None
        metrics.feedback.labels(kind).inc()
        return feedback

    async def _exchange(self, conversation: ConversationId, ts: str, seconds: float = 0) -> Exchange | None:
        """The remembered exchange that a message belongs to; looked for that long."""
        ends = asyncio.get_running_loop().time() + seconds
        while True:
            for exchange in await self._memory.read(conversation):
                if ts in (exchange.ts, *exchange.answer_ts):
                    return exchange
            if asyncio.get_running_loop().time() >= ends:
                return None
            await asyncio.sleep(LOOK_SECONDS)

    async def _consent(self, conversation: ConversationId) -> bool:
        """Whether the channel lets its feedback train a model; nobody says so for a direct message."""
        if conversation.channel_id.startswith("D"):
            return False
        return (await self._preferences.of_channel(conversation.channel_id)).training_consent
