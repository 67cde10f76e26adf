"""What is written down of an answer while it goes out: a claim's notes in the mailbox."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from bot.conversation import Posting, Shape, Shown
from bot.errors import LeaseLost, StoreUnavailable
from bot.store.claims import Claim
from bot.store.mailbox import DISOWNED, Mailbox

RETRY_SECONDS = 0.1
Written = TypeVar("Written")


class JobJournal:
    """The journal of one claimed turn (bot.responder.Journal)."""

    def __init__(self, mailbox: Mailbox, claim: Claim) -> None:
        self._mailbox = mailbox
        self._claim = claim
        self._claimed_at = asyncio.get_running_loop().time()
        self.posting: Posting = claim.posting
        self.shown: dict[str, Shown] = {}
        """By ts, what messages of the answer show as a whole."""
        self.verdict = claim.verdict
        """With what the turn is to end instead of an answer."""

    @property
    def job_id(self) -> str:
        return self._claim.job_id

    @property
    def age_seconds(self) -> float:
        """Since the question was stored."""
        return self._claim.age_seconds + asyncio.get_running_loop().time() - self._claimed_at

    async def intend(self, shape: Shape) -> None:
        """Before the first call: this is how the answer will be brought."""
        await self._written(lambda: self._mailbox.note_shape(self._claim, shape))
        self.posting = replace(self.posting, shape=shape)

    async def not_made(self) -> None:
        """What was intended was certainly not made."""
        await self._written(lambda: self._mailbox.note_shape(self._claim, None))
        self.posting = replace(self.posting, shape=None)

    async def used(self, uses: int) -> None:
        """So many posts at the turn's response_url may have been made."""
        await self._written(lambda: self._mailbox.note_uses(self._claim, uses))
        self.posting = replace(self.posting, uses=uses)

    async def posted(self, ts: str) -> bool:
        """A message of the answer stands at `ts`; False where somebody else is taking it back."""
        if ts not in self.posting.ts:
            if not await self._written(lambda: self._mailbox.note_post(self._claim, ts)):
                return False
            self.posting = replace(self.posting, ts=(*self.posting.ts, ts))
        return True

    async def disown(self, ts: str) -> bool:
        """The message at `ts` is going to be taken back; False where a worker goes on with it."""
        return await self._mailbox.disown(self._claim.turn.conversation, ts)

    async def taken_back(self, ts: str) -> None:
        """The message at `ts` is part of the answer no more, and about to be deleted."""
        await self._written(lambda: self._mailbox.note_taken_back(self._claim, ts))
        self.posting = replace(self.posting, ts=tuple(other for other in self.posting.ts if other != ts))
        self.shown.pop(ts, None)

    async def disowned(self) -> frozenset[str]:
        """The ts of all messages of Dolly's own in this conversation that are being taken back, or were."""
        posted = await self._mailbox.posted(self._claim.turn.conversation)
        return frozenset(ts for ts, job_id in posted.items() if job_id == DISOWNED)

    async def recorded(self) -> frozenset[str]:
        """The ts of all messages of Dolly's own in this conversation that some job has written down."""
        return await self._mailbox.recorded(self._claim.turn.conversation)

    async def _written(self, write: Callable[[], Awaitable[Written]]) -> Written:
        """Write, even where the store is away for a while; raise LeaseLost where it is for longer than the lease."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._mailbox.lease_seconds
        while True:
            try:
                return await write()
            except StoreUnavailable:
                if loop.time() >= ends:
                    raise LeaseLost(f"{self.job_id}: the store was away for longer than the lease") from None
                await asyncio.sleep(RETRY_SECONDS)
