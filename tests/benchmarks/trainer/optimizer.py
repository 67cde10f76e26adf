"""Whether the 8-bit optimizer learns what fp32 AdamW learns: `python -m tests.benchmarks.trainer.optimizer`.

SmolLM2, the same Alpaca records in the same order, learning rate 1e-5, once with torch's AdamW in fp32 and once with
`adamw_8bit_split`, whose weights are bf16 with 16 low bits beside them. Both models compute from weights that are
rounded to bf16, as mixed precision does, so that optimizers are compared and not roundings: from weights that are
bf16 already, a model that computes in fp32 sees its first steps at once, and one that computes in bf16 sees them when
they add up to half a bit. They compute in fp32, because processors without bf16 units multiply it five times slower.
The last lines are the figures:

    figure: trainer.optimizer_loss_gap        the largest difference of both loss curves (means of 20 steps), in %
    figure: trainer.optimizer_weights_moved   share of the weights that are not what they were
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from bot.local.model import default_model_path
from trainer.recipe import Recipe, TuneChoice, load_recipe
from trainer.records import Record
from trainer.sources import read_source
from trainer.stages.import_base import import_base
from trainer.template import Encoded, Template
from trainer.tuning.base import load_base
from trainer.tuning.loss import row_loss
from trainer.tuning.optimizer import SplitAdamW, make_optimizer
from trainer.tuning.packing import Row, row_of

ROOT = Path(__file__).resolve().parents[3]
ALPACA = ROOT.parent / "shared/data/alpaca/alpaca_data.json"
WINDOW_STEPS = 20
GOAL_GAP, GOAL_MOVED = 0.5, 95.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--step-tokens", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=3000, help="Stop after so long, and say so.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dolly-bench-") as place:
        base = smollm2(Path(place))
        choice = TuneChoice(learning_rate=1e-5, max_grad_norm=0.0, optimizer="adamw_8bit_split")
        recipe = replace(load_recipe("laptop-smollm2"), lora=None, tune=choice)
        curves, moved, steps = compare(base, recipe, asked.steps, asked.step_tokens, asked.seconds)
    gap = largest_gap(*curves)
    print(f"{steps} steps of about {asked.step_tokens} tokens; last losses {curves[0][-1]:.4f} and {curves[1][-1]:.4f}")
    report("trainer.optimizer_loss_gap", gap, GOAL_GAP, ok=gap <= GOAL_GAP and steps >= 200)
    report("trainer.optimizer_weights_moved", 100 * moved, GOAL_MOVED, ok=100 * moved > GOAL_MOVED)


def report(name: str, value: float, goal: float, *, ok: bool) -> None:
    print(f"figure: {name} {value:.3g} % goal {goal:g} {'ok' if ok else 'short'}", flush=True)


def smollm2(place: Path) -> Path:
    """The model that ships with `dolly local`, imported."""
    gguf = default_model_path()
    return import_base(str(gguf.parent), place / "base", gguf_file=gguf.name)


def compare(
    base: Path, recipe: Recipe, steps: int, step_tokens: int, seconds: float
) -> tuple[tuple[list[float], list[float]], float, int]:
    """Both loss curves, the share of weights moved by the 8-bit optimizer, and the steps done."""
    begun = time.monotonic()
    loaded = [load_base(base, recipe) for _ in range(2)]
    for one in loaded:
        one.model.train()
        with torch.no_grad():
            for parameter in one.model.parameters():
                parameter.copy_(parameter.bfloat16())
    rows = step_rows(loaded[0].template, steps, step_tokens)
    choices = (replace(recipe.tune, optimizer="adamw"), recipe.tune)
    pairs = zip(loaded, choices, strict=True)
    optimizers = [make_optimizer(one.model.named_parameters(), choice) for one, choice in pairs]
    exact = optimizers[1]
    assert isinstance(exact, SplitAdamW)
    exact.compile()
    start = {name: exact.exact(name).clone() for name, _ in loaded[1].model.named_parameters()}
    curves: tuple[list[float], list[float]] = ([], [])
    for step, row in enumerate(rows):
        for one, optimizer, curve in zip(loaded, optimizers, curves, strict=True):
            with rounded(one.model):  # of ours they are bf16 values already
                loss, learned = row_loss(one.model, row)
                (loss / learned).backward()
            optimizer.step(recipe.tune.learning_rate)
            curve.append(float(loss.detach()) / learned)
        if step % 10 == 9:
            took = time.monotonic() - begun
            print(f"step {step + 1}: {curves[0][-1]:.4f} {curves[1][-1]:.4f}, {took:.0f} s", flush=True)
            if took > seconds:
                break
    changed = sum(int((exact.exact(name) != values).sum()) for name, values in start.items())
    return curves, changed / sum(values.numel() for values in start.values()), len(curves[0])


@contextmanager
def rounded(model: torch.nn.Module) -> Iterator[None]:
    """Its weights are rounded to bf16 meanwhile, and what they were afterwards."""
    weights = list(model.parameters())
    exact = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight in weights:
            weight.copy_(weight.bfloat16())
    yield
    with torch.no_grad():
        for weight, value in zip(weights, exact, strict=True):
            weight.copy_(value)


def step_rows(template: Template, steps: int, step_tokens: int) -> list[Row]:
    """A row a step: records in a seeded order, as many as it holds."""
    records = [entry for entry in read_source(f"alpaca:{ALPACA}").entries if isinstance(entry, Record)]
    order = torch.randperm(len(records), generator=torch.Generator().manual_seed(42)).tolist()
    rows: list[Row] = []
    held: list[Encoded] = []
    tokens = 0
    for index in order:
        if len(rows) == steps:
            break
        example = template.encode(records[index].messages)
        if len(example.input_ids) > step_tokens:
            continue
        if tokens + len(example.input_ids) > step_tokens:
            rows.append(row_of(held))
            held, tokens = [], 0
        held.append(example)
        tokens += len(example.input_ids)
    return rows


def largest_gap(right: Sequence[float], ours: Sequence[float]) -> float:
    """In per cent of the right curve; of means over neighbouring steps."""
    means = [
        (sum(right[start : start + WINDOW_STEPS]), sum(ours[start : start + WINDOW_STEPS]))
        for start in range(max(1, len(right) - WINDOW_STEPS + 1))
    ]
    return 100 * max(abs(mine - other) / other for other, mine in means)


if __name__ == "__main__":
    main()
