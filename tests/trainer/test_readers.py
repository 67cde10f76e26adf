"""Lines to records, in four shapes, and what is no record."""

from typing import Any

import pytest

from trainer.readers import NoRecord, Row, corrected_answers, kind_of, record_of
from trainer.records import Message, Record

ASKED = {"role": "user", "content": "Where is the printer?"}
RATED = {
    "conversation": "T1/C1/1.0",
    "ts": "1.1",
    "channel": "C1",
    "messages": [ASKED],
    "answer": "Second floor.",
    "rating": "up",
    "model": "rev-1",
    "consent": True,
}


def read(kind: Any, value: Any, **known: Any) -> Record:
    return record_of(Row("file.jsonl", 7, value), kind, "file.jsonl", **known)


def test_alpaca_lays_the_input_under_the_instruction() -> None:
    record = read("alpaca", {"instruction": "Add.", "input": "1, 2", "output": "3"})
    assert record == Record(
        "file.jsonl:7", (Message("user", "Add.\n\n### Input:\n1, 2"), Message("assistant", "3")), "file.jsonl"
    )
    assert read("alpaca", {"instruction": " Add. ", "input": "", "output": "3\n"}).messages == (
        Message("user", " Add. "),
        Message("assistant", "3\n"),
    )


def test_dolly_15k_keeps_the_category() -> None:
    value = {"instruction": "Who?", "context": "Ada wrote it.", "response": "Ada", "category": "closed_qa"}
    record = read("dolly15k", value)
    assert record.category == "closed_qa"
    assert record.messages[0].content == "Who?\n\n### Input:\nAda wrote it."


def test_a_chat_keeps_names_and_its_conversation() -> None:
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hi", "name": "Ana"},
        {"role": "user", "content": "Hello", "name": "Raj"},
        {"role": "assistant", "content": "Hello you two.", "name": None},
    ]
    record = read("chat", {"messages": messages, "conversation": "t1", "category": "talk"})
    assert [message.name for message in record.messages] == [None, "Ana", "Raj", None]
    assert (record.conversation, record.category) == ("t1", "talk")


def test_a_liked_answer_and_a_correction_are_learned_from() -> None:
    assert read("feedback", RATED).messages[-1] == Message("assistant", "Second floor.")
    corrected = RATED | {"rating": "down", "correction": "Third floor."}
    record = read("feedback", corrected)
    assert record.messages == (Message("user", ASKED["content"]), Message("assistant", "Third floor."))
    assert record.conversation == "T1/C1/1.0"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"consent": False}, "no_consent"),
        ({"consent": "yes"}, "no_consent"),
        ({"rating": "down"}, "nothing_to_learn"),
        ({"rating": "down", "correction": "  "}, "nothing_to_learn"),
        ({"rating": "down", "correction": "Third", "correction_is_cut": True}, "nothing_to_learn"),
        ({"rating": "sideways"}, "bad_line"),
        ({"answer": " "}, "empty_answer"),
        ({"messages": [ASKED, {"role": "assistant", "content": "x"}]}, "bad_line"),
    ],
)
def test_other_feedback_is_not(change: dict[str, Any], why: str) -> None:
    with pytest.raises(NoRecord) as caught:
        read("feedback", RATED | change)
    assert caught.value.why == why


def test_a_correction_beats_a_thumb_of_somebody_else() -> None:
    correction = RATED | {"rating": "down", "correction": "Third floor."}
    refused = correction | {"consent": False}
    other = RATED | {"ts": "9.9"}
    known = corrected_answers([Row("f", 1, correction), Row("f", 2, RATED), Row("f", 3, "text")])
    with pytest.raises(NoRecord) as caught:
        read("feedback", RATED, corrected=known)
    assert caught.value.why == "corrected"
    assert read("feedback", other, corrected=known).messages[-1].content == "Second floor."
    assert corrected_answers([Row("f", 1, refused)]) == frozenset()


ANSWERED = {"role": "assistant", "content": "Here."}


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("alpaca", [1], "a record is an object, and this is a list"),
        ("alpaca", None, "this is null"),
        ("alpaca", {"output": "3"}, "instruction is missing"),
        ("alpaca", {"instruction": "\n", "output": "3"}, "instruction is empty"),
        ("alpaca", {"instruction": "a", "input": 3, "output": "3"}, "input is a number, and not text"),
        ("alpaca", {"instruction": "a", "output": "\ud800"}, "output holds half a character"),
        ("dolly15k", {"instruction": "a", "response": ["b"]}, "response is a list"),
        ("chat", {"messages": []}, "messages is no list, or an empty one"),
        ("chat", {"messages": ["hi"]}, r"messages\[0\] is no object"),
        ("chat", {"messages": [{"role": "tool", "content": "x"}]}, r"messages\[0\]: role is 'tool'"),
        ("chat", {"messages": [{"role": ["user"], "content": "x"}]}, r"role is \['user'\]"),
        ("chat", {"messages": [{"role": "user"}]}, r"messages\[0\]: content is missing"),
        ("chat", {"messages": [ASKED]}, "ends with a user message"),
        ("chat", {"messages": [ANSWERED]}, "an answer stands before any question"),
        ("chat", {"messages": [{"role": "system", "content": "s"}, ANSWERED]}, "before any question"),
        ("chat", {"messages": [ASKED, {"role": "system", "content": "s"}, ANSWERED]}, "only in front"),
        ("chat", {"messages": [{"role": "user", "content": " "}, ANSWERED]}, r"messages\[0\] \(user\) is empty"),
    ],
)
def test_what_is_no_record_says_why(kind: Any, value: Any, reason: str) -> None:
    with pytest.raises(NoRecord, match=reason) as caught:
        read(kind, value)
    assert caught.value.why == "bad_line"


def test_an_empty_answer_is_its_own_reason() -> None:
    for kind, value in (
        ("alpaca", {"instruction": "a", "output": " \n"}),
        ("dolly15k", {"instruction": "a", "response": ""}),
        ("chat", {"messages": [ASKED, ANSWERED, ASKED, {"role": "assistant", "content": ""}]}),
    ):
        with pytest.raises(NoRecord) as caught:
            read(kind, value)
        assert caught.value.why == "empty_answer"


def test_the_shape_is_found_by_the_keys() -> None:
    assert kind_of({"instruction": "", "input": "", "output": ""}) == "alpaca"
    assert kind_of({"instruction": "", "response": ""}) == "dolly15k"
    assert kind_of({"messages": []}) == "chat"
    assert kind_of(RATED) == "feedback"
    assert kind_of({"text": ""}) is None
    assert kind_of("text") is None
