"""A team's feedback as a retrain reads it: corrections that a reviewer approved, and answers that were liked.

Beside what `readers` says of a line, it holds "id" (the record id, by which it is withdrawn) and "review":
{"state": "approved" | "rejected" | "waiting", "neighbours": ["question", …], "paraphrases": ["other wording", …]}.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer.artifacts import sha256_of
from trainer.errors import BadInput
from trainer.readers import NoRecord, Reject, Row, corrected_answers, record_of
from trainer.records import Message, Record
from trainer.sources import read_rows

CORRECTIONS, LIKED, NEIGHBOURS = "corrections", "liked", "neighbours"
"""Sources of the records that come of feedback."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One approved correction."""

    record: Record
    """The question with what stood before it, and the answer as it should have been."""
    answer: str
    """What the model had said."""
    neighbours: tuple[str, ...] = ()
    """Questions on the same topic with another answer, which must stay as they are."""
    paraphrases: tuple[str, ...] = ()
    """Other wordings that the reviewer wrote: asked by the gate, never trained on."""

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def prompt(self) -> tuple[Message, ...]:
        return self.record.messages[:-1]

    @property
    def question(self) -> str:
        return self.record.messages[-2].content

    @property
    def text(self) -> str:
        """The answer as it should have been."""
        return self.record.messages[-1].content

    def asked(self, question: str) -> tuple[Message, ...]:
        """The same conversation, ending with another question."""
        return (*self.prompt[:-1], Message("user", question))


@dataclass(frozen=True, slots=True)
class Feedback:
    """A file of feedback, read."""

    name: str
    sha256: str
    corrections: tuple[Correction, ...]
    """In the order of the lines."""
    liked: tuple[Record, ...]
    rejects: tuple[Reject, ...]
    """Lines that nothing is learned from; their texts are the team's, and are not kept."""


def read_feedback(path: Path, withdrawn: Collection[str] = ()) -> Feedback:
    """Corrections that are approved, each question's newest, and answers that were liked and not rejected.

    Nothing is taken whose record id is `withdrawn`, or that has none. Raises BadInput where the file cannot be read.
    """
    name = path.name
    rows = read_rows(path)
    corrected = corrected_answers([row for row in rows if isinstance(row, Row)])
    corrections: list[tuple[float, int, Correction]] = []
    liked: list[Record] = []
    rejects: list[Reject] = []
    for row in rows:
        if isinstance(row, Reject):
            rejects.append(replace(row, text=""))
            continue
        try:
            record = _record(row, name, corrected, withdrawn)
            if row.value.get("correction"):
                found = _correction(row.value, replace(record, source=CORRECTIONS))
                corrections.append((_number(row.value.get("at")), row.line, found))
            else:
                _check_review(row.value, ("approved", "waiting"))
                liked.append(replace(record, source=LIKED))
        except NoRecord as error:
            rejects.append(Reject(name, row.line, error.why, str(error)))
    newest, earlier = _newest(corrections)
    rejects += [Reject(name, line, "corrected", "the same was corrected again, later") for line in earlier]
    return Feedback(
        name, sha256_of(path), tuple(newest), tuple(liked), tuple(sorted(rejects, key=lambda one: one.line))
    )


def waiting(feedback: Feedback) -> int:
    """How many corrections wait for a reviewer."""
    return sum(reject.why == "not_approved" for reject in feedback.rejects)


def _record(row: Row, name: str, corrected: frozenset[str], withdrawn: Collection[str]) -> Record:
    record = record_of(row, "feedback", name, corrected)
    record_id = row.value.get("id")
    if not isinstance(record_id, str) or not record_id:
        raise NoRecord("id is missing: what could not be withdrawn is not learned from")
    if record_id in withdrawn:
        raise NoRecord(f"{record_id} was withdrawn or forgotten", "withdrawn")
    return replace(record, id=record_id)


def _correction(value: Any, record: Record) -> Correction:
    _check_review(value, ("approved",))
    review = value["review"]
    lists = (_texts(review.get(key), f"review: {key}") for key in ("neighbours", "paraphrases"))
    return Correction(record, str(value.get("answer") or ""), *lists)


def _check_review(value: Any, allowed: Iterable[str]) -> None:
    """Raises NoRecord where a reviewer has not said what is needed; what nobody looked at is waiting."""
    review = value.get("review")
    state = review.get("state", "waiting") if isinstance(review, dict) else "waiting"
    if state not in allowed:
        said = "rejected by a reviewer" if state == "rejected" else "not approved by a reviewer"
        raise NoRecord(said, "not_approved" if state != "rejected" else "rejected")


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise NoRecord(f"{where} is no list of texts")
    return tuple(dict.fromkeys(entry.strip() for entry in value if entry.strip()))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _newest(found: Iterable[tuple[float, int, Correction]]) -> tuple[list[Correction], list[int]]:
    """Of each question in its context the newest correction, in the order of the lines; the lines of the others."""
    latest: dict[str, tuple[float, int, Correction]] = {}
    earlier: list[int] = []
    for at, line, correction in sorted(found, key=lambda one: one[:2]):
        asked = repr([(message.role, " ".join(message.content.split()).casefold()) for message in correction.prompt])
        if asked in latest:
            earlier.append(latest[asked][1])
        latest[asked] = (at, line, correction)
    return [correction for _, _, correction in sorted(latest.values(), key=lambda one: one[1])], earlier


def nothing_to_learn(feedback: Feedback) -> BadInput:
    """What to say where a file holds nothing that is approved."""
    said = f"{waiting(feedback)} corrections wait for a review." if waiting(feedback) else "No correction is approved."
    return BadInput(
        f"There is nothing to learn from in {feedback.name}: {said} Review them with `/dolly admin review` or "
        "`dolly-trainer review`."
    )
