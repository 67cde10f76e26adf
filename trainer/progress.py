"""What the terminal shows while something long runs: how far, how fast, and how long still."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

RECENT_SECONDS = 30.0
"""Speeds are of this last while: the first steps compile and fill caches."""


@dataclass(frozen=True, slots=True)
class Moment:
    """How far something long is, as far as known."""

    done: int = 0
    total: int = 0
    """0: nobody knows."""
    loss: float | None = None
    seconds_left: float | None = None


class Follower(Protocol):
    """Whoever follows something long from elsewhere, and may have it stopped."""

    def told(self, moment: Moment) -> None:
        """How far it is; often, so it takes no time."""
        ...

    def stops(self) -> bool:
        """Whether it is to end where it can be gone on with."""
        ...


class NoFollower:
    """Nobody follows but the terminal."""

    def told(self, moment: Moment) -> None:
        """Is not heard."""

    def stops(self) -> bool:
        """Never."""
        return False


class Progress:
    """A bar of `total` steps with tokens/s and, where they are known, MFU and loss. A context manager."""

    def __init__(
        self,
        what: str,
        total: int,
        *,
        done: int = 0,
        flops_per_second: float | None = None,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        follower: Follower | None = None,
    ) -> None:
        """`done` steps are behind a resumed run; `flops_per_second` is the machine's measured peak, for MFU."""
        self._follower = follower or NoFollower()
        self._clock = clock
        self._flops_per_second = flops_per_second
        self._recent = deque([(clock(), 0, 0.0)])
        self._tokens, self._flops = 0, 0.0
        self._loss: float | None = None
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self._task = self._bar.add_task(what, total=total, completed=done, speed="")

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, steps: int = 1, *, tokens: int = 0, flops: float = 0.0, loss: float | None = None) -> None:
        """`steps` more are done; `tokens` (useful ones) and `flops` (done ones) went into them."""
        self._tokens += tokens
        self._flops += flops
        self._loss = self._loss if loss is None else loss
        self._recent.append((self._clock(), self._tokens, self._flops))
        while len(self._recent) > 2 and self._recent[0][0] < self._recent[-1][0] - RECENT_SECONDS:
            self._recent.popleft()
        self._bar.update(self._task, advance=steps, speed=self.speed)
        task = self._bar.tasks[0]
        self._follower.told(Moment(int(task.completed), int(task.total or 0), self._loss, task.time_remaining))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line, highlight=False, markup=False)

    @property
    def tokens_per_second(self) -> float | None:
        """Of the last while; None before there was any."""
        (begun, before, _), (now, tokens, _) = self._recent[0], self._recent[-1]
        return (tokens - before) / (now - begun) if now > begun and tokens > before else None

    @property
    def mfu(self) -> float | None:
        """Share of the machine's peak that the last while used; None where the peak or the FLOPs are not known."""
        (begun, _, before), (now, _, flops) = self._recent[0], self._recent[-1]
        if self._flops_per_second is None or now <= begun or flops <= before:
            return None
        return (flops - before) / (now - begun) / self._flops_per_second

    @property
    def speed(self) -> str:
        """`1,234 tokens/s · MFU 45 % · loss 1.234`, as far as known."""
        known = [
            f"{self.tokens_per_second:,.0f} tokens/s" if self.tokens_per_second is not None else "",
            f"MFU {self.mfu:.0%}".replace("%", " %") if self.mfu is not None else "",
            f"loss {self._loss:.3f}" if self._loss is not None else "",
        ]
        return " · ".join(part for part in known if part)
