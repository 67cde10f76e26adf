"""How often Dolly writes: one budget for all answers under way, because Slack's limits count per workspace."""

import asyncio
import time
from collections.abc import Callable

STREAMS_PER_MINUTE = 20
"""Tier 2 of Slack's rate limits: chat.startStream, and chat.stopStream, which each stream needs once as well."""
UPDATES_PER_MINUTE = 50
"""Tier 3: chat.update."""
APPENDS_PER_MINUTE = 100
"""Tier 4: chat.appendStream."""
POSTS_PER_MINUTE = 60
"""chat.postMessage, in each channel."""
UPDATES_AT_ONCE = 5
POSTS_AT_ONCE = 3

STREAMS_REFUSED_SECONDS = 600.0
"""How long no stream is tried in a workspace that has just refused them."""


class Budget:
    """So many calls a minute, evenly; after a pause `at_once` of them without waiting."""

    def __init__(self, per_minute: float, *, at_once: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_seconds = 60 / per_minute
        self._ahead_seconds = (at_once - 1) * self._interval_seconds
        self._clock = clock
        self._next = 0.0
        self._queue = asyncio.Lock()

    async def turn(self) -> None:
        """Return when the next call may be made. Who asks first goes first; who is cancelled has used nothing."""
        async with self._queue:
            await asyncio.sleep(self._wait_seconds())
            self._spend()

    def take(self) -> bool:
        """Whether a call may be made now; then it counts as made."""
        if self._wait_seconds() > 0:
            return False
        self._spend()
        return True

    def give_back(self) -> None:
        """A call that was taken is not made after all."""
        self._next -= self._interval_seconds

    @property
    def is_unused(self) -> bool:
        """Whether all of it is there, as at the beginning."""
        return self._next <= self._clock()

    def _wait_seconds(self) -> float:
        return max(0.0, self._next - self._ahead_seconds - self._clock())

    def _spend(self) -> None:
        self._next = max(self._next, self._clock()) + self._interval_seconds


class Pacer:
    """Slack's limits on what writes answers, for one workspace. `scale` is how many times Slack's own they are."""

    def __init__(self, *, scale: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._scale = scale
        self._clock = clock
        self._starts = Budget(STREAMS_PER_MINUTE * scale, at_once=round(STREAMS_PER_MINUTE * scale), clock=clock)
        self.appends = Budget(APPENDS_PER_MINUTE * scale, clock=clock)
        self.updates = Budget(UPDATES_PER_MINUTE * scale, at_once=UPDATES_AT_ONCE, clock=clock)
        self._posts: dict[str, Budget] = {}
        self._streams_from = 0.0

    def take_stream(self) -> bool:
        """Whether an answer may be streamed now; then a start counts as made."""
        return self._clock() >= self._streams_from and self._starts.take()

    def give_back_stream(self) -> None:
        """What was to be streamed is not."""
        self._starts.give_back()

    def streams_refused(self) -> None:
        """Slack takes no streams in this workspace: try none for a while."""
        self._streams_from = self._clock() + STREAMS_REFUSED_SECONDS

    async def post_turn(self, channel_id: str) -> None:
        """Return when a message may be posted in the channel."""
        if channel_id not in self._posts:
            self._posts = {channel: budget for channel, budget in self._posts.items() if not budget.is_unused}
            self._posts[channel_id] = Budget(POSTS_PER_MINUTE * self._scale, at_once=POSTS_AT_ONCE, clock=self._clock)
        await self._posts[channel_id].turn()
