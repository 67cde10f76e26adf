"""Is an instruction unlike all that there are? Self-Instruct keeps one whose ROUGE-L with each other is 0.7 at most.

The decisions are those of rouge_score without its stemmer, to the last bit of its floats, but few pairs are compared.
A word becomes one character and a text a string of them, so RapidFuzz's bit-parallel search for the longest common
subsequence runs on strings. And most texts are never looked at. To be too near, texts of n and m words need a common
subsequence of some length L. That bounds m; and of L words in common and in the same order, the two rarest are among
each text's n - L + 2 rarest. So a text is filed under the ordered pairs of its rarest words, and compared with what
lies under the same ones (the prefix filter of set similarity joins, Chaudhuri et al. 2006, for two words in order).

Words are runs of a-z and 0-9 in lower case: a text in another script has none and is like no other, as in rouge_score.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import combinations, count

from rapidfuzz import process
from rapidfuzz.distance import Indel

THRESHOLD = 0.7
"""Self-Instruct's and Alpaca's."""
WORD = re.compile(r"[a-z0-9]+")
NEAR = 1e-5
"""More than RapidFuzz rounds by, and less than what one word more in common makes in texts of 5,000 words."""
KNOWN = 0x90000
"""The character of the rarest word whose rarity is known. Words that come later are rarer and count down from here,
with room for half a million of either."""


@dataclass(frozen=True, slots=True)
class Similar:
    """The nearest of the texts that are too near."""

    text: str
    rouge_l: float


class NoveltyFilter:
    """The texts so far; `admit` adds one if it is unlike all of them."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._bounds = Bounds(threshold)
        self._texts: dict[str, str] = {}
        """By its characters, the first text with these words."""
        self._characters: dict[str, str] = {}
        self._filed: dict[str, list[str]] = {}
        self._reorder_at = 64
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def admit(self, text: str) -> Similar | None:
        """What it is too near to; where that is nothing, it is added."""
        characters, keys = self._read(text)
        similar = self._nearest(characters, keys)
        if similar is None:
            self._file(text, characters, keys)
        return similar

    def add(self, text: str) -> None:
        """Whatever it is like: a seed."""
        self._file(text, *self._read(text))

    def nearest(self, text: str) -> Similar | None:
        """What it is too near to, and nothing is added."""
        return self._nearest(*self._read(text))

    def _read(self, text: str) -> tuple[str, set[str]]:
        """A character for each word, and the keys under which it is filed."""
        known = self._characters
        characters = []
        for word in WORD.findall(text.lower()):
            character = known.get(word)
            if character is None:
                character = known[word] = chr(KNOWN - 1 - len(known))
            characters.append(character)
        read = "".join(characters)
        return read, self._bounds.keys(read)

    def _nearest(self, read: str, keys: set[str]) -> Similar | None:
        filed = self._filed
        found: set[str] = set()
        for key in keys:
            if there := filed.get(key):
                found.update(there)
        least, most = self._bounds.lengths(len(read))
        likely = [other for other in found if least <= len(other) <= most]
        cutoff = self._bounds.threshold - NEAR
        nearest = process.extractOne(read, likely, scorer=Indel.normalized_similarity, score_cutoff=cutoff)
        if nearest is None:
            return None
        if nearest[1] <= self._bounds.threshold + NEAR:  # as near as the threshold: rouge_score's rounding decides
            near = process.extract(
                read, likely, scorer=Indel.normalized_similarity, score_cutoff=cutoff, limit=len(likely)
            )
            nearest = max(near, key=lambda one: rouge_l(read, one[0]))
        score = rouge_l(read, nearest[0])
        return Similar(self._texts[nearest[0]], score) if score > self._bounds.threshold else None

    def _file(self, text: str, read: str, keys: set[str]) -> None:
        self._size += 1
        if not read or read in self._texts:
            return
        self._texts[read] = text
        for key in keys:
            self._filed.setdefault(key, []).append(read)
        if len(self._texts) >= self._reorder_at:
            self._reorder()

    def _reorder(self) -> None:
        """Which words are rare is seen anew whenever there are twice as many texts."""
        texts = list(self._texts.values())
        used = Counter(word for text in texts for word in WORD.findall(text.lower()))
        by_rarity = sorted(used, key=lambda word: (used[word], word))
        self._characters = {word: chr(KNOWN + rank) for rank, word in enumerate(by_rarity)}
        self._texts, self._filed = {}, {}
        for text in texts:
            read, keys = self._read(text)
            self._texts[read] = text
            for key in keys:
                self._filed.setdefault(key, []).append(read)
        self._reorder_at = 2 * len(texts)


class Bounds:
    """What a ROUGE-L above the threshold asks of two texts' lengths and words.

    Raises ValueError for a threshold below 2/3: texts of two words could be too near with one in common, and they are
    filed under pairs.
    """

    def __init__(self, threshold: float) -> None:
        if not 2 / 3 <= threshold < 1:
            raise ValueError(f"The threshold of novelty is {threshold}; it lies between 2/3 and 1.")
        self.threshold = threshold
        self.lengths = cache(self._lengths)
        self._shortest = cache(self._shortest_subsequence)

    def keys(self, read: str) -> set[str]:
        """The ordered pairs of its rarest words; of a single word, the word."""
        if len(read) < 2:
            return {read} if read else set()
        rarest = set(sorted(read)[: len(read) - self._shortest(len(read)) + 2])
        kept = [character for character in read if character in rarest]
        return {before + after for before, after in combinations(kept, 2)}

    def _lengths(self, words: int) -> tuple[int, int]:
        """From how many to how many words a text can have that is too near to one of so many."""
        within = [other for other in range(1, 2 * words + 1) if self._subsequence(words, other) <= min(words, other)]
        return (within[0], within[-1]) if within else (1, 0)

    def _shortest_subsequence(self, words: int) -> int:
        """The shortest common subsequence with which any text is too near to one of so many words."""
        least, most = self.lengths(words)
        return min((self._subsequence(words, other) for other in range(least, most + 1)), default=words)

    def _subsequence(self, words: int, others: int) -> int:
        """The shortest common subsequence that is above the threshold."""
        start = max(0, int(self.threshold * (words + others) / 2) - 1)
        return next(length for length in count(start) if f_measure(length, words, others) > self.threshold)


def f_measure(common: int, words: int, others: int) -> float:
    """As rouge_score computes it, in its order."""
    if not common:
        return 0.0
    precision, recall = common / words, common / others
    return 2 * precision * recall / (precision + recall)


def rouge_l(one: str, other: str) -> float:
    """F of the longest common subsequence of two strings, a character a word."""
    common = (len(one) + len(other) - Indel.distance(one, other)) // 2
    return f_measure(common, len(one), len(other))
