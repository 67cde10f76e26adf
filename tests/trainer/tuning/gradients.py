"""Under `accelerate launch`: gradients of one step in float64, before clipping, and runs of 20 steps.

As a module, it is what each of the processes does, and it fails where they are not two: `shared` says that weights are
shared out among them (FSDP2).
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.trainer.tiny import FAMILIES, Family
from tests.trainer.tuning import tiny_runs
from trainer.datasets import fit, read_split
from trainer.recipe import LoraChoice, Recipe
from trainer.stages.tune import tune
from trainer.tuning.base import load_base
from trainer.tuning.loss import row_loss
from trainer.tuning.plan import Plan
from trainer.tuning.processes import Processes

LAST = "checkpoints/step-000020"


def run(made: Path, out: Path, family: Family, *, lora: bool = False) -> Path:
    return tune(_recipe(family, lora=lora), made / family, made / "data", out / (f"{family}-lora" if lora else family))


def go_on(made: Path, out: Path, family: Family, processes: Processes) -> None:
    """The same run once more from its step 10; what it ended with before lies at `FAMILY-whole`."""
    if processes.is_main:
        shutil.move(out / family / LAST, out / f"{family}-whole")
    processes.wait()
    tune(_recipe(family), made / family, made / "data", out / family, resume=True)


def _recipe(family: Family, *, lora: bool = False) -> Recipe:
    chosen = tiny_runs.recipe(family, evaluate_every_steps=0, save_every_steps=10)
    return replace(chosen, lora=LoraChoice(rank=4), tune=replace(chosen.tune, method="lora")) if lora else chosen


def save_gradients(made: Path, out: Path, family: Family, processes: Processes) -> None:
    recipe = tiny_runs.recipe(family, global_batch_size=9, row_tokens=128)
    loaded = load_base(made / family, recipe)
    model = loaded.model.double()
    fitted = fit(read_split(made / "data", "train"), loaded.template, 128, "drop")
    plan = Plan(fitted.examples, recipe.tune, processes.count)
    for row in plan.rows(0, processes.index):
        loss, _ = row_loss(model, row)
        (loss / plan.learned_tokens(0)).backward()
    processes.sum_gradients(model.parameters())
    if processes.is_main:
        out.mkdir(parents=True, exist_ok=True)
        gradients = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
        save_file(gradients, out / f"{family}.safetensors")
    processes.wait()


def main(made: Path, out: Path, *, shared: bool) -> None:
    torch.set_num_threads(1)
    processes = Processes()
    assert processes.count == 2
    assert processes.shards is shared
    end, Processes.end = Processes.end, lambda self: None  # type: ignore[method-assign]  # after the last run
    for family in FAMILIES:
        if not shared:
            save_gradients(made, out, family, processes)
        run(made, out, family)
    if shared:
        run(made, out, "llama", lora=True)
        go_on(made, out, "gptj", processes)
    end(processes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), shared="shared" in sys.argv)
