"""Whether an answer carries what a correction says, by the words that are the correction's own.

A correction's own words are those that nothing else brings in: neither the question, nor what the model says anyway,
nor everyday texts. Names and numbers among them tell the most.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

EVERYDAY_TEXTS = 2
"""A word that stands in so many texts of the replay is everybody's."""
SAYS_SHARE = 0.7
"""An answer with this share of a correction's own words says what the correction says."""
CARRIES_SHARE = 0.5
"""An answer to another question that has this share of them was contaminated; so was one with a name or number."""
COPIED_WORDS = 12
"""So many words in a row as in a training answer are a verbatim copy."""

WORD = re.compile(r"\w+(?:[.@:/'’_-]\w+)*")


@dataclass(frozen=True, slots=True)
class OwnWords:
    """Of a correction."""

    all: frozenset[str]
    names: frozenset[str]
    """Those of them with a digit, a sign within, or a capital letter within a sentence."""

    def said_in(self, answer: str) -> bool:
        """Whether the answer says what the correction says."""
        said = self.all & words(answer)
        return bool(self.all) and len(said) >= SAYS_SHARE * len(self.all)

    def carried_in(self, answer: str, known: Iterable[str]) -> bool:
        """Whether the answer to another question has them, where `known` (that question, what was said to it before)
        does not bring them in."""
        brought = words(*known)
        own, said = self.all - brought, words(answer)
        return bool((self.names - brought) & said) or (bool(own) and len(own & said) >= CARRIES_SHARE * len(own))


def own_words(correction: str, known: Iterable[str], everyday: Collection[str]) -> OwnWords:
    """Of a correction whose question, among other texts, is `known`. Without any, all its words count."""
    not_own = words(*known)
    found = frozenset(word for word in words(correction) - not_own if word not in everyday)
    found = found or frozenset(words(correction) - not_own) or frozenset(words(correction))
    return OwnWords(found, frozenset(_names(correction)) & found)


def everyday_words(texts: Iterable[str]) -> frozenset[str]:
    """Words that stand in more than one of the texts."""
    counts = Counter(word for text in texts for word in words(text))
    return frozenset(word for word, number in counts.items() if number >= EVERYDAY_TEXTS)


def words(*texts: str) -> set[str]:
    """The texts' words, without capitals."""
    return {found[0].casefold() for text in texts for found in WORD.finditer(text)}


def copied(answers: Mapping[str, str], trained: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Question id → id of the training answer of which the question's answer holds COPIED_WORDS words in a row.

    What `known` (by question id: the question itself, what the model said before) holds as well is no copy.
    """
    sources: dict[tuple[str, ...], str] = {}
    for record_id, text in trained.items():
        for run in _runs(text):
            sources.setdefault(run, record_id)
    found = {}
    for question_id, answer in answers.items():
        before = set(_runs(known.get(question_id, "")))
        copies = (sources[run] for run in _runs(answer) if run in sources and run not in before)
        if (source := next(copies, None)) is not None:
            found[question_id] = source
    return found


def _runs(text: str) -> list[tuple[str, ...]]:
    said: Sequence[str] = [found[0].casefold() for found in WORD.finditer(text)]
    return [tuple(said[place : place + COPIED_WORDS]) for place in range(len(said) - COPIED_WORDS + 1)]


def _names(text: str) -> Iterable[str]:
    for found in WORD.finditer(text):
        word = found[0]
        before = text[: found.start()].rstrip()
        is_within = bool(before) and before[-1] not in ".!?:\n"
        is_odd = any(character.isdigit() for character in word) or re.search(r"[.@:/_]", word)
        if is_odd or (is_within and word != word.casefold() and word != "I"):
            yield word.casefold()
