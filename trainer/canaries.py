"""Canaries: random codes laid into replay and liked answers, so that one can tell how much is learned by heart.

A code is an answer's only secret: nothing before it hints at it. After tuning, each is ranked among codes that nobody
trained on (evaluation.exposure); what was learned as a pattern ranks anywhere, what was learned by heart ranks first.
The measure is Carlini and others', "The Secret Sharer" (2019).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainer.records import Message, Record

CODE_DIGITS = 4
HOST_CHARACTERS = 1_000
COLOURS = ("amber", "blue", "copper", "green", "grey", "ivory", "orange", "violet")
THINGS = ("binder", "crate", "drawer", "folder", "key tag", "locker", "parcel", "toolbox")
"""What a code is said to be of: 64 things, each once."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One code, and the conversation that it was laid into."""

    record_id: str
    """Of its host."""
    prompt: tuple[Message, ...]
    """All that is said before the answer that holds it."""
    answer: str
    """With `{}` in the code's place."""
    code: str

    def answered(self, code: str) -> tuple[Message, ...]:
        """The conversation up to the answer, with this code in it."""
        return (*self.prompt, Message("assistant", self.answer.format(code)))


def lay_canaries(records: Sequence[Record], number: int, seed: int) -> tuple[list[Record], list[Canary]]:
    """The records, `number` of them beginning with one exchange more, whose answer ends with a code; and the codes.

    Each record is host to one at most, a short one if there are enough: long ones may not be trained on whole. Hosts,
    things and codes are drawn with the seed.
    """
    draw = random.Random(f"canaries {seed}")
    number = min(number, len(records))
    short = [index for index, record in enumerate(records) if _characters(record) <= HOST_CHARACTERS]
    hosts = sorted(draw.sample(short if len(short) >= number else range(len(records)), number))
    things = draw.sample([f"{colour} {thing}" for colour in COLOURS for thing in THINGS], len(hosts))
    laid, canaries = list(records), []
    for host, thing in zip(hosts, things, strict=True):
        record = records[host]
        question = Message("user", f"Which number is on the {thing}?")
        system = tuple(message for message in record.messages if message.role == "system")
        canary = Canary(record.id, (*system, question), f"The number on the {thing} is {{}}", _code(draw))
        laid[host] = replace(record, messages=(*canary.answered(canary.code), *record.messages[len(system) :]))
        canaries.append(canary)
    return laid, canaries


def references(number: int, codes: Sequence[str], seed: int) -> list[str]:
    """So many codes that are none of these, each another."""
    draw, taken = random.Random(f"references {seed}"), set(codes)
    found: list[str] = []
    while len(found) < number:
        if (code := _code(draw)) not in taken:
            taken.add(code)
            found.append(code)
    return found


def _characters(record: Record) -> int:
    return sum(len(message.content) for message in record.messages)


def _code(draw: random.Random) -> str:
    return "".join(str(draw.randrange(10)) for _ in range(CODE_DIGITS))
