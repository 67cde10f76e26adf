"""What people's ratings say: each model's shares and their differences, and how far raters agree, all with intervals.

A question is the unit: of several raters of one answer the mean is taken first, so that no question counts more for
having been rated more often. Shares have Wilson's score interval, which holds near 0 and 1 too; differences are paired
by question, with a bootstrap interval.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import NormalDist, fmean
from typing import Any

from trainer.evaluation.agreement import interval
from trainer.evaluation.bootstrap import Interval, mean_interval
from trainer.evaluation.rating_sheet import RATINGS, Key, Ratings

SAMPLES, CONFIDENCE, SEED = 10_000, 0.95, 42
"""Of the bootstrap."""
LETTERS = tuple(RATINGS)
SATISFYING, ACCEPTABLE = ("A",), ("A", "B")
"""What counts as good: in the paper's figures A alone, or A and B."""

Values = dict[int, float]
"""Of each question a share of its raters, 0 to 1."""


@dataclass(frozen=True, slots=True)
class ModelRatings:
    """What was said of one model."""

    label: str
    questions: int
    """So many of them have a rating."""
    ratings: Mapping[str, int]
    """How often each letter was given."""
    shares: Mapping[str, Interval]
    """Of A, B, C, D, and A+B."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One model's share above another's, over the questions of which both were rated."""

    label: str
    other: str
    questions: int
    satisfying: Interval
    acceptable: Interval


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two raters over the answers that both rated: None where there are none."""

    first: str
    second: str
    common: int
    same: Interval | None
    """Share of the same letter."""
    kappa: Interval | None
    weighted_kappa: Interval | None
    """Linear weights: B for A is less wrong than D for A."""


@dataclass(frozen=True, slots=True)
class RatingReport:
    """All that was found."""

    items: int
    raters: Mapping[str, int]
    """How many answers each has rated."""
    models: Sequence[ModelRatings]
    differences: Sequence[Difference]
    agreements: Sequence[Agreement]

    def as_json(self) -> dict[str, Any]:
        return {"confidence": CONFIDENCE, **asdict(self)}


def rating_report(key: Key, everybody: Sequence[Ratings]) -> RatingReport:
    """Models in the key's order, each compared with those before it; raters who said something, with each other."""
    given: dict[str, dict[int, list[str]]] = {label: {} for label in key.labels}
    for ratings in everybody:
        for item, letter in ratings.given.items():
            whose = key.items[item]
            given[whose.label].setdefault(whose.question, []).append(letter)
    raters = [ratings for ratings in everybody if ratings.given]
    return RatingReport(
        items=len(key.items),
        raters={ratings.name: len(ratings.given) for ratings in everybody},
        models=[_model(label, given[label]) for label in key.labels],
        differences=[
            found
            for other, label in combinations(key.labels, 2)
            if (found := _difference(label, given[label], other, given[other]))
        ],
        agreements=[_agreement(first, second) for first, second in combinations(raters, 2)],
    )


def wilson(share: float, number: int, confidence: float = CONFIDENCE) -> Interval:
    """The score interval of a share of `number` (E. B. Wilson, 1927)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (share + z * z / (2 * number)) / (1 + z * z / number)
    half = z / (1 + z * z / number) * (share * (1 - share) / number + z * z / (4 * number * number)) ** 0.5
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def _values(given: Mapping[int, Sequence[str]], letters: Sequence[str]) -> Values:
    return {question: fmean(letter in letters for letter in said) for question, said in given.items()}


def _model(label: str, given: Mapping[int, Sequence[str]]) -> ModelRatings:
    counted = Counter(letter for said in given.values() for letter in said)
    kinds = {**{letter: (letter,) for letter in LETTERS}, "A+B": ACCEPTABLE}
    shares = {
        name: wilson(fmean(_values(given, letters).values()), len(given)) for name, letters in kinds.items() if given
    }
    return ModelRatings(label, len(given), {letter: counted[letter] for letter in LETTERS}, shares)


def _difference(
    label: str, given: Mapping[int, Sequence[str]], other: str, others: Mapping[int, Sequence[str]]
) -> Difference | None:
    questions = sorted(given.keys() & others.keys())

    def above(letters: Sequence[str]) -> Interval | None:
        one, two = _values(given, letters), _values(others, letters)
        differences = [one[question] - two[question] for question in questions]
        return mean_interval(differences, samples=SAMPLES, confidence=CONFIDENCE, seed=SEED)

    satisfying, acceptable = above(SATISFYING), above(ACCEPTABLE)
    if satisfying is None or acceptable is None:
        return None
    return Difference(label, other, len(questions), satisfying, acceptable)


def _agreement(first: Ratings, second: Ratings) -> Agreement:
    common = [item for item in first.given if item in second.given]
    one, two = [first.given[item] for item in common], [second.given[item] for item in common]
    same = fmean(a == b for a, b in zip(one, two, strict=True)) if common else 0.0
    return Agreement(
        first=first.name,
        second=second.name,
        common=len(common),
        same=wilson(same, len(common)) if common else None,
        kappa=interval(one, two, samples=SAMPLES, confidence=CONFIDENCE, seed=SEED, order=LETTERS),
        weighted_kappa=interval(
            one, two, samples=SAMPLES, confidence=CONFIDENCE, seed=SEED, order=LETTERS, weights="linear"
        ),
    )
