"""Under `accelerate launch`: gradients of one step in float64, before clipping, and a run of 20 steps."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.trainer.tuning import tiny_runs
from trainer.datasets import fit, read_split
from trainer.stages.tune import tune
from trainer.tuning.base import load_base
from trainer.tuning.loss import row_loss
from trainer.tuning.plan import Plan
from trainer.tuning.processes import Processes


def main(made: Path, out: Path, *, run_only: bool = False) -> None:
    torch.set_num_threads(1)
    if not run_only:
        save_gradients(made, out)
    recipe = tiny_runs.recipe(evaluate_every_steps=0, save_every_steps=0)
    tune(recipe, made / "base", made / "data", out / "run")


def save_gradients(made: Path, out: Path) -> None:
    processes = Processes()
    recipe = tiny_runs.recipe(global_batch_size=9, row_tokens=128)
    loaded = load_base(made / "base", recipe)
    model = loaded.model.double()
    fitted = fit(read_split(made / "data", "train"), loaded.template, 128, "drop")
    plan = Plan(fitted.examples, recipe.tune, processes.count)
    for row in plan.rows(0, processes.index):
        loss, _ = row_loss(model, row)
        (loss / plan.learned_tokens(0)).backward()
    processes.sum_gradients(model.parameters())
    if processes.is_main:
        out.mkdir()
        gradients = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
        save_file(gradients, out / "gradients.safetensors")
    processes.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), run_only="run-only" in sys.argv)
