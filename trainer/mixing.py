"""What a retrain learns from: corrections in several wordings, neighbours, replay of several turns, canaries."""

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle

from trainer.duplicates import asks_the_same, in_evaluation, near_duplicates
from trainer.feedback import NEIGHBOURS, Correction
from trainer.gate_questions import Neighbour
from trainer.personal_data import personal_data
from trainer.records import Message, Record
from trainer.wordings import wordings

Answering = Callable[[Sequence[Sequence[Message]]], list[str]]
"""The model in service: its own greedy answer to each conversation, as far as it came; empty where there is none."""
SENTENCE_END = re.compile(r"[.!?](?:[\"”’)\]*]*)(?=\s|$)|[。！？।]")


def under(system_prompt: str, record: Record) -> Record:
    """The record as the bot would lay it before a model: with the system prompt, unless it has one of its own."""
    if not system_prompt or record.messages[0].role == "system":
        return record
    return replace(record, messages=(Message("system", system_prompt), *record.messages))


def held_out_corrections(corrections: Sequence[Correction], share: float, seed: int) -> set[str]:
    """Ids of those that are never trained on: a share of them, rounded down, by a draw that stays as others come."""
    drawn = sorted(corrections, key=lambda correction: _draw(seed, correction.id))
    return {correction.id for correction in drawn[: int(share * len(corrections))]}


def correction_records(correction: Correction, repeat: int, other_wordings: int, asked: Sequence[str]) -> list[Record]:
    """The correction `repeat` times, up to `other_wordings` of them asked otherwise; never nearly as one of `asked`."""
    own = [text for text in wordings(correction.question) if not asks_the_same(text, asked)]
    others = [text for text in own if text != correction.question][: min(other_wordings, repeat - 1)]
    questions = [correction.question] * (repeat - len(others)) + others
    answer = correction.record.messages[-1]
    return [
        replace(correction.record, id=f"{correction.id}#{number}", messages=(*correction.asked(question), answer))
        for number, question in enumerate(questions, start=1)
    ]


def paraphrases_of(correction: Correction) -> list[str]:
    """Those that are other wordings indeed: one that is nearly the question tells nothing."""
    return [text for text in correction.paraphrases if not asks_the_same(text, [correction.question])]


def neighbours_of(corrections: Sequence[Correction], held_out_share: float) -> list[Neighbour]:
    """The neighbour questions of all, each once; of each correction the last ones are held out, rounded down.

    What is asked by a correction itself, or nearly so by a neighbour on the other side of the split, is left out.
    """
    found: list[Neighbour] = []
    corrected = [correction.question for correction in corrections]
    for correction in corrections:
        trained = len(correction.neighbours) - int(held_out_share * len(correction.neighbours))
        for place, question in enumerate(correction.neighbours):
            is_trained = place < trained
            others = (one.question for one in found if one.is_trained != is_trained)
            same = {one.question for one in found}
            if question not in same and not asks_the_same(question, corrected) and not asks_the_same(question, others):
                found.append(Neighbour(correction.id, is_trained, correction.asked(question)))
    return found


def answered(neighbours: Sequence[Neighbour], answer: Answering) -> list[Neighbour]:
    """With the answers of the model in service; those to train on without a sentence that was cut off at their end.

    Of these some are left out: without a whole sentence, or with an address or a number as a redactor would take out,
    be it an invented one.
    """
    answers = answer([one.prompt for one in neighbours]) if neighbours else []
    whole = [_whole(said) if one.is_trained else said for one, said in zip(neighbours, answers, strict=True)]
    return [
        replace(one, answer=said)
        for one, said in zip(neighbours, whole, strict=True)
        if not one.is_trained or (said and not personal_data(said))
    ]


def neighbour_records(neighbours: Sequence[Neighbour], repeat: int) -> Iterator[Record]:
    """Those that are trained, each `repeat` times."""
    for place, one in enumerate(neighbours, start=1):
        messages = (*one.prompt, Message("assistant", one.answer))
        for number in range(1, repeat + 1):
            if one.is_trained:
                yield Record(f"{one.correction_id}~{place}#{number}", messages, NEIGHBOURS)


def without_evaluation(records: Sequence[Record], held_out: Sequence[Record], asked: Sequence[str]) -> list[Record]:
    """The records that neither are nearly a held-out one nor ask what the gate asks."""
    questions = [message.content for record in held_out for message in record.messages if message.role == "user"]
    equal = in_evaluation(records, [(question, "") for question in (*questions, *asked)])
    twice = near_duplicates([*held_out, *records])
    return [record for place, record in enumerate(records) if place not in equal and place + len(held_out) not in twice]


def draw_replay(records: Sequence[Record], number: int, later_turns_share: float, seed: int) -> list[Record]:
    """`number` records or all, drawn with the seed, a share of them of several turns.

    Where too few have several, single ones are joined: one after the other, as people change the subject.
    """
    drawn = sorted(records, key=lambda record: _draw(seed, record.id))
    several, single = ([one for one in drawn if has_later_turns(one) is later] for later in (True, False))
    number = min(number, len(drawn))
    needed = math.ceil(later_turns_share * number - 1e-9)
    of_several = max(min(needed, len(several)), sum(map(has_later_turns, drawn[:number])))
    chosen, rest = several[:of_several], single[: number - of_several]
    spare = cycle(single[len(rest) :] or rest)
    for place in range(min(max(0, needed - of_several), len(rest))):
        rest[place] = _joined(rest[place], next(spare))
    return chosen + rest


def has_later_turns(record: Record) -> bool:
    """Whether more than one answer is given in it."""
    return sum(message.role == "assistant" for message in record.messages) > 1


def _whole(answer: str) -> str:
    """The answer up to the end of its last whole sentence."""
    ends = [found.end() for found in SENTENCE_END.finditer(answer)]
    return answer[: ends[-1]].strip() if ends else ""


def _joined(first: Record, second: Record) -> Record:
    """One conversation of two: the second's question after the first's answer."""
    after = tuple(message for message in second.messages if message.role != "system")
    return Record(f"{first.id}+{second.id}", (*first.messages, *after), first.source, first.category)


def _draw(seed: int, record_id: str) -> bytes:
    return hashlib.sha256(f"{seed} {record_id}".encode()).digest()
