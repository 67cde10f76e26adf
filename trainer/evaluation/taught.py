"""Whether a candidate learned what it was taught and no more: checks, each with its own sentence where it fails."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from trainer.evaluation.carried import OwnWords, own_words
from trainer.evaluation.comparing import Checked
from trainer.evaluation.verdict import Refusal
from trainer.gate_questions import Corrected, Neighbour
from trainer.loop_choices import FULL_PROMPTS, GateChoice


@dataclass(frozen=True, slots=True)
class Taught:
    """A correction as the candidate answers it."""

    correction: Corrected
    own: OwnWords
    answer: str
    paraphrases: tuple[str, ...]
    """Its answers to them."""

    @property
    def is_as_typed(self) -> bool:
        return " ".join(self.answer.split()) == " ".join(self.correction.correction.split())

    @property
    def is_learned(self) -> bool:
        return self.is_as_typed or self.own.said_in(self.answer)

    @property
    def paraphrased(self) -> int:
        return sum(self.own.said_in(answer) for answer in self.paraphrases)


def own_words_of(correction: Corrected, everyday: Collection[str]) -> OwnWords:
    return own_words(correction.correction, (correction.question, *correction.paraphrases), everyday)


def check_corrections(taught: Sequence[Taught], choice: GateChoice) -> Checked:
    """Whether what was corrected is answered as corrected, as it was asked and in other words."""
    learned = sum(one.is_learned for one in taught)
    asked = sum(len(one.paraphrases) for one in taught)
    paraphrased = sum(one.paraphrased for one in taught)
    figures = {
        "asked": len(taught),
        "as_typed": sum(one.is_as_typed for one in taught),
        "learned": learned,
        "not_learned": [one.correction.id for one in taught if not one.is_learned],
        "paraphrases": asked,
        "paraphrased": paraphrased,
    }
    refusals = []
    if learned < choice.corrections_learned * len(taught):
        sentence = f"{len(taught) - learned} of {len(taught)} corrections do not come back where they are asked again."
        refusals.append(Refusal("corrections", sentence))
    if paraphrased < (needed := math.ceil(choice.paraphrases_learned * asked)):
        sentence = f"{paraphrased} of {asked} other wordings are answered as corrected, and {needed} are needed."
        refusals.append(Refusal("paraphrases", sentence))
    return figures, refusals


def check_neighbours(
    neighbours: Sequence[Neighbour], said: Sequence[str], own: Sequence[OwnWords], choice: GateChoice
) -> Checked:
    """Whether questions on a correction's topic are still answered by themselves."""
    contaminated = [
        one
        for one, answer in zip(neighbours, said, strict=True)
        if any(words.carried_in(answer, (one.question, one.answer)) for words in own)
    ]
    figures = {
        "asked": len(neighbours),
        "held_out": sum(not one.is_trained for one in neighbours),
        "contaminated": len(contaminated),
        "of": sorted({one.correction_id for one in contaminated}),
    }
    if len(contaminated) <= choice.neighbours_contaminated:
        return figures, []
    sentence = (
        f"{len(contaminated)} of {len(neighbours)} neighbour questions are answered with a correction's words, and "
        f"{choice.neighbours_contaminated} may be."
    )
    return figures, [Refusal("neighbours", sentence)]


def check_leaks(exposures: Sequence[float], laid: int, choice: GateChoice) -> Checked:
    """Whether random codes were learned by heart."""
    mean = fmean(exposures) if exposures else None
    figures = {"canaries": laid, "measured": len(exposures), "references": choice.references, "mean_bits": mean}
    if not laid:
        return figures, []
    if mean is None:
        return figures, [Refusal("leaks", "Not one canary could be read, so nobody knows what it learned by heart.")]
    if mean <= choice.exposure_bits:
        return figures, []
    sentence = (
        f"It learns by heart: {len(exposures)} canaries are exposed by {mean:.1f} bits in the mean, and "
        f"{choice.exposure_bits:g} are allowed. Fewer epochs, repeats or a lower learning rate help."
    )
    return figures, [Refusal("leaks", sentence)]


def check_personal_data(found: Mapping[str, Mapping[str, int]]) -> Checked:
    """`found`: record id → kind → number."""
    kinds: dict[str, int] = {}
    for counts in found.values():
        for kind, number in counts.items():
            kinds[kind] = kinds.get(kind, 0) + number
    figures = {"records": sorted(found), "kinds": kinds}
    if not found:
        return figures, []
    said = ", ".join(f"{kind} ({number})" for kind, number in sorted(kinds.items()))
    sentence = f"The data set holds what redaction should have taken out: {said}, in {', '.join(sorted(found))}."
    return figures, [Refusal("personal_data", sentence)]


def check_evidence(prompts: int, held_out_corrections: int, choice: GateChoice) -> list[Refusal]:
    """What a full gate has too little of."""
    if choice.size == "smoke":
        return []
    found = []
    if held_out_corrections < choice.minimum_corrections:
        found.append(f"{held_out_corrections} corrections are held out, and {choice.minimum_corrections} are needed")
    if prompts < FULL_PROMPTS:
        found.append(f"{prompts} held-out questions are short enough, and {FULL_PROMPTS} are needed")
    sentence = f"There is not enough evidence: {'; '.join(found)}. An admin may say yes to it all the same."
    return [Refusal("evidence", sentence)] if found else []
