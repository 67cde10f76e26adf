"""What a judge model is worth beside known labels, and what it says of two models: shares, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.evaluation.agreement import interval
from trainer.evaluation.bootstrap import Interval, mean_interval
from trainer.evaluation.judge import Judgement
from trainer.evaluation.labels import Labelled

SAMPLES, CONFIDENCE = 2_000, 0.95
"""Of the bootstrap."""


@dataclass(frozen=True, slots=True)
class Faults:
    """In which ways judgements failed, of `pairs`."""

    pairs: int
    unanswered: int
    """Longer than the judge's window; they are left out."""
    unreadable: int
    """Replies that name neither; a tie."""
    contradicted: int
    """The same place was preferred in both orders; a tie."""

    @classmethod
    def of(cls, judgements: Sequence[Judgement]) -> "Faults":
        answered = [one for one in judgements if one.is_answered]
        return cls(
            pairs=len(judgements),
            unanswered=len(judgements) - len(answered),
            unreadable=sum(not one.is_readable for one in answered),
            contradicted=sum(one.contradicts_itself for one in answered),
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often a judge says what the labels say."""

    faults: Faults
    agreement: Interval
    """Share of the pairs of which both say the same: first, second or tie."""
    kappa: Interval
    """Cohen's: what of that is more than chance would give."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a judge says of a model beside the first one."""

    faults: Faults
    wins: int
    losses: int
    ties: int
    win_rate: Interval
    """A tie is half a win."""

    @property
    def sentence(self) -> str:
        """The verdict, to be set behind the model's name."""
        share = f"{self.win_rate.value:.1%} ({self.win_rate.low:.1%} to {self.win_rate.high:.1%})".replace("%", " %")
        said = "is neither better nor worse for sure"
        if self.win_rate.low > 0.5:
            said = "is better"
        elif self.win_rate.high < 0.5:
            said = "is worse"
        return f"{said}: preferred in {share} of {self.wins + self.losses + self.ties} questions"


def calibrated(labels: Sequence[Labelled], judgements: Sequence[Judgement], seed: int) -> Calibration | None:
    """None where nothing was answered."""
    both = [
        (label.preference, one.preference) for label, one in zip(labels, judgements, strict=True) if one.is_answered
    ]
    same = [float(label == preference) for label, preference in both]
    agreement = mean_interval(same, samples=SAMPLES, confidence=CONFIDENCE, seed=seed)
    kappa = interval(
        [label for label, _ in both],
        [preference for _, preference in both],
        samples=SAMPLES,
        confidence=CONFIDENCE,
        seed=seed,
    )
    return Calibration(Faults.of(judgements), agreement, kappa) if agreement and kappa else None


def compared(judgements: Sequence[Judgement], seed: int) -> Comparison | None:
    """Of pairs in which the first model's answer stands first; None where nothing was answered."""
    preferences = [one.preference for one in judgements if one.is_answered]
    points = [{"first": 0.0, "tie": 0.5, "second": 1.0}[preference] for preference in preferences]
    win_rate = mean_interval(points, samples=SAMPLES, confidence=CONFIDENCE, seed=seed)
    if win_rate is None:
        return None
    wins, losses, ties = (preferences.count(of) for of in ("second", "first", "tie"))
    return Comparison(Faults.of(judgements), wins, losses, ties, win_rate)
