"""A loop that is small: a model that has learned to end its answers, a team's feedback, replay, and a recipe.

Run in a process of its own by `retrain_alone`, so that a test can kill it.
"""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from tests.trainer.team_feedback import correction_line, write_lines
from tests.trainer.tiny import tiny_model, tiny_tokenizer
from trainer.artifacts import write_manifest
from trainer.asked import retrain_file
from trainer.datasets import write_dataset
from trainer.options import Options
from trainer.recipe import Recipe, parse_recipe, to_toml
from trainer.records import Message, Record
from trainer.stages.export import export
from trainer.stages.import_base import import_base
from trainer.stages.tune import tune

QUIET = Console(quiet=True)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '### ' + message['role'] + ':\\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant:\\n' }}{% endif %}"
)
FACTS = (
    ("When does the office open?", "At nine.", ["When does the printer open?", "Which floor is the office on?"]),
    ("Who is Ada?", "The printer.", ["Who is the fox?", "Who runs away?"]),
)
RECIPE: dict[str, Any] = {
    "name": "tiny-loop",
    "description": "two corrections by heart",
    "base": {"model": "tiny", "family": "llama"},
    "dataset": {"held_out_records": 8, "near_duplicates": False, "max_tokens": 256},
    "tune": {
        "epochs": 3.0,
        "global_batch_size": 4,
        "row_tokens": 512,
        "learning_rate": 3e-3,
        "evaluate_every_steps": 0,
        "save_every_steps": 3,
    },
    "export": {"gguf": ["f16"]},
    "evaluate": {"gguf": "f16", "context_tokens": 256},
    "retrain": {
        "corrections_repeat": 8,
        "wordings": 0,
        "replay_records": 12,
        "canaries": 2,
        "neighbour_answer_tokens": 24,
    },
    "gate": {
        "bits_records": 4,
        "prompts": 4,
        "answer_tokens": 16,
        "neighbours": 2,
        "references": 15,
        "context_tokens": 256,
        "bits_rise": 9.0,
        "suite_margin": 1.0,
        "stop_margin": 1.0,
        "exposure_bits": 20.0,
        "corrections_learned": 0.0,
        "paraphrases_learned": 0.0,
        "neighbours_contaminated": 9,
    },
}
"""The gate lets nearly everything through: what it refuses has tests of its own."""


def recipe(**sections: dict[str, Any]) -> Recipe:
    return parse_recipe({**RECIPE, **{name: RECIPE.get(name, {}) | said for name, said in sections.items()}}, "tiny")


def feedback(path: Path, facts: Iterable[tuple[str, str, list[str]]] = FACTS) -> Path:
    return write_lines(path, [correction_line(question, said, others) for question, said, others in facts])


def replay(path: Path, number: int = 40) -> Path:
    lines = [{"messages": [asdict(message) for message in one.messages]} for one in _records(number)]
    return write_lines(path, lines)


def base(folder: Path) -> Path:
    """A tiny model that answers from what it was taught, and ends; imported."""
    made = folder / "made"
    tiny_model("llama").save_pretrained(made / "raw")
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(made / "raw")
    write_manifest(made / "raw", "base", {"source": "tiny"})
    write_dataset(made / "dataset", _records(40), [], [], {"sources": []})
    taught = recipe(tune={"epochs": 12.0, "save_every_steps": 0, "learning_rate": 5e-3})
    run = tune(taught, made / "raw", made / "dataset", made / "run", console=QUIET)
    return import_base(str(export(run, made / "export", gguf=(), console=QUIET)), folder / "base")


def options(folder: Path, made: Path, **more: Any) -> Options:
    """Of a loop in `folder` with the base and the replay that lie in `made`."""
    written = folder / "recipe.toml"
    if not written.exists():
        folder.mkdir(parents=True, exist_ok=True)
        written.write_text(to_toml(recipe()), encoding="utf-8")
    own = Options(folder, str(written), base=str(made / "base"), replay=(f"chat:{made / 'replay.jsonl'}",))
    return replace(own, **more)


def retrain_alone(chosen: Options, file: str) -> None:
    """A retrain in a process that has just been forked; what it says goes to a log, its outcome beside it."""
    torch.set_num_threads(1)
    with (chosen.data / "log").open("a") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
        outcome, _ = retrain_file(chosen, Path(file), yes=False, console=Console(file=log))
        (chosen.data / "outcome.json").write_text(json.dumps(asdict(outcome)))


def _records(number: int) -> list[Record]:
    """Questions and short answers over a few words, a third of them of two turns."""
    words = ("office", "printer", "fox", "dog", "floor", "colours", "input", "task", "second", "response")
    made = []
    for index in range(number):
        word, other = words[index % len(words)], words[(index // len(words) + 3 * index) % len(words)]
        messages = [Message("user", f"{index}. Name the {word}."), Message("assistant", f"The {other}.")]
        if index % 3 == 0:
            messages += [Message("user", "And another?"), Message("assistant", f"The {word}.")]
        made.append(Record(f"tiny:{index}", tuple(messages), "tiny"))
    return made
