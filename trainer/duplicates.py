"""What is said twice: near-duplicates among records, and records equal to what models are evaluated on."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.readers import INPUT_KEY
from trainer.records import Record

Grams = NDArray[np.uint64]
"""Hashes of a text's 5-grams."""

GRAM_CHARACTERS = 5
SIMILARITY = 0.8
"""Jaccard similarity of 5-grams from which on two texts are nearly the same; of question and of answer."""
BANDS, BAND_HASHES = 16, 4
"""Two records of similarity s share a band with probability 1 - (1 - s⁴)¹⁶: 0.9998 at 0.8, 0.02 at 0.2."""
MIXER = np.uint64(0x9E3779B97F4A7C15)
FACTORS, SUMMANDS = np.random.default_rng(0).integers(2**63, size=(2, BANDS * BAND_HASHES), dtype=np.uint64) * 2 + 1
GENERIC_WORDS = 8
"""An instruction of fewer words, without an input, is too common to say that a record is the evaluation's."""

SAME = re.compile(r"[\s.,;:!?\"'`“”‘’„«»…]+")
"""What does not make a text another one; operators do."""


def near_duplicates(records: Sequence[Record]) -> dict[int, int]:
    """Index of each record whose question and answer are nearly those of an earlier one that stays → that one's index.

    Pairs are found by MinHash, which misses one in thousands at the least similarity that counts, and compared in full.
    """
    by_band: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    found: dict[int, int] = {}
    for index, record in enumerate(records):
        bands = list(enumerate(_bands(record)))
        for other in sorted({other for band in bands for other in by_band.get(band, ())}):
            if all(_similar(_said(record, role), _said(records[other], role)) for role in ("user", "assistant")):
                found[index] = other
                break
        else:
            for band in bands:
                by_band[band].append(index)
    return found


def in_evaluation(records: Sequence[Record], items: Iterable[tuple[str, str]]) -> set[int]:
    """Indices of the records that ask what an item asks: instruction and input equal, after normalising.

    A generic instruction alone, such as "Answer the following question.", is no sign of it.
    """
    asked = {
        _normal(f"{instruction} {about}".replace(INPUT_KEY, " "))
        for instruction, about in items
        if about.strip() or INPUT_KEY in instruction or len(instruction.split()) >= GENERIC_WORDS
    }
    return {
        index
        for index, record in enumerate(records)
        if any(
            message.role == "user" and _normal(message.content.replace(INPUT_KEY, " ")) in asked
            for message in record.messages
        )
    }


def asks_the_same(question: str, others: Iterable[str]) -> bool:
    """Whether the question is nearly one of the others, word for word."""
    return any(_similar(question, other) for other in others)


def _normal(text: str) -> str:
    return SAME.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _said(record: Record, role: str) -> str:
    return "\n".join(message.content for message in record.messages if message.role == role)


def _bands(record: Record) -> list[bytes]:
    """Its MinHash in bands; records of like questions and answers have a band in common."""
    both = np.concatenate((_grams(_said(record, "user")), ~_grams(_said(record, "assistant"))))
    least = np.min(both[:, None] * FACTORS + SUMMANDS, axis=0)
    return [band.tobytes() for band in np.split(least, BANDS)]


def _grams(text: str) -> Grams:
    points = np.frombuffer(_normal(text).ljust(GRAM_CHARACTERS).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    hashes = np.zeros(len(points) - GRAM_CHARACTERS + 1, dtype=np.uint64)
    for place in range(GRAM_CHARACTERS):
        hashes = (hashes ^ points[place : place + len(hashes)]) * MIXER
        hashes ^= hashes >> np.uint64(29)
    return hashes


def _similar(one: str, other: str) -> bool:
    first, second = np.unique(_grams(one)), np.unique(_grams(other))
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared >= SIMILARITY * (len(first) + len(second) - shared)
