"""How sure a difference is: the paired bootstrap, which asks what other questions would have said.

Questions are drawn again with replacement, thousands of times, both models' values together; the middle share of what
comes out is the interval (Efron's percentile method).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BATCH_DRAWS = 2**22
"""Of one piece of work: 32 MB of indices."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value as measured, with the bounds between which it lies with the chosen confidence."""

    value: float
    low: float
    high: float


def mean_interval(differences: Sequence[float], *, samples: int, confidence: float, seed: int) -> Interval | None:
    """Of the mean of paired differences; None of none."""
    return ratio_interval(differences, [1.0] * len(differences), samples=samples, confidence=confidence, seed=seed)


def ratio_interval(
    parts: Sequence[float], wholes: Sequence[float], *, samples: int, confidence: float, seed: int
) -> Interval | None:
    """Of the sum of `parts` over the sum of `wholes`, drawn in pairs; None of none."""
    number = len(parts)
    if not number:
        return None
    pairs = np.array([parts, wholes], dtype=np.float64)
    draw, found = np.random.default_rng(seed), []
    step = max(1, BATCH_DRAWS // number)
    for start in range(0, samples, step):
        chosen = draw.integers(number, size=(min(step, samples - start), number))
        sums = pairs[:, chosen].sum(axis=2)
        found.append(sums[0] / sums[1])
    low, high = np.quantile(np.concatenate(found), [(1 - confidence) / 2, (1 + confidence) / 2])
    total = pairs.sum(axis=1)
    return Interval(float(total[0] / total[1]), float(low), float(high))
