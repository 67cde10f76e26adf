"""Cohen's kappa as in Cohen's own example and scikit-learn; its interval as in closed form."""

import math

import numpy as np
import pytest

from trainer.evaluation.agreement import Weights, cohen_kappa, interval

CHOICE = {"samples": 4_000, "confidence": 0.95, "seed": 42}


def raters(number: int, seed: int, likeness: float = 0.6) -> tuple[list[str], list[str]]:
    """Two raters' grades, which are the same more often than by chance."""
    draw = np.random.default_rng(seed)
    first = draw.choice(list("ABCD"), number, p=[0.4, 0.3, 0.2, 0.1])
    second = np.where(draw.random(number) < likeness, first, draw.choice(list("ABCD"), number))
    return first.tolist(), second.tolist()


def test_by_hand() -> None:
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert cohen_kappa(first, first) == 1.0
    assert cohen_kappa(["a", "b"], ["b", "a"]) == -1.0
    assert cohen_kappa([], []) == 0.0
    assert cohen_kappa(["a"] * 3, ["a"] * 3) == 0.0  # nothing tells it from chance
    with pytest.raises(ValueError, match="zip"):
        cohen_kappa(["a"], [])


def test_a_near_miss_is_less_wrong() -> None:
    first, near, far = list("ABCD" * 5), list("BACD" * 5), list("DBCA" * 5)
    assert cohen_kappa(first, near) == cohen_kappa(first, far)
    for weights in ("linear", "quadratic"):
        assert cohen_kappa(first, near, weights=weights) > cohen_kappa(first, far, weights=weights)
    turned = cohen_kappa(["good", "bad"], ["fine", "bad"], order=["good", "fine", "bad"], weights="linear")
    assert turned == pytest.approx(1 - (1 / 2) / ((1 + 2 + 1 + 0) / 4))


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_says_the_same(weights: Weights | None, seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    first, second = raters(60, seed)
    theirs = metrics.cohen_kappa_score(first, second, labels=list("ABCD"), weights=weights)
    assert cohen_kappa(first, second, order="ABCD", weights=weights) == pytest.approx(theirs, abs=1e-12)


def test_the_interval_is_that_of_large_samples() -> None:
    first, second = raters(800, 1)
    found = interval(first, second, **CHOICE)  # type: ignore[arg-type]
    assert found is not None
    assert found.value == cohen_kappa(first, second)
    same = np.mean([one == other for one, other in zip(first, second, strict=True)])
    chance = sum((first.count(grade) / 800) * (second.count(grade) / 800) for grade in "ABCD")
    error = math.sqrt(same * (1 - same) / 800) / (1 - chance)  # Cohen's own, of 1960, a little narrow
    assert found.value - found.low == pytest.approx(1.96 * error, rel=0.15)
    assert found.high - found.value == pytest.approx(1.96 * error, rel=0.15)


def test_scipy_says_the_same_of_the_interval() -> None:
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    first, second = raters(120, 2)
    theirs = stats.bootstrap(
        (np.array(first), np.array(second)),
        lambda one, other: cohen_kappa(one.tolist(), other.tolist(), order="ABCD", weights="linear"),
        paired=True,
        vectorized=False,
        n_resamples=2_000,
        method="percentile",
        random_state=3,
    ).confidence_interval
    found = interval(first, second, order="ABCD", weights="linear", **CHOICE)  # type: ignore[arg-type]
    assert found is not None
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_the_seed_decides_and_of_none_there_is_none() -> None:
    first, second = raters(50, 4)
    assert interval(first, second, **CHOICE) == interval(first, second, **CHOICE)  # type: ignore[arg-type]
    assert interval([], [], **CHOICE) is None  # type: ignore[arg-type]
