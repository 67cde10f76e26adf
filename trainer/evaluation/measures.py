"""What can be said of an answer without a judge: whether it stopped, loops, leaks its template, and how long it is."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LOOP_REPEATS = 3
"""So often a unit must stand at the end of an answer, one beside the other, to be a loop."""

LOOP_CHARACTERS = 60
"""A loop's least length, all repeats together: "ha ha ha" and a row of dashes are none."""

TAIL_WORDS = 80
"""The end of an answer in which new words are looked for."""

NEW_SHARE = 0.5
"""Below this share of word triples in the tail that were not there before, an answer goes in circles."""

FOREIGN_KEYS = re.compile(
    r"### (?:Instruction|Response|Input|End)\b|<\|[a-z_]+\|>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|</s>"
)
"""Keys of the usual templates: in an answer, each is a seam that people would see."""


def loops(text: str) -> bool:
    """Whether an answer ends in a repetition: the same unit again and again, or hardly a new word triple in its tail.

    Digits count as equal, so a numbered list that says one thing under every number loops as well.
    """
    flat = re.sub(r"\d+", "0", " ".join(text.split()).lower())
    return _ends_in_repeats(flat) or _has_stale_tail(flat.split(" "))


def _ends_in_repeats(text: str) -> bool:
    """Looks at whole repeats before the very end, for an answer is cut off in the middle of one."""
    for period in range(1, len(text) // LOOP_REPEATS + 1):
        length = _repeated_length(text, period)
        if length >= max(LOOP_REPEATS * period, LOOP_CHARACTERS) and re.search(r"\w", text[-period:]):
            return True
    return False


def _repeated_length(text: str, period: int) -> int:
    """How many characters at the end of `text` belong to repeats of its last `period` characters."""
    place = len(text) - period - 1
    while place >= 0 and text[place] == text[place + period]:
        place -= 1
    return len(text) - 1 - place


def _has_stale_tail(words: Sequence[str]) -> bool:
    triples = list(zip(words, words[1:], words[2:], strict=False))
    if len(triples) < TAIL_WORDS:
        return False
    seen = set(triples[:-TAIL_WORDS])
    new = 0
    for triple in triples[-TAIL_WORDS:]:
        new += triple not in seen
        seen.add(triple)
    return new / TAIL_WORDS < NEW_SHARE


def leaks(text: str, keys: Iterable[str] = (), *, allowed: str = "") -> bool:
    """Whether a key of a chat template stands in an answer: one of `keys`, or of the usual templates.

    A key that `allowed` holds (the prompt or the reference answer, say a text about templates) is no leak.
    """
    found = set(FOREIGN_KEYS.findall(text)) | {key.strip() for key in keys if key.strip() and key.strip() in text}
    return any(key not in allowed for key in found)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with the half-width of its 95 % interval (normal approximation) and the number of values."""

    mean: float
    margin: float
    number: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean | None":
        """None where there is nothing to take the mean of."""
        if not values:
            return None
        number = len(values)
        mean = math.fsum(values) / number
        variance = math.fsum((value - mean) ** 2 for value in values) / (number - 1) if number > 1 else 0.0
        return cls(mean, 1.96 * math.sqrt(variance / number), number)

    @classmethod
    def of_ratio(cls, parts: Sequence[float], wholes: Sequence[float]) -> "Mean | None":
        """The sum of `parts` over the sum of `wholes`, as bits over bytes; None where there is nothing."""
        whole = math.fsum(wholes)
        if not whole:
            return None
        number = len(parts)
        ratio = math.fsum(parts) / whole
        squares = math.fsum((part - ratio * size) ** 2 for part, size in zip(parts, wholes, strict=True))
        deviation = math.sqrt(squares * number / (number - 1)) if number > 1 else 0.0
        return cls(ratio, 1.96 * deviation / whole, number)
