"""ROUGE-L as Google Research's rouge_score computes it, the implementation behind published values.

SuperNI's public scorer takes it with the stemmer, and the exact match beside it: of several references the one that is
likest counts.
"""

import string
from collections.abc import Sequence
from functools import cache, lru_cache
from types import SimpleNamespace

from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenize import tokenize
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


WORDS_KEPT = 2**16


class Stemming(Tokenizer):
    """rouge_score's own words; each word's stem is looked for once, which is half of a score's time."""

    def __init__(self) -> None:
        self._stemmer = SimpleNamespace(stem=lru_cache(WORDS_KEPT)(PorterStemmer().stem))

    def tokenize(self, text: str) -> list[str]:
        words: list[str] = tokenize(text, self._stemmer)
        return words


@cache
def _scorer(measure: str, stemmer: bool) -> RougeScorer:
    return RougeScorer([measure], tokenizer=Stemming() if stemmer else DefaultTokenizer())


def rouge_l(reference: str, answer: str) -> float:
    """F of the longest common subsequence, 0 to 1, words stemmed.

    Words are runs of a-z and 0-9 in lower case: a text in another script scores 0 whatever it says.
    """
    return rouge(reference, answer, "rougeL", stemmer=True)[2]


def best_rouge_l(references: Sequence[str], answer: str) -> float:
    """Against the reference that it is likest to."""
    return max(rouge_l(reference, answer) for reference in references)


def matches_exactly(references: Sequence[str], answer: str) -> bool:
    """Whether it says what a reference says, but for case, ASCII punctuation and the width of spaces."""
    return _normal(answer) in {_normal(reference) for reference in references}


def _normal(text: str) -> str:
    return " ".join(text.lower().translate(WITHOUT_PUNCTUATION).split())


def rouge(reference: str, answer: str, measure: str, *, stemmer: bool) -> tuple[float, float, float]:
    """Recall, precision and F of `measure`: rouge1, rouge2, … , rougeL or rougeLsum."""
    score = _scorer(measure, stemmer).score(reference, answer)[measure]
    return score.recall, score.precision, score.fmeasure
