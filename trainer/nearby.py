"""Questions on the topic of another one, told by the words that they share, rare ones first."""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable

LEAST_SHARED, SAME_SHARED = 0.2, 0.8
"""Shares of words in common: with less it is another topic, with more the same question."""
STEM_CHARACTERS = 5
"""Of a word, so much is compared: endings differ."""
QUESTION_CHARACTERS = 300
"""A longer text is no question for a list."""


def nearest(question: str, others: Iterable[str], most: int) -> list[str]:
    """Those of `others` on the topic of `question` that do not ask the same, the nearest first."""
    mine = _stems(question)
    pool = {other: _stems(other) for other in others if 0 < len(other) <= QUESTION_CHARACTERS}
    found_in = Counter(stem for stems in pool.values() for stem in stems)
    weight = {stem: math.log(1 + len(pool) / (found_in[stem] + 0.5)) for stem in {*found_in, *mine}}

    def weigh(stems: Iterable[str]) -> float:
        return sum(weight[stem] for stem in stems)

    near = {
        other: weigh(mine & stems) / math.sqrt(weigh(mine) * weigh(stems))
        for other, stems in pool.items()
        if mine & stems
    }
    chosen: list[str] = []
    for other in sorted(near, key=lambda other: (-near[other], other)):
        is_new = all(_alike(other, before) < SAME_SHARED for before in (question, *chosen))
        if near[other] >= LEAST_SHARED and is_new and len(chosen) < most:
            chosen.append(other)
    return chosen


def _alike(one: str, other: str) -> float:
    mine, theirs = _stems(one), _stems(other)
    return len(mine & theirs) / max(1, len(mine | theirs))


def _stems(text: str) -> frozenset[str]:
    """The beginnings of its words, in any script: `\\w` lacks the marks of many."""
    signs = unicodedata.normalize("NFKC", text).lower()
    kept = "".join(sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in signs)
    return frozenset(word[:STEM_CHARACTERS] for word in kept.split())
