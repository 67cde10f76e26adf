"""Neighbour questions of a correction: on the same topic, with another answer. Pure.

What a model learns from a correction spreads to questions that sound alike, so some of those are trained with the
answers that the model gives already. Which ones are alike is told by the words that they share, rare ones first.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

SAME = 0.7
"""Two questions that share so much of their longer words ask the same."""
LEAST = 0.15
"""With less in common, two questions are on different topics."""
QUESTION_CHARACTERS = 300
"""A longer text is no question to put in a list."""
STEM_CHARACTERS = 5
"""Of words, so much is compared: endings differ."""
SHORT_CHARACTERS, SHORT_SHARE = 3, 0.2
"""Short words, in most languages those that say little, count for so much of what others do."""

BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,2}[.):])\s*")
QUESTION_MARKS = ("?", "？", "؟")


def nearest(question: str, others: Iterable[str], most: int) -> list[str]:
    """Those of `others` that are on the topic of `question` and do not ask the same, the nearest first."""
    mine = _stems(question)
    pool = {on_a_line: _stems(on_a_line) for other in others if (on_a_line := " ".join(other.split()))}
    counts = Counter(stem for stems in pool.values() for stem in stems)
    weights = {stem: _weight(stem, counts[stem], len(pool)) for stem in {*counts, *mine}}

    def nearness(stems: frozenset[str]) -> float:
        shared, own, other = (sum(weights[stem] for stem in each) for each in (mine & stems, mine, stems))
        return shared / math.sqrt(own * other) if shared else 0.0

    ranked = sorted(((nearness(stems), other) for other, stems in pool.items()), key=lambda found: -found[0])
    chosen: list[str] = []
    for near, other in ranked:
        is_new = not any(asks_the_same(other, before) for before in (question, *chosen))
        if len(chosen) < most and near >= LEAST and is_new and len(other) <= QUESTION_CHARACTERS:
            chosen.append(other)
    return chosen


def listed(text: str, question: str, most: int, most_characters: int) -> list[str]:
    """The questions in what a model wrote when it was asked for a list of others than `question`."""
    found: list[str] = []
    for line in text.splitlines():
        candidate = BULLET.sub("", line).strip(" \t\"'“”*_`")
        if not candidate.endswith(QUESTION_MARKS) or len(candidate) > most_characters:
            continue
        if len(found) < most and not any(asks_the_same(candidate, before) for before in (question, *found)):
            found.append(candidate)
    return found


def lines(text: str, most: int) -> list[str]:
    """The questions that a person wrote one a line; those beyond `most` are left out."""
    written = [" ".join(line.split())[:QUESTION_CHARACTERS] for line in text.splitlines()]
    return list(dict.fromkeys(line for line in written if line))[:most]


def asks_the_same(one: str, other: str) -> bool:
    """Whether two questions have nearly the same words, short ones left out."""
    mine, theirs = _telling(_stems(one)), _telling(_stems(other))
    return len(mine & theirs) >= SAME * len(mine | theirs)


def _stems(text: str) -> frozenset[str]:
    """The beginnings of a text's words, in lower case, whatever their script: `\\w` lacks the marks of many."""
    signs = unicodedata.normalize("NFKC", text).lower()
    kept = "".join(sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in signs)
    return frozenset(word[:STEM_CHARACTERS] for word in kept.split())


def _telling(stems: frozenset[str]) -> frozenset[str]:
    """The longer ones; all, where there are no longer ones."""
    return frozenset(stem for stem in stems if len(stem) > SHORT_CHARACTERS) or stems


def _weight(stem: str, found_in: int, pool: int) -> float:
    """How much it tells that two questions share a stem that `found_in` of the `pool` have."""
    rarity = math.log(1 + pool / (found_in + 0.5))
    return rarity * (SHORT_SHARE if len(stem) <= SHORT_CHARACTERS else 1.0)
