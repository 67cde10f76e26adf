"""Whether a candidate is as good as the model in service: checks with figures and, where one fails, its own sentence.

A smoke gate sets hard limits on differences as they were measured. A full one asks how sure they are: what counts is
the end of the bootstrap's interval that speaks against the candidate.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from trainer.evaluation.bits_per_byte import AnswerBits
from trainer.evaluation.bootstrap import Interval, ratio_interval
from trainer.evaluation.engine import Answer
from trainer.evaluation.rouge import rouge_l
from trainer.evaluation.scoring import Scored
from trainer.evaluation.verdict import Refusal
from trainer.gate_questions import Corrected
from trainer.loop_choices import GateChoice

Figures = dict[str, Any]
Checked = tuple[Figures, list[Refusal]]


@dataclass(frozen=True, slots=True)
class Sureness:
    """How differences are looked at."""

    choice: GateChoice

    def ratio(self, parts: Sequence[float], wholes: Sequence[float]) -> Interval | None:
        """Of sums of paired values; in a smoke gate both bounds are the value."""
        if self.choice.size == "full":
            return ratio_interval(
                parts,
                wholes,
                samples=self.choice.bootstrap_samples,
                confidence=self.choice.confidence,
                seed=self.choice.seed,
            )
        if not parts:
            return None
        value = math.fsum(parts) / math.fsum(wholes)
        return Interval(value, value, value)

    def mean(self, candidate: Sequence[float], current: Sequence[float]) -> Interval | None:
        """Of the differences, question by question."""
        differences = [after - before for after, before in zip(candidate, current, strict=True)]
        return self.ratio(differences, [1.0] * len(differences))


def check_suite(candidate: Sequence[Scored], current: Sequence[Scored], sure: Sureness) -> Checked:
    """ROUGE-L on the fixed suite."""
    pairs = _pairs(candidate, current, lambda one: one.rouge_l)
    found = sure.mean(*pairs)
    if found is None:
        return {"questions": 0}, [Refusal("suite", "No question of the fixed suite was answered by both models.")]
    figures = _compared(*pairs, found)
    if found.low >= -sure.choice.suite_margin:
        return figures, []
    sentence = (
        f"Its answers to {figures['questions']} held-out questions are worse: ROUGE-L {figures['candidate']:.3f}, "
        f"against {figures['current']:.3f} of the model in service{_bound(found.low, sure)}; a loss of "
        f"{sure.choice.suite_margin:g} is allowed."
    )
    return figures, [Refusal("suite", sentence)]


def check_stops(candidate: Sequence[Scored], current: Sequence[Scored], sure: Sureness) -> Checked:
    """Whether answers end by themselves, and show no key of a template."""
    figures: Figures = {}
    refusals = []
    margin = sure.choice.stop_margin
    for name, of, sign, sentence in (
        (
            "stopped",
            lambda one: one.stops,
            1,
            "Fewer of its answers end by themselves: {candidate} of {number}, against",
        ),
        (
            "leaked",
            lambda one: one.leaks,
            -1,
            "Its answers show keys of a chat template: {candidate} of {number}, against",
        ),
    ):
        pairs = _pairs(candidate, current, of)
        found = sure.mean(*pairs)
        if found is None:
            continue
        figures[name] = _compared(*pairs, found)
        worst = found.low if sign > 0 else -found.high
        if worst < -margin:
            said = sentence.format(candidate=round(sum(pairs[0])), number=len(pairs[0]))
            refusals.append(
                Refusal(
                    "stops",
                    f"{said} {round(sum(pairs[1]))} of the model in service; {margin:.0%} are allowed.".replace(
                        "%", " %"
                    ),
                )
            )
    return figures, refusals


def check_bits(candidate: Sequence[AnswerBits], current: Sequence[AnswerBits], sure: Sureness) -> Checked:
    """Bits per byte of the replay's held-out answers."""
    earlier = {(one.record_id, one.turn): one for one in current}
    both = [(one, earlier[one.record_id, one.turn]) for one in candidate if (one.record_id, one.turn) in earlier]
    found = sure.ratio([one.bits for one, _ in both], [before.bits for _, before in both])
    if found is None:
        return {"answers": 0}, [
            Refusal("replay_bits", "No held-out answer of the replay could be read by both models.")
        ]
    size_bytes = sum(one.size_bytes for one, _ in both)
    figures = {
        "answers": len(both),
        "candidate": math.fsum(one.bits for one, _ in both) / size_bytes,
        "current": math.fsum(before.bits for _, before in both) / size_bytes,
        "ratio": asdict(found),
    }
    if found.high <= 1 + sure.choice.bits_rise:
        return figures, []
    sentence = (
        f"It foresees the replay worse: {figures['candidate']:.3f} bits per byte, against {figures['current']:.3f} of "
        f"the model in service, {found.high - 1:.1%} more; {sure.choice.bits_rise:.0%} are allowed."
    )
    return figures, [Refusal("replay_bits", sentence.replace("%", " %"))]


def check_held_out(
    corrections: Sequence[Corrected],
    candidate: Sequence[Answer | None],
    current: Sequence[Answer | None],
    sure: Sureness,
) -> Checked:
    """ROUGE-L on corrections that were not trained on, in a full gate."""
    pairs = [
        (rouge_l(one.correction, after.text), rouge_l(one.correction, before.text))
        for one, after, before in zip(corrections, candidate, current, strict=True)
        if after and before
    ]
    ours, theirs = [after for after, _ in pairs], [before for _, before in pairs]
    found = sure.mean(ours, theirs)
    if found is None:
        return {"questions": 0}, []
    figures = _compared(ours, theirs, found)
    if found.low >= -sure.choice.corrections_margin:
        return figures, []
    sentence = (
        f"Its answers to {len(pairs)} held-out corrections are worse: ROUGE-L {figures['candidate']:.3f}, against "
        f"{figures['current']:.3f} of the model in service{_bound(found.low, sure)}."
    )
    return figures, [Refusal("corrections", sentence)]


def _pairs(
    candidate: Sequence[Scored], current: Sequence[Scored], of: Callable[[Scored], float | None]
) -> tuple[list[float], list[float]]:
    """The values of the questions that both answered."""
    both = [
        (float(after), float(before))
        for one, other in zip(candidate, current, strict=True)
        if (after := of(one)) is not None and (before := of(other)) is not None
    ]
    return [after for after, _ in both], [before for _, before in both]


def _compared(candidate: Sequence[float], current: Sequence[float], found: Interval) -> Figures:
    return {
        "questions": len(candidate),
        "candidate": fmean(candidate),
        "current": fmean(current),
        "difference": asdict(found),
    }


def _bound(low: float, sure: Sureness) -> str:
    """What a full gate adds to a mean."""
    return f" (the difference may be {low:+.3f})".replace("-", "−") if sure.choice.size == "full" else ""
