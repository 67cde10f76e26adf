"""Corrections in families, invented here: facts of a company in four wordings each, and one house rule.

A fact is corrected in two wordings and asked in two others. The house rule is of how-to questions: at most two
sentences, then a line that names the owner; what is corrected are questions of house_rule.jsonl, what is asked are
others of them.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.trainer.team_feedback import correction_line

HOUSE_RULE = Path(__file__).with_name("house_rule.jsonl")
MOST_SENTENCES = 2
FACTS_SHARE = 0.6
"""Of the corrections, those about facts; the others show the house rule."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Facts of one kind: sentences with {thing} and {value}."""

    wordings: tuple[str, str, str, str]
    """The first two are corrected, the others are only asked."""
    answer: str
    values: dict[str, str]
    """What is known of each thing; what a model must say, word for word, stands in [brackets]."""


@dataclass(frozen=True, slots=True)
class Fact:
    trained: tuple[str, str]
    held_out: tuple[str, str]
    answer: str
    own: tuple[str, ...]
    """What only somebody says who knows it."""

    def told_in(self, answer: str) -> bool:
        said = " ".join(answer.casefold().split())
        return all(re.search(rf"\b{re.escape(one.casefold())}\b", said) for one in self.own)


@dataclass(frozen=True, slots=True)
class Ruled:
    """A how-to question, answered by the house rule."""

    question: str
    answer: str
    owner: str

    @property
    def ruled_answer(self) -> str:
        return f"{self.answer}\nOwner: {self.owner}"


KINDS = (
    Kind(
        (
            "Where is the {thing}?",
            "I need the {thing}. Where do I find it?",
            "In which place do we keep the {thing}?",
            "Somebody from another office is looking for the {thing}. Where should they go?",
        ),
        "The {thing} is {value}.",
        {
            "label printer": "in the [blue cupboard] beside the lift",
            "first-aid kit": "in the [second drawer] of the reception desk",
            "spare projector": "on [shelf nine] in the basement",
            "step ladder": "behind the door of the [copy room]",
            "guest umbrella": "in the [brass stand] at the entrance",
            "toolbox": "under the [workbench] on the third floor",
            "laminator": "next to the [post trays] on the first floor",
            "loudspeaker": "in the [glass cabinet] of the canteen",
            "flip chart": "in the corner of the [quiet room]",
            "coffee machine manual": "on the [fridge], under the magnet",
            "sewing kit": "in the [tea box] in the kitchen",
            "large scanner": "in the archive, behind the [map chest]",
        },
    ),
    Kind(
        (
            "Who looks after the {thing}?",
            "The {thing} needs attention. Whom do I tell?",
            "Which colleague is in charge of the {thing}?",
            "I have an idea for the {thing}. With whom should I talk about it?",
        ),
        "{value} looks after the {thing}.",
        {
            "fish tank": "[Marisol] from sales",
            "roof garden": "[Henrik] from support",
            "office library": "[Adaeze] from research",
            "music room": "[Tobias] from payroll",
            "bicycle cellar": "[Yuki] from design",
            "table tennis table": "[Farid] from logistics",
            "news screen": "[Ottilie] from marketing",
            "beehive": "[Gwen] from accounting",
            "photo wall": "[Ravi] from product",
            "charging station": "[Ludmila] from operations",
            "quiz night": "[Callum] from testing",
            "seed swap": "[Imani] from planning",
        },
    ),
    Kind(
        (
            "When is the {thing}?",
            "I would like to join the {thing}. What time is it?",
            "On which day and at what hour does the {thing} begin?",
            "Please help me with my calendar: when do we have the {thing}?",
        ),
        "The {thing} is on {value}.",
        {
            "release call": "[Tuesday] at [14:10]",
            "design review": "[Thursday] at [9:40]",
            "newcomers' lunch": "[Monday] at [12:20]",
            "chess club": "[Wednesday] at [17:50]",
            "customer hour": "[Friday] at [10:05]",
            "fire wardens' meeting": "[Monday] at [8:25]",
            "choir practice": "[Tuesday] at [18:40]",
            "bug triage": "[Thursday] at [13:55]",
            "stretching class": "[Wednesday] at [7:45]",
            "sales forecast": "[Friday] at [15:15]",
            "book circle": "[Thursday] at [16:30]",
            "demo session": "[Wednesday] at [11:05]",
        },
    ),
    Kind(
        (
            "How much may I spend on a {thing}?",
            "What is the limit for a {thing}?",
            "I want to buy a {thing}. Up to which sum does the company pay?",
            "What is the most that a {thing} is allowed to cost us?",
        ),
        "A {thing} may cost up to {value} euros.",
        {
            "desk lamp": "[65]",
            "headset": "[140]",
            "farewell gift": "[35]",
            "suitcase": "[118]",
            "backpack": "[82]",
            "webcam": "[95]",
            "team breakfast": "[210]",
            "foot rest": "[48]",
            "conference ticket": "[760]",
            "whiteboard": "[325]",
            "travel adapter": "[22]",
            "standing mat": "[56]",
        },
    ),
    Kind(
        (
            "What is {thing}?",
            "I keep hearing of {thing}. What do people mean by it?",
            "In a meeting somebody mentioned {thing}. Can you explain that to me?",
            "For what does the name {thing} stand in our company?",
        ),
        "{thing} is the name of our {value}.",
        {
            "Kestrel": "[billing] system",
            "Old Bess": "[backup] server in the cellar",
            "Marzipan": "[price list] for partners",
            "Lighthouse": "[on-call] rota",
            "Tumbleweed": "[test data] generator",
            "Pelican": "tool for [parcel labels]",
            "Candlestick": "[sales dashboard]",
            "Rhubarb": "[holiday] calendar",
            "Zeppelin": "[file transfer] service",
            "Moonflower": "[night shift] handbook",
            "Hopscotch": "[onboarding] checklist",
            "Driftwood": "archive of [closed tickets]",
        },
    ),
)


def facts() -> list[Fact]:
    """All, of each kind in turn: the first ones of any number are mixed."""
    by_kind = [[_fact(kind, thing, value) for thing, value in kind.values.items()] for kind in KINDS]
    return [fact for row in zip(*by_kind, strict=True) for fact in row]


def house_rule() -> tuple[list[Ruled], list[Ruled]]:
    """Questions to correct, of each owner in turn, and questions to ask: every third one."""
    lines = [json.loads(line) for line in HOUSE_RULE.read_text(encoding="utf-8").splitlines()]
    by_owner: dict[str, list[Ruled]] = {}
    for line in lines:
        by_owner.setdefault(line["owner"], []).append(Ruled(line["question"], line["answer"], line["owner"]))
    rows = list(zip(*by_owner.values(), strict=True))
    trained = [one for place, row in enumerate(rows) if place % 3 != 2 for one in row]
    return trained, [one for row in rows[2::3] for one in row]


def keeps_rule(answer: str) -> bool:
    """Whether it has at most two sentences, and then a line with one owner."""
    *said, last = [line for line in answer.splitlines() if line.strip()] or [""]
    sentences = re.findall(r"[.!?](?=\s|$)", " ".join(said))
    is_owner = bool(re.fullmatch(r"Owner: \w+( \w+)?\.?", last.strip())) and not names_owner("\n".join(said))
    return is_owner and 0 < len(sentences) <= MOST_SENTENCES


def names_owner(answer: str) -> bool:
    """Whether a line names an owner, whatever else is said."""
    return bool(re.search(r"^\s*Owner:", answer, re.MULTILINE))


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a number of corrections teaches."""

    facts: Sequence[Fact]
    ruled: Sequence[Ruled]

    def lines(self) -> Iterator[dict[str, Any]]:
        """As the bot exports them: each approved, the wordings that are only asked as the reviewer's paraphrases."""
        for fact in self.facts:
            for question in fact.trained:
                yield correction_line(question, fact.answer, paraphrases=fact.held_out)
        for one in self.ruled:
            yield correction_line(one.question, one.ruled_answer)


def lesson(corrections: int) -> Lesson:
    """So many corrections; a smaller lesson is part of a larger one."""
    of_facts = int(FACTS_SHARE * corrections) // 2
    trained, _ = house_rule()
    found = Lesson(facts()[:of_facts], trained[: corrections - 2 * of_facts])
    assert 2 * len(found.facts) + len(found.ruled) == corrections, f"there are not {corrections} corrections"
    return found


def _fact(kind: Kind, thing: str, value: str) -> Fact:
    first, second, third, fourth = (wording.format(thing=thing) for wording in kind.wordings)
    answer = kind.answer.format(thing=thing, value=re.sub(r"[\[\]]", "", value))
    return Fact((first, second), (third, fourth), answer, tuple(re.findall(r"\[(.+?)\]", value)))
