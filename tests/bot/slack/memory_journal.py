"""A journal in memory, with what several workers of one job see of it: fences, records, and where each died."""

import asyncio
from dataclasses import replace
from typing import Literal

from bot.conversation import Posting, Shape, Shown
from bot.errors import LeaseLost

Point = Literal["intended", "made", "recorded", "disowned"]
"""After the intent was written down; after Slack made a message, before it was recorded; after it was; after one was
disowned, before it is taken back."""


class Job:
    """What outlives a worker."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.shape: Shape | None = None
        self.uses = 0
        self.posts: list[str] = []
        self.recorded: set[str] = set()
        """Own messages of the whole conversation that some job has written down."""
        self.disowned: set[str] = set()
        """Those that are being taken back."""
        self.written: list[str] = []
        """All that was written down, in order."""
        self.fence = 0

    def claim(self) -> "MemoryJournal":
        """The journal of a new worker; those before lose their lease."""
        self.fence += 1
        return MemoryJournal(self, self.fence)


class MemoryJournal:
    """One worker's journal. `stops_at` names where the worker stands still for ever, the `stops_after`-th time."""

    age_seconds = 0.25

    def __init__(self, job: Job, fence: int) -> None:
        self._job = job
        self._fence = fence
        self.posting = Posting(job.shape, tuple(job.posts), job.uses)
        self.shown: dict[str, Shown] = {}
        self.stops_at: Point | None = None
        self.stopped = asyncio.Event()
        self.goes_on = asyncio.Event()

    @property
    def job_id(self) -> str:
        return self._job.job_id

    async def intend(self, shape: Shape) -> None:
        self._check()
        self._job.shape = shape
        self._job.written.append(shape)
        self.posting = replace(self.posting, shape=shape)
        await self._pass("intended")

    async def not_made(self) -> None:
        self._check()
        self._job.shape = None
        self._job.written.append("not made")
        self.posting = replace(self.posting, shape=None)

    async def used(self, uses: int) -> None:
        self._check()
        self._job.uses = uses
        self.posting = replace(self.posting, uses=uses)

    async def posted(self, ts: str) -> bool:
        await self._pass("made")
        self._check()
        if ts in self._job.disowned:
            return False
        if ts not in self.posting.ts:
            self._job.posts.append(ts)
            self._job.recorded.add(ts)
            self._job.written.append(ts)
            self.posting = replace(self.posting, ts=(*self.posting.ts, ts))
        await self._pass("recorded")
        return True

    async def disown(self, ts: str) -> bool:
        if ts in self._job.recorded:
            return False
        self._job.disowned.add(ts)
        await self._pass("disowned")
        return True

    async def taken_back(self, ts: str) -> None:
        self._check()
        self._job.recorded.discard(ts)
        self._job.disowned.add(ts)
        await self._pass("disowned")
        self.posting = replace(self.posting, ts=tuple(other for other in self.posting.ts if other != ts))
        self.shown.pop(ts, None)

    async def disowned(self) -> frozenset[str]:
        return frozenset(self._job.disowned)

    async def recorded(self) -> frozenset[str]:
        return frozenset(self._job.recorded)

    def _check(self) -> None:
        if self._fence != self._job.fence:
            raise LeaseLost(f"{self.job_id} was taken over")

    async def _pass(self, point: Point) -> None:
        if point == self.stops_at:
            self.goes_on.clear()
            self.stopped.set()
            await self.goes_on.wait()
