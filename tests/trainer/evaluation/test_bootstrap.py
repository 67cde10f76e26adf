"""The paired bootstrap against what is known in closed form, and against SciPy's where that is installed."""

import math

import numpy as np
import pytest

from trainer.evaluation.bootstrap import mean_interval, ratio_interval

CHOICE = {"samples": 10_000, "confidence": 0.95, "seed": 42}


def test_the_mean_of_many_has_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(0.3, 2.0, 400)
    found = mean_interval(values.tolist(), **CHOICE)  # type: ignore[arg-type]
    assert found is not None
    error = values.std() / math.sqrt(len(values))
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.06 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.06 * error)


def test_it_covers_the_truth_as_often_as_it_says() -> None:
    draw, covered = np.random.default_rng(2), 0
    for _ in range(300):
        found = mean_interval(draw.exponential(1.0, 60).tolist(), samples=1000, confidence=0.9, seed=7)
        assert found is not None
        covered += found.low <= 1.0 <= found.high
    assert 0.83 <= covered / 300 <= 0.94  # the percentile method is a little narrow on skewed values


def test_a_ratio_is_of_sums() -> None:
    parts, wholes = [1.0, 30.0, 2.0, 5.0] * 50, [1.0, 60.0, 1.0, 10.0] * 50
    found = ratio_interval(parts, wholes, **CHOICE)  # type: ignore[arg-type]
    assert found is not None
    assert found.value == pytest.approx(38 / 72)
    residuals = np.array(parts) - found.value * np.array(wholes)
    error = residuals.std() / np.mean(wholes) / math.sqrt(len(parts))
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.06)


def test_equal_values_leave_no_doubt() -> None:
    found = mean_interval([0.25] * 20, **CHOICE)  # type: ignore[arg-type]
    assert found is not None
    assert found.low == found.value == found.high == 0.25
    assert mean_interval([], **CHOICE) is None  # type: ignore[arg-type]


def test_the_seed_decides() -> None:
    values = np.random.default_rng(3).normal(size=50).tolist()
    assert mean_interval(values, **CHOICE) == mean_interval(values, **CHOICE)  # type: ignore[arg-type]
    assert mean_interval(values, **CHOICE) != mean_interval(values, **(CHOICE | {"seed": 1}))  # type: ignore[arg-type]


def test_scipy_says_the_same() -> None:
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    values = np.random.default_rng(4).gamma(2.0, 1.0, 80)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", random_state=5
    ).confidence_interval
    found = mean_interval(values.tolist(), **CHOICE)  # type: ignore[arg-type]
    assert found is not None
    assert found.low == pytest.approx(theirs.low, abs=0.01)
    assert found.high == pytest.approx(theirs.high, abs=0.01)


def test_scipy_says_the_same_of_a_ratio_drawn_in_pairs() -> None:
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    draw = np.random.default_rng(6)
    wholes = draw.integers(20, 400, 120).astype(float)
    parts = wholes * draw.normal(1.2, 0.3, 120)
    theirs = stats.bootstrap(
        (parts, wholes),
        lambda one, other, axis: one.sum(axis=axis) / other.sum(axis=axis),
        paired=True,
        n_resamples=10_000,
        confidence_level=0.9,
        method="percentile",
        random_state=7,
    ).confidence_interval
    found = ratio_interval(parts.tolist(), wholes.tolist(), samples=10_000, confidence=0.9, seed=8)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.1 * (theirs.high - theirs.low))


def test_of_few_values_it_is_what_all_draws_say() -> None:
    """Of k ones in n values, a drawn mean is binomial: its quantiles are known to the last draw."""
    number, ones = 40, 10
    shares = [
        math.comb(number, hits) * (ones / number) ** hits * (1 - ones / number) ** (number - hits)
        for hits in range(number + 1)
    ]
    below = np.cumsum(shares)
    low, high = (int(np.searchsorted(below, quantile)) / number for quantile in (0.025, 0.975))
    found = mean_interval([1.0] * ones + [0.0] * (number - ones), samples=100_000, confidence=0.95, seed=1)
    assert found is not None
    assert (found.value, found.low, found.high) == (0.25, low, high)
