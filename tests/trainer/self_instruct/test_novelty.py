"""The novelty filter decides as rouge_score does, whatever the texts."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.evaluation.rouge import rouge
from trainer.self_instruct.novelty import NoveltyFilter


def as_rouge_score(texts: list[str], threshold: float = 0.7) -> list[bool]:
    """Which texts are kept, comparing each with all that were kept before."""
    kept: list[str] = []
    decisions = []
    for text in texts:
        novel = all(rouge(other, text, "rougeL", stemmer=False)[2] <= threshold for other in kept)
        decisions.append(novel)
        if novel:
            kept.append(text)
    return decisions


def admitted(texts: list[str], threshold: float = 0.7) -> list[bool]:
    novelty = NoveltyFilter(threshold)
    return [novelty.admit(text) is None for text in texts]


WORDS = st.sampled_from(["a", "b", "c", "d", "e", "B,", "c-d", "नमस्ते", "é", "7"])


@settings(max_examples=300)
@given(st.lists(st.lists(WORDS, max_size=14).map(" ".join), max_size=14), st.sampled_from([2 / 3, 0.7, 0.75, 0.9]))
def test_few_words_in_every_order(texts: list[str], threshold: float) -> None:
    assert admitted(texts, threshold) == as_rouge_score(texts, threshold)


def test_variations_of_long_texts() -> None:
    """Half of them lie on either side of the threshold; twice as many texts, and rarities are counted anew."""
    chance = random.Random(7)
    words = [f"w{number}" for number in range(40)]
    texts = [" ".join(chance.choices(words, k=chance.randint(8, 30))) for _ in range(12)]
    for _ in range(120):
        varied = chance.choice(texts).split()
        for _ in range(chance.randint(1, max(1, len(varied) // 2))):
            varied[chance.randrange(len(varied))] = chance.choice(words)
        texts.append(" ".join(varied))
    expected = as_rouge_score(texts)
    assert 20 < sum(expected) < 110
    assert admitted(texts) == expected


def test_exactly_at_the_threshold_rouge_scores_rounding_decides() -> None:
    """7 of 10 words in common are 0.7, and 14 of 20: floats of one are above, of the other perhaps not."""
    for words in (10, 20, 30, 40, 50, 60, 70, 80, 90, 100):
        first = " ".join(f"s{number}" for number in range(words))
        other = " ".join(f"s{number}" if number < words * 0.7 else f"t{number}" for number in range(words))
        assert admitted([first, other]) == as_rouge_score([first, other])


def test_alpacas_instructions(shared_data: Path) -> None:
    records = json.loads((shared_data / "alpaca" / "alpaca_data.json").read_text(encoding="utf-8"))
    chosen = random.Random(11).sample([record["instruction"] for record in records], 100)
    similar = ["Rewrite the given sentence.", "Rewrite the given sentence", "rewrite a given sentence again"]
    texts = [*chosen, *similar, *(text + " please" for text in chosen[:40])]
    expected = as_rouge_score(texts)
    assert 20 < expected.count(False) < 60
    assert admitted(texts) == expected


def test_what_it_is_like_is_told_and_nothing_added() -> None:
    novelty = NoveltyFilter()
    novelty.add("Write a poem about the sea.")
    novelty.add("Write a poem about the sea!")
    similar = novelty.nearest("Write a long poem about the sea")
    assert similar is not None
    assert similar.text == "Write a poem about the sea."
    assert similar.rouge_l == pytest.approx(12 / 13)
    assert novelty.nearest("Sum up this text") is None
    assert len(novelty) == 2


def test_a_text_without_words_is_like_no_other() -> None:
    assert admitted(["", "नमस्ते दुनिया", "नमस्ते दुनिया", "?!"]) == [True, True, True, True]


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_a_threshold_that_pairs_of_words_cannot_hold(threshold: float) -> None:
    with pytest.raises(ValueError, match="between 2/3 and 1"):
        NoveltyFilter(threshold)
