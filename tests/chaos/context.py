"""Judges the prompts that reached the engine: each earlier turn once, in order, of its own thread only."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from tests.chaos.markers import answers_in, questions_in

MEMORY_FLOOR = 8
"""So many of the newest turns fit the memory's budget in any case; older ones may have been trimmed."""

Report = Callable[[str, int, str], None]


@dataclass(frozen=True)
class Prompt:
    """One request to the engine."""

    at: float
    asker: str
    """Which process asked."""
    messages: list[dict[str, str]]

    @cached_property
    def number(self) -> int | None:
        """The question that is asked: the newest."""
        numbers = questions_in(self.messages[-1]["content"])
        return numbers[-1] if numbers else None

    @cached_property
    def history(self) -> tuple[int, ...]:
        """The questions of the turns before it, oldest first. What such a message quotes before it is no turn."""
        users = [questions_in(m["content"]) for m in self.messages[:-1] if m["role"] == "user"]
        return tuple(numbers[-1] for numbers in users if numbers)

    @cached_property
    def pairs(self) -> list[tuple[int, list[int]]]:
        """Each earlier turn's question with what answers follow it."""
        answers = [answers_in(m["content"]) for m in self.messages[:-1] if m["role"] == "assistant"]
        return list(zip(self.history, answers, strict=False))

    @cached_property
    def everything(self) -> set[int]:
        """All that is named anywhere in it."""
        texts = [m["content"] for m in self.messages if m["role"] != "system"]
        return {number for text in texts for number in (*questions_in(text), *answers_in(text))}


@dataclass
class Order:
    """A conversation's memory over the whole run, put together from all its prompts."""

    turns: list[int] = field(default_factory=list)
    newest: int | None = None
    """The question that was the last to be asked first: nothing later shows whether it was remembered."""


def judge_contexts(
    prompts: Sequence[Prompt], conversation_of: Mapping[int, str], taken_back: Set[int], report: Report
) -> dict[str, Order]:
    """Report what is wrong with prompts; the order of turns in each conversation's memory.

    What was `taken_back` may be remembered or not.
    """
    by_conversation: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in sorted(prompts, key=lambda prompt: prompt.at):
        if prompt.number is not None and prompt.number in conversation_of:
            by_conversation[conversation_of[prompt.number]].append(prompt)
    orders = {}
    for conversation, own in by_conversation.items():
        for prompt in own:
            _judge_one(prompt, conversation, conversation_of, report)
        orders[conversation] = _order_of(own)
        _judge_memory(own, orders[conversation].turns, taken_back, report)
    return orders


def _judge_one(prompt: Prompt, conversation: str, conversation_of: Mapping[int, str], report: Report) -> None:
    asked = prompt.number
    assert asked is not None
    for number in sorted(prompt.everything):
        if conversation_of.get(number) != conversation:
            report("crossed", asked, f"its prompt names q{number:05d} of {conversation_of.get(number)}")
    for number, times in Counter((*prompt.history, asked)).items():
        if times > 1:
            report("duplicated", number, f"{times} times in the prompt of q{asked:05d}")
    for number, answers in prompt.pairs:
        if answers not in ([number], []):  # none: what stands of a poison's answer bears no name
            report("duplicated", number, f"followed by the answers {answers} in the prompt of q{asked:05d}")


def _order_of(prompts: Sequence[Prompt]) -> Order:
    """Each turn where it was first seen: before the next one that was known by then, or at the end."""
    turns: list[int] = []
    for prompt in prompts:
        place = len(turns)
        for number in reversed(prompt.history):
            if number not in turns:
                turns.insert(place, number)
            place = turns.index(number)
    first = dict(reversed([(prompt.number, prompt.at) for prompt in prompts]))
    return Order(turns, max(first, key=lambda number: first[number]))


def _judge_memory(prompts: Sequence[Prompt], turns: list[int], taken_back: Set[int], report: Report) -> None:
    """Each prompt shows an unbroken stretch of the memory; one prompt of each turn shows the newest before it.

    Others of the same turn may be older: of an attempt that failed before an earlier message arrived, or of a
    paused worker that asks with what it had read.
    """
    by_number: dict[int, list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        assert prompt.number is not None
        by_number[prompt.number].append(prompt)
        again = any(other.at < prompt.at and prompt.number in other.history for other in prompts)
        _judge_stretch(prompt, turns, taken_back, report, answered_before=again)
    for number, own in by_number.items():
        if number not in turns:
            continue  # poison, or the newest of all
        place = turns.index(number)
        expected = [n for n in turns[max(0, place - MEMORY_FLOOR) : place] if n not in taken_back]
        missing = min(([n for n in expected if n not in prompt.history] for prompt in own), key=len)
        for gone in missing:
            report("lost", gone, f"remembered, and not in the prompt of q{number:05d}")


def _judge_stretch(
    prompt: Prompt, turns: list[int], taken_back: Set[int], report: Report, *, answered_before: bool
) -> None:
    """Who has a question `answered_before` answered again is shown what was said before it, whenever it was heard.

    So neither that question nor a later one is there, though one that was heard after them may be. Numbers grow as
    questions are asked.
    """
    asked = prompt.number
    assert asked is not None
    places = [turns.index(number) for number in prompt.history]
    for before, after in pairwise(places):
        if after < before:
            report("reordered", turns[after], f"behind q{turns[before]:05d} in the prompt of q{asked:05d} alone")
        between = (n for n in turns[before + 1 : after] if n not in taken_back)
        for gone in (n for n in between if not (answered_before and n >= asked)):
            report("lost", gone, f"missing between its neighbours in the prompt of q{asked:05d}")
