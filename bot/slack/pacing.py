"""How often Dolly writes: one budget for all answers under way, because Slack's limits count per workspace."""

import asyncio
import time
from collections.abc import Callable

APPENDS_PER_MINUTE = 100
"""Tier 4 of Slack's rate limits, the tier of chat.appendStream."""


class Cadence:
    """Spreads the appends of all streams evenly over what Slack allows: the more streams, the slower each."""

    def __init__(self, per_minute: float = APPENDS_PER_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_seconds = 60 / per_minute
        self._clock = clock
        self._next = 0.0

    async def turn(self) -> None:
        """Return when the next append may be sent. Who asks first goes first."""
        now = self._clock()
        start = max(now, self._next)
        self._next = start + self._interval_seconds
        await asyncio.sleep(start - now)
