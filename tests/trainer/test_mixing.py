"""What a retrain learns from, part by part."""

from collections.abc import Sequence

import pytest

from trainer.duplicates import asks_the_same
from trainer.feedback import Correction
from trainer.mixing import (
    answered,
    correction_records,
    draw_replay,
    has_later_turns,
    held_out_corrections,
    neighbour_records,
    neighbours_of,
    paraphrases_of,
    under,
    without_evaluation,
)
from trainer.records import Message, Record


def record(record_id: str, *turns: str) -> Record:
    roles = ("user", "assistant")
    messages = tuple(Message(roles[place % 2], text) for place, text in enumerate(turns))  # type: ignore[arg-type]
    return Record(record_id, messages, "replay")


def correction(question: str, text: str, **more: tuple[str, ...]) -> Correction:
    return Correction(record(f"id of {question}", question, text), "I do not know.", **more)


WIFI = correction(
    "What is the guest Wi-Fi password?",
    "It is blue-heron-42.",
    neighbours=("How does Wi-Fi work?", "What is a password?", "Who are our guests?"),
    paraphrases=(
        "Do you know what the guest Wi-Fi password is?",
        "what is the guest wi-fi password!",
        "How do I log in?",
    ),
)


def test_a_correction_is_repeated_in_several_wordings() -> None:
    found = correction_records(WIFI, 12, 5, [])
    questions = [one.messages[0].content for one in found]
    assert len(found) == len({one.id for one in found}) == 12
    assert questions.count(WIFI.question) == 7
    assert len(set(questions)) == 6
    assert {one.messages[-1].content for one in found} == {"It is blue-heron-42."}


@pytest.mark.parametrize(("repeat", "wordings", "as_asked"), [(1, 5, 1), (3, 5, 1), (12, 0, 12), (40, 30, 30)])
def test_it_is_always_asked_as_it_was_too(repeat: int, wordings: int, as_asked: int) -> None:
    found = [one.messages[0].content for one in correction_records(WIFI, repeat, wordings, [])]
    assert len(found) == repeat
    assert found.count(WIFI.question) == as_asked


def test_no_wording_is_what_the_gate_asks() -> None:
    asked = list(WIFI.paraphrases)
    found = {one.messages[0].content for one in correction_records(WIFI, 20, 12, asked)}
    assert len(found) > 5
    assert not [question for question in found - {WIFI.question} if asks_the_same(question, asked)]


def test_a_paraphrase_that_is_the_question_itself_tells_nothing() -> None:
    assert paraphrases_of(WIFI) == [WIFI.paraphrases[0], "How do I log in?"]


def test_a_corrections_last_neighbours_are_held_out() -> None:
    trained = [(one.question, one.is_trained) for one in neighbours_of([WIFI], 0.5)]
    assert trained == [("How does Wi-Fi work?", True), ("What is a password?", True), ("Who are our guests?", False)]
    assert all(one.is_trained for one in neighbours_of([WIFI], 0.0))


def test_a_neighbour_is_asked_once_and_never_what_was_corrected() -> None:
    other = correction(
        "Who leads sales?",
        "Ana.",
        neighbours=("How does wi-fi work", "who leads sales", "Who are our guests?", "What is a sale?"),
    )
    found = [(one.question, one.is_trained) for one in neighbours_of([WIFI, other], 0.5)]
    assert found == [
        ("How does Wi-Fi work?", True),
        ("What is a password?", True),
        ("Who are our guests?", False),
        ("How does wi-fi work", True),
        ("What is a sale?", False),
    ]


def test_neighbours_are_learned_with_the_models_own_answers() -> None:
    def own(prompts: Sequence[Sequence[Message]]) -> list[str]:
        return [f"About {prompt[-1].content}" for prompt in prompts]

    neighbours = answered(neighbours_of([WIFI], 0.5), own)
    found = list(neighbour_records(neighbours, 2))
    assert [one.messages[-1].content for one in found] == ["About How does Wi-Fi work?"] * 2 + [
        "About What is a password?"
    ] * 2
    assert len({one.id for one in found}) == 4


def test_of_an_answer_that_was_cut_off_whole_sentences_are_learned() -> None:
    said = "It is a word. Nobody knows it (or should!) and so it g"
    trained, _, held_out = answered(neighbours_of([WIFI], 0.5), lambda prompts: [said] * len(prompts))
    assert trained.answer == "It is a word. Nobody knows it (or should!)"
    assert held_out.answer == said


def test_answers_without_a_sentence_or_with_an_address_are_not_learned() -> None:
    answers = ["and so on", "Write to it@example.com.", ""]
    found = answered(neighbours_of([WIFI], 0.5), lambda prompts: answers[: len(prompts)])
    assert [(one.question, one.is_trained) for one in found] == [("Who are our guests?", False)]
    assert answered([], lambda prompts: pytest.fail("nobody asked")) == []


def test_held_out_corrections_stay_so_as_others_come() -> None:
    corrections = [correction(f"Question {number}?", "Yes.") for number in range(40)]
    assert held_out_corrections(corrections[:9], 0.1, 42) == set()
    few, all_of_them = (held_out_corrections(corrections[:number], 0.1, 42) for number in (20, 40))
    assert (len(few), len(all_of_them)) == (2, 4)
    assert len(held_out_corrections([*corrections, correction("new", "Yes.")], 0.1, 42) - all_of_them) <= 1


def test_a_fifth_of_the_replay_has_several_turns() -> None:
    single = [record(f"s{number}", f"Question {number}?", "Yes.") for number in range(100)]
    several = [record(f"l{number}", f"Topic {number}?", "Yes.", "More?", "No.") for number in range(4)]
    found = draw_replay(single + several, 50, 0.2, 42)
    assert len(found) == 50
    assert sum(map(has_later_turns, found)) >= 10
    assert {one.id for one in several} <= {one.id for one in found}
    joined = next(one for one in found if "+" in one.id)
    assert [message.role for message in joined.messages] == ["user", "assistant", "user", "assistant"]
    assert found == draw_replay(single + several, 50, 0.2, 42)
    assert found != draw_replay(single + several, 50, 0.2, 43)


@pytest.mark.parametrize(("single", "several", "number"), [(0, 30, 10), (3, 0, 50), (1, 0, 1), (60, 60, 50), (5, 1, 5)])
def test_replay_is_drawn_from_whatever_there_is(single: int, several: int, number: int) -> None:
    records = [record(f"s{place}", f"Question {place}?", "Yes.") for place in range(single)]
    records += [record(f"l{place}", f"Topic {place}?", "Yes.", "More?", "No.") for place in range(several)]
    found = draw_replay(records, number, 0.2, 42)
    assert len(found) == min(number, len(records))
    assert sum(map(has_later_turns, found)) >= 0.2 * len(found)


def test_what_is_evaluated_is_not_replayed() -> None:
    held_out = [record("h", "Explain to me in your own words how a heat pump works.", "It moves heat from outside in.")]
    near = record("n", "Explain to me in your own words how a heat pump works!", "It moves heat from the outside in.")
    same = record("s", "explain to me in your own words how a heat pump works", "Another answer altogether, longer.")
    asked = record("a", "Which of our seven offices has a bicycle cellar, please?", "None of them.")
    other = record("o", "What is a heat pump?", "A machine.")
    found = without_evaluation([near, same, asked, other], held_out, [asked.messages[0].content])
    assert found == [other]


def test_the_bots_prompt_is_laid_before_what_has_none() -> None:
    plain = record("a", "Hello?", "Hello!")
    told = Record("b", (Message("system", "Be brief."), *plain.messages), "replay")
    assert under("You are Dolly.", plain).messages == (Message("system", "You are Dolly."), *plain.messages)
    assert under("You are Dolly.", told) == told
    assert under("", plain) == plain
