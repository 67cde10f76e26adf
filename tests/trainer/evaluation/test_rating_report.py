"""What ratings say: SciPy's Wilson interval, shares and differences by question, agreement of two people."""

from pathlib import Path

import pytest
from scipy.stats import binomtest

from trainer.evaluation.rating_report import rating_report, wilson
from trainer.evaluation.rating_sheet import Key, Ratings, Whose

LABELS = ("theirs", "ours")
KEY = Key(LABELS, {f"{label}{question}": Whose(label, question) for question in range(1, 5) for label in LABELS})


def said(name: str, **letters: str) -> Ratings:
    """`ours="ABCD"` rates that model's answers to the questions 1 to 4; a space leaves one out."""
    given = {
        f"{label}{question}": letter
        for label, all_letters in letters.items()
        for question, letter in enumerate(all_letters, 1)
        if letter != " "
    }
    return Ratings(name, Path("ratings.jsonl"), given)


@pytest.mark.parametrize(("successes", "number"), [(0, 7), (3, 7), (7, 7), (128, 252), (1, 1)])
def test_wilson_is_scipys(successes: int, number: int) -> None:
    found = wilson(successes / number, number)
    known = binomtest(successes, number).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-12)


def test_shares_count_each_question_once() -> None:
    twice = said("ben", ours="B   ")
    report = rating_report(KEY, [said("asha", ours="ACD ", theirs="AABB"), twice])
    theirs, ours = report.models
    assert (ours.label, ours.questions, dict(ours.ratings)) == ("ours", 3, {"A": 1, "B": 1, "C": 1, "D": 1})
    assert ours.shares["A"].value == pytest.approx(0.5 / 3)  # one of two said so of the first question
    assert ours.shares["A+B"].value == pytest.approx(1 / 3)
    assert theirs.shares["A+B"].value == 1.0
    assert theirs.shares["A+B"].low == pytest.approx(0.51, abs=0.01)  # four of four is no certainty
    assert report.raters == {"asha": 7, "ben": 1}


def test_differences_are_paired_by_question() -> None:
    report = rating_report(KEY, [said("asha", ours="AAD ", theirs=" ADB")])
    (difference,) = report.differences
    assert (difference.label, difference.other, difference.questions) == ("ours", "theirs", 2)
    assert difference.acceptable.value == 0.0
    assert (difference.acceptable.low, difference.acceptable.high) == (0.0, 0.0)
    assert rating_report(KEY, [said("asha", ours="A   ", theirs=" A  ")]).differences == []


def test_agreement_is_over_what_both_rated() -> None:
    raters = [said("asha", ours="ABCD", theirs="A"), said("ben", ours="ABDD"), said("chen", theirs=" A"), said("dev")]
    first, second, third = rating_report(KEY, raters).agreements
    assert (first.first, first.second, first.common) == ("asha", "ben", 4)
    assert first.same is not None
    assert first.same.value == 0.75
    assert first.kappa is not None
    assert first.weighted_kappa is not None
    assert first.kappa.value == pytest.approx(2 / 3)  # 12 of 16 pairs by chance differ, one of four does
    assert first.weighted_kappa.value == pytest.approx(
        1 - (1 / 4) / ((0 + 1 + 3 + 3 + 1 + 0 + 2 + 2 + 2 + 1 + 1 + 1 + 3 + 2 + 0 + 0) / 16)
    )
    assert first.kappa.low < first.kappa.value <= first.kappa.high
    assert (second.common, second.kappa, third.same) == (0, None, None)
