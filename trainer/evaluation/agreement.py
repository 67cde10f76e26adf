"""How far two raters agree beyond chance: Cohen's kappa, plain or weighted, with a bootstrap interval.

Plain kappa counts the same category alone. Weighted kappa, for categories in an order such as A to D, takes near misses
for less wrong: by their distance (linear), or its square.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.bootstrap import Interval

Weights = Literal["linear", "quadratic"]


def cohen_kappa(
    first: Sequence[str],
    second: Sequence[str],
    *,
    order: Sequence[str] | None = None,
    weights: Weights | None = None,
) -> float:
    """Of two raters' categories, item by item: 1 = always the same, 0 = as by chance; 0 of none.

    `order` are all categories, which weights need; without it they are sorted. Where both always say one and the same
    category, nothing tells agreement from chance, and kappa is 0.
    """
    return float(
        _kappas(_counts(first, second, order)[None], _costs(len(_categories(first, second, order)), weights))[0]
    )


def interval(
    first: Sequence[str],
    second: Sequence[str],
    *,
    samples: int,
    confidence: float,
    seed: int,
    order: Sequence[str] | None = None,
    weights: Weights | None = None,
) -> Interval | None:
    """Kappa with the bounds of the bootstrap over items (percentiles); None of none.

    To draw items with replacement is to draw how often each pair of categories comes: a multinomial draw.
    """
    number = len(first)
    if not number:
        return None
    counts, size = _counts(first, second, order), len(_categories(first, second, order))
    drawn = np.random.default_rng(seed).multinomial(number, counts.ravel() / number, size=samples)
    found = _kappas(drawn.reshape(samples, size, size).astype(np.float64), _costs(size, weights))
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(cohen_kappa(first, second, order=order, weights=weights), float(low), float(high))


def _categories(first: Sequence[str], second: Sequence[str], order: Sequence[str] | None) -> list[str]:
    return list(order) if order is not None else sorted({*first, *second})


def _counts(first: Sequence[str], second: Sequence[str], order: Sequence[str] | None) -> NDArray[np.float64]:
    """How often the first rater says the row's category and the second the column's."""
    places = {category: place for place, category in enumerate(_categories(first, second, order))}
    counts = np.zeros((len(places), len(places)))
    for one, other in zip(first, second, strict=True):
        counts[places[one], places[other]] += 1
    return counts


def _costs(size: int, weights: Weights | None) -> NDArray[np.float64]:
    """What a disagreement costs."""
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(np.float64)
    if weights is None:
        return (distance > 0).astype(np.float64)
    return distance if weights == "linear" else distance**2


def _kappas(counts: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each table of counts (tables x categories x categories)."""
    total = counts.sum(axis=(1, 2))
    rows, columns = counts.sum(axis=2), counts.sum(axis=1)
    observed = (counts * costs).sum(axis=(1, 2)) * total
    by_chance = np.einsum("ti,tj,ij->t", rows, columns, costs)
    return np.where(by_chance > 0, 1 - observed / np.where(by_chance > 0, by_chance, 1), 0.0)
