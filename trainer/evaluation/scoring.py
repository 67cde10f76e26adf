"""From answers to figures: each measure's mean, how sure it is, and the difference from another model's."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from trainer.evaluation.bits_per_byte import AnswerBits
from trainer.evaluation.engine import Answer
from trainer.evaluation.measures import Mean, leaks, loops
from trainer.evaluation.rouge import best_rouge_l, matches_exactly
from trainer.evaluation.suites import Item


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer with what is measured of it.

    All but `item` is None where the prompt did not fit; in SuperNI, as its public scorer has it, nothing was said then.
    """

    item: Item
    answer: Answer | None
    rouge_l: float | None
    stops: bool | None
    loops: bool | None
    leaks: bool | None
    words: int | None
    exact_match: bool | None = None
    """In SuperNI alone."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of the report."""

    key: str
    title: str
    says: str
    """What it is, for who has never heard of it."""
    of: Callable[[Scored], float | None]
    """Of one answer; None where the answer does not count."""
    better: int
    """1: more is better, -1: less is better, 0: neither."""
    is_share: bool = True
    """Shown in percent."""
    digits: int = 1


METRICS = (
    Metric(
        "rouge_l",
        "ROUGE-L",
        "how much of the reference's wording is there, in its order",
        lambda one: one.rouge_l,
        1,
    ),
    Metric(
        "exact_match",
        "Exact match",
        "answers that say what a reference says, but for case and punctuation",
        lambda one: one.exact_match,
        1,
    ),
    Metric("stop_rate", "Stopped", "answers that end by themselves", lambda one: one.stops, 1),
    Metric(
        "stop_rate_unlooped",
        "Stopped, of those that do not loop",
        "a model that knows its end key stops here",
        lambda one: None if one.loops else one.stops,
        1,
    ),
    Metric("loop_rate", "Loops", "answers that end in a repetition", lambda one: one.loops, -1),
    Metric("leak_rate", "Leaks", "answers that show a key of a chat template", lambda one: one.leaks, -1),
    Metric("words", "Words", "length of an answer", lambda one: one.words, 0, is_share=False),
    Metric(
        "words_of_reference",
        "Words, reference",
        "length of what it is compared with",
        lambda one: len(one.item.reference.split()),
        0,
        is_share=False,
    ),
)
BITS_PER_BYTE = Metric(
    "bits_per_byte",
    "Bits per byte",
    "how well the held-out answers are foreseen",
    lambda _: None,
    -1,
    is_share=False,
    digits=3,
)
ALL_METRICS = (BITS_PER_BYTE, *METRICS)


def score(item: Item, answer: Answer | None, keys: Iterable[str]) -> Scored:
    """`keys` are the control tokens of the model's template."""
    is_superni = item.suite == "superni"
    if answer is None:
        missed = (0.0, False) if is_superni else (None, None)
        return Scored(item, None, missed[0], None, None, None, None, exact_match=missed[1])
    said = " ".join((*(message.content for message in item.prompt), *item.references))
    return Scored(
        item,
        answer,
        rouge_l=best_rouge_l(item.references, answer.text),
        stops=answer.finish == "stop" if answer.finish else None,
        loops=loops(answer.text),
        leaks=leaks(answer.text, keys, allowed=said),
        words=len(answer.text.split()),
        exact_match=matches_exactly(item.references, answer.text) if is_superni else None,
    )


def slices(scored: Sequence[Scored], bits: Sequence[AnswerBits]) -> dict[str, dict[str, Mean]]:
    """Figures of all answers, of first and of later turns, of each category (most frequent first) and of each task.

    Only slices that hold something are there. `bits` are those of the same suite's records, or none.
    """
    found = {
        "all": figures(scored, bits),
        "first turns": figures(
            [one for one in scored if not one.item.is_later], [one for one in bits if not one.is_later]
        ),
        "later turns": figures([one for one in scored if one.item.is_later], [one for one in bits if one.is_later]),
    }
    counts: dict[str, int] = {}
    for one in scored:
        if one.item.category:
            counts[one.item.category] = counts.get(one.item.category, 0) + 1
    for category in sorted(counts, key=lambda name: (-counts[name], name)):
        found[f"category: {category}"] = figures(
            [one for one in scored if one.item.category == category],
            [one for one in bits if one.category == category],
        )
    by_task: dict[str, list[Scored]] = {}
    for one in scored:
        if one.item.task:
            by_task.setdefault(one.item.task, []).append(one)
    found |= {f"task: {task}": figures(those, ()) for task, those in by_task.items()}
    return {name: means for name, means in found.items() if means}


def figures(scored: Iterable[Scored], bits: Sequence[AnswerBits]) -> dict[str, Mean]:
    """Each measure's mean over the answers that it can be said of."""
    listed = list(scored)
    found = {
        metric.key: Mean.of([float(value) for one in listed if (value := metric.of(one)) is not None])
        for metric in METRICS
    }
    per_byte = Mean.of_ratio([one.bits for one in bits], [one.size_bytes for one in bits])
    return {key: mean for key, mean in ({BITS_PER_BYTE.key: per_byte} | found).items() if mean is not None}


def differences(
    scored: Sequence[Scored],
    bits: Sequence[AnswerBits],
    first_scored: Sequence[Scored],
    first_bits: Sequence[AnswerBits],
) -> dict[str, Mean]:
    """What each measure is above the first model's, question by question: surer than the two means apart."""
    found: dict[str, Mean | None] = {}
    for metric in METRICS:
        before = _by_id(metric, first_scored)
        after = _by_id(metric, scored)
        found[metric.key] = Mean.of([after[item] - before[item] for item in after if item in before])
    earlier = {(one.record_id, one.turn): one for one in first_bits}
    both = [(one, earlier[one.record_id, one.turn]) for one in bits if (one.record_id, one.turn) in earlier]
    found[BITS_PER_BYTE.key] = Mean.of_ratio(
        [one.bits - before.bits for one, before in both], [one.size_bytes for one, _ in both]
    )
    return {key: mean for key, mean in found.items() if mean is not None}


def _by_id(metric: Metric, scored: Sequence[Scored]) -> Mapping[str, float]:
    return {one.item.id: float(value) for one in scored if (value := metric.of(one)) is not None}
