"""One model, measured: `python -m tests.benchmarks.loop.measured KIND CORRECTIONS PLACE`, in a process of its own.

Makes the model, takes bits per byte in transformers, asks it in llama.cpp, and leaves in its folder result.json and,
for people to read, answers.jsonl. The weights are removed.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import fsum
from pathlib import Path
from statistics import fmean
from typing import get_args

from tests.benchmarks.loop.families import Fact, Ruled, house_rule, keeps_rule, lesson, names_owner
from tests.benchmarks.loop.models import Kind, Subject, clear, made, tokens
from tests.trainer.team_feedback import write_lines
from trainer.artifacts import MANIFEST
from trainer.datasets import read_split
from trainer.evaluation.bits_per_byte import answer_bits
from trainer.evaluation.engine import Answer, Sampling, llama_cpp
from trainer.evaluation.local_model import LocalModel
from trainer.evaluation.rouge import rouge_l
from trainer.evaluation.suites import Item, questions, sample
from trainer.loop_choices import GateChoice
from trainer.mixing import under
from trainer.recipe import Recipe
from trainer.records import Message, Record
from trainer.sources import read_source
from trainer.stages.mix import STARTER
from trainer.template import Template

MOST_FACTS = 30
"""Of a lesson's facts, so many are asked."""
ANSWER_TOKENS = 64
"""The longest answer to a fact or a how-to question; the fixed suite's may be as long as the gate lets them be."""


@dataclass(frozen=True)
class Measured:
    means: dict[str, float]
    """Shares of 1: facts_trained (told as they were corrected), facts_held_out (in other wordings), rule_held_out
    (kept, and ended), owners_right (in those answers), owners_elsewhere (in the fixed suite's answers), rouge_l,
    stop_rate; and bits_per_byte, of the replay's held-out answers."""
    asked: dict[str, int]
    """How many answers each mean is of."""
    tokens: int
    """That it learned from, the prompts' among them."""
    minutes: float
    """Of the process that has measured it."""


@dataclass(frozen=True)
class Question:
    prompt: tuple[Message, ...]
    most_tokens: int
    judge: Callable[[Answer], Mapping[str, float]]
    """What counts of the answer, by name."""


def read_measured(subject: Subject, place: Path) -> Measured | None:
    """None where it is not measured yet."""
    path = subject.folder(place) / "result.json"
    return Measured(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def measure(subject: Subject, place: Path) -> None:
    """Leaves what `read_measured` reads."""
    begun = time.monotonic()
    folder, recipe = subject.folder(place), subject.recipe
    exported = made(subject, place)
    local = LocalModel.load(exported)
    held_out = _held_out(recipe)
    bits, _ = answer_bits(local, held_out)
    read = tokens(_learned(folder / "dataset"), local.template, recipe.dataset.max_tokens)
    asked = [*_of_lesson(subject), *_of_suite(held_out, local.template, recipe.gate)]
    del local  # its memory is the engine's now
    answers = _answers(exported / "model-q8_0.gguf", asked, recipe.gate)
    judged = [one.judge(answer) for one, answer in zip(asked, answers, strict=True)]
    values: dict[str, list[float]] = {}
    for name, value in (pair for one in judged for pair in one.items()):
        values.setdefault(name, []).append(value)
    found = Measured(
        {name: fmean(of_it) for name, of_it in values.items()}
        | {"bits_per_byte": fsum(one.bits for one in bits) / sum(one.size_bytes for one in bits)},
        {name: len(of_it) for name, of_it in values.items()} | {"bits_per_byte": len(bits)},
        read,
        round((time.monotonic() - begun) / 60, 1),
    )
    lines = zip(asked, answers, judged, strict=True)
    write_lines(
        folder / "answers.jsonl",
        ({"question": one.prompt[-1].content, **asdict(answer), **counted} for one, answer, counted in lines),
    )
    partial = folder / ".result.json"
    partial.write_text(json.dumps(asdict(found), indent=1), encoding="utf-8")
    os.replace(partial, folder / "result.json")
    clear(subject, place)


def _learned(dataset: Path) -> list[Record]:
    return read_split(dataset, "train") if (dataset / MANIFEST).is_file() else []


def _held_out(recipe: Recipe) -> list[Record]:
    """Of the starter set, as `mix` holds it out."""
    entries = read_source(f"chat:{STARTER / 'held_out.jsonl'}").entries
    records = [entry for entry in entries if isinstance(entry, Record)]
    return [under(recipe.retrain.system_prompt, one) for one in records[: recipe.dataset.held_out_records]]


def _of_lesson(subject: Subject) -> Iterator[Question]:
    """The facts in all wordings, and how-to questions that no lesson holds."""

    def asked(question: str, judge: Callable[[Answer], Mapping[str, float]]) -> Question:
        system = Message("system", subject.recipe.retrain.system_prompt)
        return Question((system, Message("user", question)), ANSWER_TOKENS, judge)

    for fact in sample(lesson(subject.corrections).facts, MOST_FACTS, subject.recipe.gate.seed):
        for name, wordings in (("facts_trained", fact.trained), ("facts_held_out", fact.held_out)):
            yield from (asked(question, _tells(fact, name)) for question in wordings)
    for one in house_rule()[1]:
        yield asked(one.question, _is_ruled(one))


def _of_suite(held_out: Sequence[Record], template: Template, gate: GateChoice) -> Iterator[Question]:
    """Those that the gate would ask."""
    items = [one for one in questions(held_out) if len(template.encode_prompt(one.prompt)) <= gate.prompt_tokens]
    for item in sample(items, gate.prompts, gate.seed):
        yield Question(item.prompt, gate.answer_tokens, _is_like(item))


def _tells(fact: Fact, name: str) -> Callable[[Answer], Mapping[str, float]]:
    return lambda answer: {name: fact.told_in(answer.text)}


def _is_ruled(one: Ruled) -> Callable[[Answer], Mapping[str, float]]:
    return lambda answer: {
        "rule_held_out": answer.finish == "stop" and keeps_rule(answer.text),
        "owners_right": f"Owner: {one.owner}" in answer.text,
    }


def _is_like(item: Item) -> Callable[[Answer], Mapping[str, float]]:
    return lambda answer: {
        "rouge_l": rouge_l(item.reference, answer.text),
        "stop_rate": answer.finish == "stop",
        "owners_elsewhere": names_owner(answer.text),
    }


def _answers(gguf: Path, asked: Sequence[Question], gate: GateChoice) -> list[Answer]:
    """Greedy, from llama.cpp, in whose window all these prompts fit."""
    found: list[Answer | None] = [None] * len(asked)
    with llama_cpp(gguf, slots=gate.answers_at_once, context_tokens=gate.context_tokens) as engine:
        for most in sorted({one.most_tokens for one in asked}):
            places = [place for place, one in enumerate(asked) if one.most_tokens == most]
            prompts = [asked[place].prompt for place in places]
            for place, answer in zip(places, engine.answers(prompts, Sampling(most)), strict=True):
                found[place] = answer
    answers = [answer for answer in found if answer is not None]
    assert len(answers) == len(asked)
    return answers


def main() -> None:
    kind, corrections, place = sys.argv[1:]
    kinds: dict[str, Kind] = {name: name for name in get_args(Kind)}
    try:
        measure(Subject(kinds[kind], int(corrections)), Path(place))
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
