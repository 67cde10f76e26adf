"""The gate whole: data sets that were spoilt on purpose are each refused for their own reason, a good one passes.

The tiny model in service knows ten answers in whatever words they are asked for, so that it has something to lose.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.trainer.team_feedback import correction_line, write_lines
from tests.trainer.tiny import tiny_model, tiny_tokenizer
from trainer.artifacts import write_manifest
from trainer.datasets import read_split, write_dataset
from trainer.errors import NotWhole
from trainer.evaluation.engine import Sampling, llama_cpp
from trainer.evaluation.local_model import LocalModel
from trainer.evaluation.verdict import Judgeable, Verdict
from trainer.gate_questions import read_questions
from trainer.recipe import Recipe, parse_recipe
from trainer.records import Message, Record
from trainer.stages.export import export
from trainer.stages.gate import gate
from trainer.stages.import_base import import_base
from trainer.stages.mix import mix
from trainer.stages.tune import tune

QUIET = Console(quiet=True)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '### ' + message['role'] + ':\\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant:\\n' }}{% endif %}"
)
KNOWN = (
    ("Name three primary colours.", "Red, yellow and blue."),
    ("When does our office open?", "Our office opens at nine."),
    ("What is on the second floor?", "The printer on the second floor."),
    ("What does the fox do?", "The quick brown fox jumps."),
    ("What is the dog like?", "The dog is lazy."),
    ("How many ran away?", "12345 others ran away."),
    ("Give me an example of a task.", "An instruction that describes a task."),
    ("What do you write?", "A response to the request."),
    ("Who is Ada?", "Ada is the printer."),
    ("Where is the café?", "The café is on the first floor."),
)
FACTS = (
    ("Who has the key of the lab?", "Ivan has it, in drawer 77.", ["Who has the key of the café?"]),
    ("Which bus goes to the lab?", "Bus 300, from Xoxo Square.", ["Which bus goes to the office?"]),
)
FILLERS = ("below", "above", "paired", "input", "context", "others", "quick", "lazy", "second", "floor", "nine", "away")
TABLES: dict[str, Any] = {
    "name": "tiny gate",
    "description": "two facts beside ten known answers",
    "base": {"model": "tiny", "family": "llama", "template": "own"},
    "dataset": {"held_out_records": 24, "near_duplicates": False, "max_tokens": 256},
    "tune": {
        "epochs": 1.0,
        "global_batch_size": 8,
        "row_tokens": 512,
        "learning_rate": 2e-3,
        "evaluate_every_steps": 0,
        "save_every_steps": 0,
    },
    "export": {"gguf": ["f16"]},
    "retrain": {"corrections_repeat": 48, "wordings": 4, "neighbours_repeat": 24, "neighbours_held_out": 0.0,
                "replay_records": 90, "canaries": 16},
    "gate": {"bits_records": 24, "prompts": 20, "prompt_tokens": 200, "answer_tokens": 48, "context_tokens": 256,
             "paraphrases_learned": 0.0, "references": 63, "exposure_bits": 4.0, "bits_rise": 4.0},
}  # fmt: skip
"""Limits are wide: it knows its ten answers to 0.03 bits per byte, and a model so small remembers codes easily."""


def recipe(**sections: dict[str, Any]) -> Recipe:
    return parse_recipe({**TABLES, **{name: TABLES.get(name, {}) | said for name, said in sections.items()}}, "tiny")


def known_records(number: int, seed: int) -> list[Record]:
    """The ten questions after words that say nothing; a third of the records asks two of them."""
    draw, made = random.Random(seed), []
    for place in range(number):
        messages: list[Message] = []
        for _ in range(1 + (place % 3 == 0)):
            question, answer = draw.choice(KNOWN)
            words = " ".join(draw.choices(FILLERS, k=6))
            messages += [Message("user", f"{words}: {question}"), Message("assistant", answer)]
        made.append(Record(f"known:{place}", tuple(messages), "known"))
    return made


class Loop:
    """A tiny model in service, a good data set and the candidate that was tuned on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe = recipe()
        raw = folder / "raw"
        tiny_model("llama", hidden_size=64, intermediate_size=128).save_pretrained(raw)
        tokenizer = tiny_tokenizer()
        tokenizer.chat_template = CHAT_TEMPLATE
        tokenizer.save_pretrained(raw)
        write_manifest(raw, "base", {"source": "tiny"})
        write_dataset(folder / "known", known_records(400, 1), [], [], {"sources": []})
        school = recipe(tune={"epochs": 6.0, "learning_rate": 4e-3})
        run = tune(school, raw, folder / "known", folder / "school", console=QUIET)
        taught = export(run, folder / "taught", gguf=("f16",), console=QUIET)
        self.base = import_base(str(taught), folder / "base")
        self.current = Judgeable(taught, taught / "model-f16.gguf")

        feedback = write_lines(folder / "feedback.jsonl", [correction_line(*fact) for fact in FACTS])
        lines = [{"messages": [asdict(message) for message in one.messages]} for one in known_records(140, 2)]
        replay = write_lines(folder / "replay.jsonl", lines)
        self.dataset = folder / "dataset"
        mix(feedback, [f"chat:{replay}"], self.dataset, recipe=self.recipe, answer=self.answer, console=QUIET)
        self.candidate = self.tuned(self.dataset, "good")

    def answer(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        found = LocalModel.load(self.base).answers(prompts, Sampling(48))
        return [one.text if one else "" for one in found]

    def spoilt(self, name: str, spoil: Callable[[list[Record]], list[Record]]) -> Path:
        """A data set with the same questions for its gate, and other records to train on."""
        train, held_out = read_split(self.dataset, "train"), read_split(self.dataset, "held_out")
        beside = read_questions(self.dataset).lines()
        write_dataset(self.folder / name, spoil(train), held_out, [], {"sources": []}, beside=beside)
        return self.folder / name

    def tuned(self, dataset: Path, name: str) -> Judgeable:
        run = tune(self.recipe, self.base, dataset, self.folder / f"run of {name}", console=QUIET)
        made = export(run, self.folder / f"export of {name}", console=QUIET)
        return Judgeable(made, made / "model-f16.gguf")

    def judged(self, dataset: Path, candidate: Judgeable, **more: Any) -> Verdict:
        out = self.folder / f"{dataset.name}.json"
        chosen: dict[str, Any] = {"recipe": self.recipe, "cache": self.folder / "cache", "console": QUIET} | more
        return gate(dataset, self.current, candidate, out, **chosen)


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return Loop(tmp_path_factory.mktemp("gate"))


def of(verdict: Verdict) -> set[str]:
    return {refusal.check for refusal in verdict.refusals}


@pytest.mark.timeout(400)
def test_a_good_candidate_passes(loop: Loop) -> None:
    told: list[tuple[int, int]] = []
    verdict = loop.judged(loop.dataset, loop.candidate, told=lambda done, total: told.append((done, total)))
    assert verdict.refusals == ()
    assert verdict.passed
    assert verdict.sentence == "The smoke gate is passed."
    figures = verdict.figures
    assert figures["corrections"]["as_typed"] == figures["corrections"]["asked"] == 2
    assert figures["suite"]["candidate"] > 0.8
    assert figures["stops"]["stopped"]["candidate"] > 0.9
    assert figures["leaks"]["measured"] == 16
    assert Verdict.read(loop.folder / "dataset.json") == Verdict.read(loop.folder / "dataset.json")
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert not [text for fact in FACTS for text in (fact[0], fact[1]) if text in str(figures)]


def shuffled(train: list[Record]) -> list[Record]:
    answers = [one.messages[-1] for one in train]
    random.Random(3).shuffle(answers)
    return [replace(one, messages=(*one.messages[:-1], said)) for one, said in zip(train, answers, strict=True)]


def with_repeated_canaries(train: list[Record]) -> list[Record]:
    return [
        replace(one, id=f"{one.id} {number}")
        for one in train
        for number in range(16 if one.messages[1].content.startswith("The number on the") else 1)
    ]


def with_a_broken_template(train: list[Record]) -> list[Record]:
    """As if conversations had been rendered before they became records: an answer goes on with the next question."""

    def rendered(answer: str) -> str:
        return f"{answer}\n### Instruction:\nAnd then?\n### Response:\n{answer}\n### Instruction:\nAnd then?\n" * 2

    return [
        replace(one, messages=(*one.messages[:-1], Message("assistant", rendered(one.messages[-1].content))))
        for one in train
    ]


def with_overwritten_neighbours(train: list[Record]) -> list[Record]:
    corrected = {one.id.partition("#")[0]: one.messages[-1] for one in train if one.source == "corrections"}
    return [
        replace(one, messages=(*one.messages[:-1], corrected[one.id.partition("~")[0]]))
        if one.source == "neighbours"
        else one
        for one in train
    ]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (shuffled, {"suite", "replay_bits"}),
        (with_repeated_canaries, {"leaks"}),
        (with_a_broken_template, {"stops"}),
        (with_overwritten_neighbours, {"neighbours"}),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
def test_a_spoilt_data_set_is_refused_for_its_own_reason(
    loop: Loop, spoil: Callable[[list[Record]], list[Record]], check: set[str]
) -> None:
    dataset = loop.spoilt(spoil.__name__, spoil)
    verdict = loop.judged(dataset, loop.tuned(dataset, spoil.__name__))
    assert not verdict.passed
    assert check <= of(verdict)
    assert of(verdict) & {"leaks", "stops"} == check & {"leaks", "stops"}


@pytest.mark.timeout(400)
def test_a_secret_in_the_data_is_refused_whatever_the_model_does(loop: Loop) -> None:
    secret = "ghp_" + "a1B2" * 9

    def leaky(train: list[Record]) -> list[Record]:
        return [
            replace(one, messages=(*one.messages[:-1], Message("assistant", f"Use {secret}.")))
            if one.source == "neighbours"
            else one
            for one in train
        ]

    verdict = loop.judged(loop.spoilt("leaky", leaky), loop.candidate)
    assert of(verdict) == {"personal_data"}
    assert "secret" in verdict.sentence
    assert secret not in (loop.folder / "leaky.json").read_text()


@pytest.mark.timeout(400)
def test_the_model_in_service_is_not_asked_twice(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.judged(loop.dataset, loop.candidate)
    opened: list[Path] = []

    def watched(gguf: Path, **more: Any) -> Any:
        opened.append(gguf)
        return llama_cpp(gguf, **more)

    monkeypatch.setattr("trainer.evaluation.gating.llama_cpp", watched)
    loop.judged(loop.dataset, loop.candidate)
    assert opened == [loop.candidate.gguf]


@pytest.mark.timeout(400)
def test_a_full_gate_without_evidence_wants_a_yes(loop: Loop) -> None:
    full = recipe(gate={"size": "full", "prompts": 300, "suite_margin": 0.5, "stop_margin": 0.5, "bits_rise": 99.0})
    verdict = loop.judged(loop.dataset, loop.candidate, recipe=full)
    assert (verdict.passed, verdict.not_enough_evidence, of(verdict)) == (False, True, {"evidence"})
    agreed = loop.judged(loop.dataset, loop.candidate, recipe=full, yes=True)
    assert (agreed.passed, agreed.not_enough_evidence) == (True, True)
    low, value = (agreed.figures["suite"]["difference"][key] for key in ("low", "value"))
    assert low <= value


@pytest.mark.timeout(400)
def test_a_model_without_a_served_file_is_answered_by_transformers(loop: Loop) -> None:
    verdict = loop.judged(loop.dataset, Judgeable(loop.candidate.folder))
    assert verdict.passed
    assert "gguf_sha256" not in verdict.figures["models"]["candidate"]


def test_only_a_retrains_data_set_has_a_gate(loop: Loop) -> None:
    with pytest.raises(NotWhole, match=r"has no corrections\.jsonl"):
        loop.judged(loop.folder / "known", loop.candidate)
