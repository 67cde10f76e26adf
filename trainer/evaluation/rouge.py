"""ROUGE-L as Google Research's rouge_score computes it, the implementation behind published values."""

from functools import cache

from rouge_score.rouge_scorer import RougeScorer


@cache
def _scorer(measure: str, stemmer: bool) -> RougeScorer:
    return RougeScorer([measure], use_stemmer=stemmer)


def rouge_l(reference: str, answer: str) -> float:
    """F of the longest common subsequence, 0 to 1, words stemmed.

    Words are runs of a-z and 0-9 in lower case: a text in another script scores 0 whatever it says.
    """
    return rouge(reference, answer, "rougeL", stemmer=True)[2]


def rouge(reference: str, answer: str, measure: str, *, stemmer: bool) -> tuple[float, float, float]:
    """Recall, precision and F of `measure`: rouge1, rouge2, … , rougeL or rougeLsum."""
    score = _scorer(measure, stemmer).score(reference, answer)[measure]
    return score.recall, score.precision, score.fmeasure
