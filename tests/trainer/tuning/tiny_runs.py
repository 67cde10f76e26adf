"""Small runs for tests: a base, a data set and a recipe. Run as a module, it tunes in a process of its own."""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tests.trainer.tiny import Family, tiny_base
from trainer.artifacts import write_manifest
from trainer.datasets import write_dataset
from trainer.recipe import BaseChoice, DatasetChoice, LoraChoice, Recipe, TuneChoice
from trainer.records import Message, Record
from trainer.stages.tune import tune
from trainer.template import Encoded

THINGS = ("colour", "office", "printer", "fox", "dog", "response", "task", "floor", "input", "context")


def base(folder: Path, family: Family = "llama", **model: Any) -> Path:
    tiny_base(folder, family, **model)
    write_manifest(folder, "base", {"source": "tiny"})
    return folder


def records(number: int, seed: int = 0) -> list[Record]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for index in range(number):
        words = [THINGS[i] for i in torch.randint(len(THINGS), (2 + index % 9,), generator=generator).tolist()]
        question, answer = Message("user", f"Name the {words[0]} of {index}."), Message("assistant", " ".join(words))
        made.append(Record(f"tiny:{seed}:{index}", (question, answer), "tiny"))
    return made


def dataset(folder: Path, train: int = 24, held_out: int = 6) -> Path:
    write_dataset(folder, records(train), records(held_out, seed=1), [], {"sources": []})
    return folder


def recipe(family: Family = "llama", *, lora: LoraChoice | None = None, **tuned: Any) -> Recipe:
    given: dict[str, Any] = {
        "method": "lora" if lora else "full",
        "epochs": 2.0,
        "global_batch_size": 4,
        "row_tokens": 256,
        "learning_rate": 1e-3,
        "evaluate_every_steps": 4,
        "save_every_steps": 4,
    }
    choice = TuneChoice(**(given | tuned))
    chosen = BaseChoice("tiny", family, "dolly")
    return Recipe("tiny", "seconds", chosen, DatasetChoice(max_tokens=256), choice, lora)


def example(tokens: int) -> Encoded:
    """Of so many tokens, the latter half of them learned."""
    return Encoded([1 + token % 300 for token in range(tokens)], [token >= tokens // 2 for token in range(tokens)])


def kill_after(step: int) -> None:
    """End this process by SIGKILL in the middle of the step after `step`."""
    from trainer.tuning.loop import Tuning

    learn = Tuning._learn

    def learn_or_die(self: Tuning, *args: Any) -> Any:
        done = learn(self, *args)
        if self.step >= step:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    Tuning._learn = learn_or_die  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    torch.set_num_threads(1)
    said = json.loads(sys.argv[1])
    if said.get("kill_after") is not None:
        kill_after(said["kill_after"])
    chosen = recipe(said["family"], **said["tune"])
    if said.get("lora"):
        chosen = replace(chosen, lora=LoraChoice(rank=4, dropout=0.1), tune=replace(chosen.tune, method="lora"))
    tune(chosen, Path(said["base"]), Path(said["dataset"]), Path(said["out"]), resume=said.get("resume", False))
