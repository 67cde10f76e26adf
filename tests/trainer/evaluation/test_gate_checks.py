"""Each check of the gate: where it refuses, in which words, and where it does not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest

from trainer.evaluation.bits_per_byte import AnswerBits
from trainer.evaluation.carried import OwnWords
from trainer.evaluation.comparing import Sureness, check_bits, check_held_out, check_stops, check_suite
from trainer.evaluation.engine import Answer
from trainer.evaluation.scoring import Scored
from trainer.evaluation.suites import Item
from trainer.evaluation.taught import (
    Taught,
    check_corrections,
    check_evidence,
    check_leaks,
    check_neighbours,
    check_personal_data,
)
from trainer.gate_questions import Corrected, Neighbour
from trainer.loop_choices import GateChoice
from trainer.records import Message

SMOKE, FULL = GateChoice(), GateChoice(size="full", prompts=300, bootstrap_samples=1000)


def scored(rouge: Sequence[float | None], **more: Any) -> list[Scored]:
    item = Item("i", "held_out", (Message("user", "?"),), "reference", None, False)
    plain = Scored(item, None, None, stops=True, loops=False, leaks=False, words=3)
    return [replace(plain, rouge_l=value, **more) for value in rouge]


def bits(values: Sequence[float]) -> list[AnswerBits]:
    return [AnswerBits(f"r{place}", None, 0, value, 100) for place, value in enumerate(values)]


@pytest.mark.parametrize(("candidate", "refused"), [(0.5, False), (0.36, False), (0.34, True), (0.9, False)])
def test_a_loss_on_the_suite_beyond_the_margin_is_refused(candidate: float, refused: bool) -> None:
    figures, refusals = check_suite(scored([candidate] * 48), scored([0.4] * 48), Sureness(SMOKE))
    assert [one.check for one in refusals] == ["suite"] * refused
    assert figures["difference"]["value"] == pytest.approx(candidate - 0.4)
    if refused:
        assert "48 held-out questions are worse: ROUGE-L 0.340, against 0.400" in refusals[0].sentence


def test_a_full_gate_counts_what_may_be_and_a_smoke_gate_what_was_measured() -> None:
    ours, theirs = [0.2, 0.7] * 10, [0.6, 0.3] * 10  # as good in the mean, and nobody can be sure of it
    assert check_suite(scored(ours), scored(theirs), Sureness(SMOKE))[1] == []
    figures, (refusal,) = check_suite(scored(ours), scored(theirs), Sureness(FULL))
    assert refusal.check == "suite"
    assert "the difference may be −0." in refusal.sentence
    assert figures["difference"]["low"] < -0.1 < 0.0 <= figures["difference"]["high"]
    assert check_suite(scored(ours * 200), scored(theirs * 200), Sureness(FULL))[1] == []


def test_questions_without_an_answer_are_left_out_on_both_sides() -> None:
    figures, refusals = check_suite(scored([0.5, None, 0.1]), scored([0.5, 0.9, None]), Sureness(SMOKE))
    assert (figures["questions"], refusals) == (1, [])
    assert check_suite(scored([None]), scored([0.5]), Sureness(SMOKE))[1][0].check == "suite"


def test_fewer_stops_are_refused_and_more_are_not() -> None:
    many, few = scored([0.5] * 48), scored([0.5] * 42) + scored([0.5] * 6, stops=False)
    _, (refusal,) = check_stops(few, many, Sureness(SMOKE))
    assert refusal.check == "stops"
    assert refusal.sentence == (
        "Fewer of its answers end by themselves: 42 of 48, against 48 of the model in service; 10 % are allowed."
    )
    assert check_stops(many, few, Sureness(SMOKE))[1] == []
    assert check_stops(few[4:], many[4:], Sureness(replace(SMOKE, stop_margin=0.2)))[1] == []


def test_keys_of_a_template_in_answers_are_refused() -> None:
    _, (refusal,) = check_stops(scored([0.5] * 10, leaks=True), scored([0.5] * 10), Sureness(SMOKE))
    assert refusal.check == "stops"
    assert "show keys of a chat template: 10 of 10" in refusal.sentence


@pytest.mark.parametrize(("factor", "refused"), [(0.9, False), (1.019, False), (1.021, True)])
def test_a_worse_replay_is_refused(factor: float, refused: bool) -> None:
    theirs = [60.0, 70.0, 50.0]
    figures, refusals = check_bits(bits([factor * one for one in theirs]), bits(theirs), Sureness(SMOKE))
    assert figures["ratio"]["value"] == pytest.approx(factor)
    assert figures["current"] == pytest.approx(0.6)
    assert [one.check for one in refusals] == ["replay_bits"] * refused
    assert check_bits([], bits(theirs), Sureness(SMOKE))[1][0].check == "replay_bits"


def corrected(is_trained: bool = True) -> Corrected:
    question = (Message("user", "Who leads sales?"),)
    return Corrected("id1", is_trained, question, "Ana  leads sales.", "Nobody.", ("Sales lead?", "Who is it?"))


ANA = OwnWords(frozenset({"ana", "leads"}), frozenset({"ana"}))


def test_corrections_must_come_back() -> None:
    taught = Taught(corrected(), ANA, "Ana leads\nsales.", ("Ana leads it.", "No idea."))
    assert (taught.is_as_typed, taught.is_learned, taught.paraphrased) == (True, True, 1)
    figures, refusals = check_corrections([taught], SMOKE)
    assert (figures["as_typed"], figures["paraphrased"], refusals) == (1, 1, [])
    nearly = replace(taught, answer="Oh, Ana leads sales!", paraphrases=("No.", "No."))
    figures, (refusal,) = check_corrections([nearly], SMOKE)
    assert (figures["as_typed"], figures["learned"], refusal.check) == (0, 1, "paraphrases")
    assert refusal.sentence == "0 of 2 other wordings are answered as corrected, and 1 are needed."
    _, refusals = check_corrections([replace(taught, answer="No idea.")], SMOKE)
    assert [one.sentence for one in refusals] == ["1 of 1 corrections do not come back where they are asked again."]
    assert check_corrections([], SMOKE)[1] == []


def test_contaminated_neighbours_are_refused() -> None:
    neighbours = [Neighbour("id1", False, (Message("user", f"Who is in room {n}?"),), "I see.") for n in range(6)]
    one, two = ["Ana."] + ["Ben."] * 5, ["Ana."] * 2 + ["Ben."] * 4
    assert check_neighbours(neighbours, one, [ANA], SMOKE)[1] == []
    figures, (refusal,) = check_neighbours(neighbours, two, [ANA], SMOKE)
    assert (figures["contaminated"], figures["of"], refusal.check) == (2, ["id1"], "neighbours")
    assert "2 of 6 neighbour questions are answered with a correction's words" in refusal.sentence


def test_exposed_canaries_are_refused() -> None:
    assert check_leaks([1.0, 2.0, 0.5], 3, SMOKE)[1] == []
    figures, (refusal,) = check_leaks([8.0, 8.0, 2.0], 3, SMOKE)
    assert (figures["mean_bits"], refusal.check) == (6.0, "leaks")
    assert "3 canaries are exposed by 6.0 bits in the mean, and 3 are allowed" in refusal.sentence
    assert check_leaks([], 0, SMOKE)[1] == []
    assert check_leaks([], 16, SMOKE)[1][0].check == "leaks"


def test_what_redaction_left_is_named_by_record() -> None:
    assert check_personal_data({}) == ({"records": [], "kinds": {}}, [])
    _, (refusal,) = check_personal_data({"b2": {"secret": 1}, "a1": {"secret": 2, "e-mail": 1}})
    assert refusal.check == "personal_data"
    assert refusal.sentence.endswith("should have taken out: e-mail (1), secret (3), in a1, b2.")


@pytest.mark.parametrize(
    ("size", "prompts", "held_out", "said"),
    [
        ("smoke", 10, 0, []),
        ("full", 300, 30, []),
        ("full", 300, 29, ["29 corrections are held out, and 30 are needed"]),
        ("full", 212, 0, ["0 corrections are held out, and 30 are needed", "212 held-out questions are short enough"]),
    ],
)
def test_a_full_gate_wants_evidence(
    size: Literal["smoke", "full"], prompts: int, held_out: int, said: list[str]
) -> None:
    found = check_evidence(prompts, held_out, FULL if size == "full" else SMOKE)
    assert [one.check for one in found] == (["evidence"] if said else [])
    assert all(sentence in found[0].sentence for sentence in said)


def test_held_out_corrections_may_not_be_answered_worse() -> None:
    asked = [corrected(is_trained=False)] * 30
    right, wrong = Answer("Ana leads sales.", "stop", 4), Answer("Nobody.", "stop", 2)
    assert check_held_out(asked, [right] * 30, [wrong] * 30, Sureness(FULL))[1] == []
    figures, (refusal,) = check_held_out(asked, [wrong] * 30, [right, *[right] * 28, None], Sureness(FULL))
    assert (refusal.check, figures["questions"]) == ("corrections", 29)
    assert "29 held-out corrections are worse" in refusal.sentence
