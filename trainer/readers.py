"""From one line of a file to a Record, in four shapes.

`alpaca`    {"instruction", "input"?, "output"}: Stanford Alpaca and what looks like it.
`dolly15k`  {"instruction", "context"?, "response", "category"?}: databricks-dolly-15k.
`chat`      {"messages": [{"role", "content", "name"?}, …], "id"?, "category"?, "conversation"?}: any number of turns, a
            system message only in front, ending with an assistant's.
`feedback`  what the bot exports, one rating of one answer a line:

    {"conversation": "T1/C1/1700000000.000100",    the thread; its ratings are never split between train and held-out
     "ts": "1700000000.000200",                    the question's
     "channel": "C1",
     "messages": [{"role", "content", "name"?}…],  the thread up to the question, as the model read it
     "answer": "…",                                what the model said
     "rating": "up" | "down",
     "correction": "…",                            how it should have been; empty or missing without one
     "correction_is_cut": false,                   whether only the answer's beginning could be corrected
     "model": "…", "prompt_hash": "…",             revision that answered, and the system prompt that it had
     "consent": true,                              whether the channel lets its feedback train a model
     "at": 1700000000.0, "comment": "…"}           kept for people

A correction is learned from as it is; an answer that was rated `up` where nobody corrected it. An input or a context is
laid under the instruction as Dolly v1 did, by the key `### Input:`. What is no record becomes a Reject, never nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from trainer.records import Message, Record, Role

Kind = Literal["alpaca", "dolly15k", "chat", "feedback"]
Why = Literal[
    "bad_line",
    "empty_answer",
    "no_consent",
    "nothing_to_learn",
    "corrected",
    "near_duplicate",
    "in_evaluation",
    "not_approved",
    "rejected",
    "withdrawn",
]

INPUT_KEY = "\n\n### Input:\n"
"""Between an instruction and what it is about, in Dolly v1's text."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that nothing is learned from, and why."""

    file: str
    line: int
    why: Why
    reason: str
    text: str = ""
    """The line, or its beginning."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file, or one item of a list, parsed."""

    file: str
    line: int
    value: Any


class NoRecord(Exception):
    """Why a line is no record; caught by whoever reads the file."""

    def __init__(self, reason: str, why: Why = "bad_line") -> None:
        super().__init__(reason)
        self.why = why


def kind_of(value: Any) -> Kind | None:
    """Which shape it has, by its keys."""
    keys = value.keys() if isinstance(value, Mapping) else set()
    if keys >= {"messages", "rating"}:
        return "feedback"
    if "messages" in keys:
        return "chat"
    if keys >= {"instruction", "response"}:
        return "dolly15k"
    return "alpaca" if keys >= {"instruction", "output"} else None


def record_of(row: Row, kind: Kind, source: str, corrected: frozenset[str] = frozenset()) -> Record:
    """The record that a line is. Raises NoRecord.

    `corrected` are the answers of `corrected_answers`, for feedback.
    """
    value, record_id = row.value, f"{source}:{row.line}"
    if not isinstance(value, Mapping):
        raise NoRecord(f"a record is an object, and this is {_named(value)}")
    if kind == "alpaca":
        return Record(record_id, _turn(value, "input", "output"), source)
    if kind == "dolly15k":
        return Record(record_id, _turn(value, "context", "response"), source, _text(value, "category", "") or None)
    conversation = _text(value, "conversation", "") or None
    category = _text(value, "category", "") or None
    messages = _messages(value)
    if kind == "feedback":
        messages = (*messages, Message("assistant", _learned_answer(value, messages, corrected)))
    return Record(record_id, _conversation(messages), source, category, conversation)


def corrected_answers(rows: Sequence[Row]) -> frozenset[str]:
    """The answers that somebody who agreed to it has corrected, of the lines of a feedback file."""
    found = set()
    for row in rows:
        if isinstance(row.value, Mapping) and row.value.get("consent") is True and row.value.get("correction"):
            found.add(_answer_id(row.value))
    return frozenset(found)


def _turn(value: Mapping[str, Any], about: str, answer: str) -> tuple[Message, ...]:
    """An instruction and its answer as two messages."""
    instruction, text = _text(value, "instruction"), _text(value, about, "")
    if not instruction.strip():
        raise NoRecord("instruction is empty")
    said = _text(value, answer)
    if not said.strip():
        raise NoRecord(f"{answer} is empty", "empty_answer")
    question = f"{instruction}{INPUT_KEY}{text}" if text.strip() else instruction
    return Message("user", question), Message("assistant", said)


def _messages(value: Mapping[str, Any]) -> tuple[Message, ...]:
    listed = value.get("messages")
    if not isinstance(listed, list) or not listed:
        raise NoRecord("messages is no list, or an empty one")
    return tuple(_message(entry, f"messages[{index}]") for index, entry in enumerate(listed))


def _message(entry: Any, where: str) -> Message:
    if not isinstance(entry, Mapping):
        raise NoRecord(f"{where} is no object with role and content")
    role: Role = entry.get("role")  # type: ignore[assignment]   # looked at in the next line
    if role not in get_args(Role):
        raise NoRecord(f"{where}: role is {role!r}, and neither of {', '.join(get_args(Role))}")
    return Message(role, _text(entry, "content", where=where), _text(entry, "name", "", where=where) or None)


def _conversation(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The same, if somebody asks in them and is answered."""
    roles = [message.role for message in messages]
    if "system" in roles[1:]:
        raise NoRecord("a system message stands only in front")
    if roles[-1] != "assistant":
        raise NoRecord(f"ends with a {roles[-1]} message, and not with an answer")
    asked = roles[1:] if roles[0] == "system" else roles
    if asked[0] != "user":
        raise NoRecord("an answer stands before any question")
    for index, message in enumerate(messages):
        if not message.content.strip():
            raise NoRecord(
                f"messages[{index}] ({message.role}) is empty",
                "empty_answer" if message.role == "assistant" else "bad_line",
            )
    return messages


def _learned_answer(value: Mapping[str, Any], messages: tuple[Message, ...], corrected: frozenset[str]) -> str:
    """The correction, or the answer that was liked."""
    if messages[-1].role != "user":
        raise NoRecord("messages end with the question; the answer stands in answer")
    rating, answer, correction = _text(value, "rating"), _text(value, "answer"), _text(value, "correction", "")
    if rating not in ("up", "down"):
        raise NoRecord(f"rating is {rating!r}, and neither up nor down")
    if value.get("consent") is not True:
        raise NoRecord("the channel has not agreed to its feedback being learned from", "no_consent")
    if correction.strip() and value.get("correction_is_cut"):
        raise NoRecord("only the beginning of the answer was corrected", "nothing_to_learn")
    if correction.strip():
        return correction
    if rating == "down":
        raise NoRecord("rated down, and nobody wrote how it should have been", "nothing_to_learn")
    if _answer_id(value) in corrected:
        raise NoRecord("liked by one, and corrected by another", "corrected")
    return answer


def _answer_id(value: Mapping[str, Any]) -> str:
    return repr((value.get("conversation"), value.get("ts"), value.get("answer")))


def _text(value: Mapping[str, Any], key: str, default: str | None = None, where: str = "") -> str:
    """A string of the object; None in its place counts as missing."""
    found = value.get(key)
    name = f"{where}: {key}" if where else key
    if found is None:
        if default is None:
            raise NoRecord(f"{name} is missing")
        return default
    if not isinstance(found, str):
        raise NoRecord(f"{name} is {_named(found)}, and not text")
    try:
        found.encode()
    except UnicodeEncodeError:
        raise NoRecord(f"{name} holds half a character (a lone surrogate)") from None
    return found


def _named(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "null" if value is None else type(value).__name__)
