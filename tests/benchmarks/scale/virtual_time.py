"""An event loop in which nobody waits: where all tasks sleep, the clock goes on to when the first one wakes.

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(a_working_day())          # takes what is computed in it, and no more

What asks `loop.time()`, sleeps or has a deadline on the loop lives in that time; `time.monotonic()` does not.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class VirtualTime(asyncio.SelectorEventLoop):
    """Begins at 0. Raises RuntimeError where everybody waits for somebody who never comes."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Skipping(self._skip))

    def time(self) -> float:
        return self._now

    def _skip(self, seconds: float | None) -> None:
        if seconds is None:
            raise RuntimeError("All tasks wait, and nothing will wake them.")
        self._now += seconds


class _Skipping(selectors.SelectSelector):
    """Has the clock put on by what others would wait."""

    def __init__(self, skip: Callable[[float | None], None]) -> None:
        super().__init__()
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if not found and timeout != 0:
            self._skip(timeout)
        return found
