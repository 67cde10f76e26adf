"""Numbers out of runs: percentiles, medians over repeats with their spread, the lines and the table that tell them."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` (0 to 1) of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


@dataclass(frozen=True)
class Spread:
    """A figure over the repeats of a run."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        found = sorted(values)
        return cls(statistics.median(found), found[0], found[-1])

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.lowest:.3g} to {self.highest:.3g})"


def report(name: str, figure: Spread, unit: str, *, goal: float | None = None) -> None:
    """The figure's line; a goal is the most that it may be."""
    verdict = "" if goal is None else f" goal {goal:g} {'ok' if figure.median <= goal else 'short'}"
    print(f"{name}: {figure} {unit} over the repeats", flush=True)
    print(f"figure: {name} {figure.median:.3g} {unit}{verdict}", flush=True)
