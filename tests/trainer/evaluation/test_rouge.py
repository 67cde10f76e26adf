"""ROUGE gives the values that ROUGE-1.5.5 recorded."""

from pathlib import Path

import pytest

from trainer.evaluation.rouge import best_rouge_l, matches_exactly, rouge, rouge_l

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"

needs_rouge_pairs = pytest.mark.skipif(not (DATA / "rouge").exists(), reason=f"no ROUGE text pairs in {DATA}/rouge")


@pytest.mark.parametrize(
    ("answer", "measure", "recall", "precision", "f"),
    [
        ("testing", "rouge1", 1 / 3, 1, 1 / 2),
        ("testing one", "rouge2", 1 / 2, 1, 2 / 3),
        ("testing one", "rougeL", 2 / 3, 1, 4 / 5),
        ("testing two", "rougeL", 2 / 3, 1, 4 / 5),
        ("", "rouge1", 0, 0, 0),
        ("", "rouge2", 0, 0, 0),
        ("", "rougeL", 0, 0, 0),
        ("", "rougeLsum", 0, 0, 0),
    ],
)
def test_small_cases(answer: str, measure: str, recall: float, precision: float, f: float) -> None:
    for stemmer in (False, True):
        assert rouge("testing one two", answer, measure, stemmer=stemmer) == pytest.approx((recall, precision, f))


def test_rouge_l_stems_and_ignores_case() -> None:
    assert rouge_l("He walked two dogs", "he walks two dog") == 1.0


def test_of_several_references_the_likest_counts() -> None:
    references = ["nothing of the kind", "testing one two", "one"]
    assert best_rouge_l(references, "testing one") == pytest.approx(4 / 5)
    assert best_rouge_l(references, "one") == 1.0


@pytest.mark.parametrize(
    ("answer", "is_same"),
    [
        ("yes", True),
        ("  Yes!\n", True),
        ("not  so-fast", True),  # as "Not sofast.": punctuation goes without leaving a space
        ("not so fast", False),
        ("The yes", False),  # articles stay, other than in SQuAD's
        ("yes „", False),  # ASCII's punctuation alone
        ("", False),
    ],
)
def test_an_exact_match_is_the_public_scorers(answer: str, is_same: bool) -> None:
    assert matches_exactly(["YES.", "Not sofast."], answer) is is_same


@needs_rouge_pairs
@pytest.mark.parametrize(
    ("line", "measures", "stemmers", "expected"),
    [
        (0, ("rouge1", "rougeL"), (False, True), (0.40741, 0.68750, 0.51163)),
        (0, ("rouge2",), (False, True), (0.30769, 0.53333, 0.39024)),
        (1, ("rouge1", "rougeL"), (False,), (0.40476, 0.65385, 0.50000)),
        (1, ("rouge1", "rougeL"), (True,), (0.42857, 0.69231, 0.52941)),
        (1, ("rouge2",), (False, True), (0.29268, 0.48000, 0.36364)),
    ],
)
def test_recorded_pairs(
    line: int, measures: tuple[str, ...], stemmers: tuple[bool, ...], expected: tuple[float, float, float]
) -> None:
    reference, answer = (lines(name)[line] for name in ("target.txt", "prediction.txt"))
    for measure in measures:
        for stemmer in stemmers:
            assert rouge(reference, answer, measure, stemmer=stemmer) == pytest.approx(expected, abs=5e-6)


@needs_rouge_pairs
@pytest.mark.parametrize(
    ("measure", "stemmer", "plain", "recorded"),
    [
        ("rouge1", False, (0.31949, 0.49875, 0.38553), (0.31950, 0.49879, 0.38554)),
        ("rouge1", True, (0.33567, 0.52428, 0.40512), (0.33580, 0.52434, 0.40524)),
        ("rougeL", True, (0.33365, 0.52101, 0.40265), (0.33377, 0.52104, 0.40275)),
        ("rougeL", False, (0.31760, 0.49572, 0.38323), None),
    ],
)
def test_means_of_a_thousand_pairs(
    measure: str, stemmer: bool, plain: tuple[float, ...], recorded: tuple[float, ...] | None
) -> None:
    pairs = zip(lines("target_large.txt"), lines("prediction_large.txt"), strict=True)
    scores = [rouge(reference, answer, measure, stemmer=stemmer) for reference, answer in pairs]
    assert len(scores) == 1000
    means = [sum(column) / 1000 for column in zip(*scores, strict=True)]
    assert means == pytest.approx(plain, abs=6e-6)
    if recorded is not None:  # the middle of ROUGE-1.5.5's bootstrap interval
        assert means == pytest.approx(recorded, abs=0.002)


@needs_rouge_pairs
@pytest.mark.slow_trainer  # a million pairs of sentences
@pytest.mark.timeout(900)
def test_a_whole_text_sentence_by_sentence() -> None:
    reference, answer = ((DATA / "rouge" / name).read_text() for name in ("target_large.txt", "prediction_large.txt"))
    assert rouge(reference, answer, "rougeLsum", stemmer=False)[2] == pytest.approx(0.53335, abs=5e-6)


def lines(name: str) -> list[str]:
    return (DATA / "rouge" / name).read_text(encoding="utf-8").splitlines()
