"""`make demo-loop`: go through the learning loop on one machine, print the figures, draw the README's strip."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import torch

from tests.browser.chromium import CHROMIUM
from tests.demo.facts import FACTS
from tests.demo.loop import Went, go_through
from tests.demo.strip import strip
from trainer.tuning.estimate import measured_flops_per_second

STEPS = (
    ("asked", "1  Asked: a guess"),
    ("correct", "2  Put right, by whoever knows"),
    ("review", "3  Reviewed by an admin"),
    ("progress", "4  Retrained: progress in the thread"),
    ("promoted", "5  Through the gate, and promoted"),
    ("corrected", "6  Answered as corrected"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strip", type=Path, help="draw the pictures into this file")
    parser.add_argument("--keep", type=Path, help="keep data and pictures in this new folder")
    options = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("The demo drives the page in Chromium, which is not installed (Debian: apt-get install chromium).")
    rate = measured_flops_per_second(torch.device("cpu"), torch.float32)
    with tempfile.TemporaryDirectory(prefix="dolly-demo-") as made:
        place = options.keep or Path(made)
        pictures = place / "pictures"
        pictures.mkdir(parents=True)
        went = asyncio.run(go_through(place / "data", pictures))
        if options.strip:
            strip([(title, pictures / f"{name}.png") for name, title in STEPS], options.strip)
    show(went)
    print(f"The cores multiply {rate / 1e9:.0f} GFLOP/s in fp32; the retrain alone took {went.retrain_seconds:.0f} s.")
    sys.exit(0 if all([figure(*each) for each in figures(went)]) else 1)


def show(went: Went) -> None:
    """What was asked and answered."""
    for index, fact in enumerate(FACTS):
        print(f"\n{fact.question}\n  before: {went.before[index]}\n  after:  {went.after[index]}")
        print(f"  back:   {went.back[index]}")
        for number, question in enumerate(fact.paraphrases):
            print(f"  {question}\n    {went.paraphrased[2 * index + number]}")
        for number, question in enumerate(fact.unseen):
            print(f"  (neighbour) {question}\n    {went.neighbours[2 * index + number]}")


Figure = tuple[str, float, str, float, bool]


def figures(went: Went) -> list[Figure]:
    """Name, value, unit, goal, whether it is reached."""
    return [
        ("loop.seconds", went.seconds, "s", 300, went.seconds <= 300),
        ("loop.corrected", went.corrected, "of 3", 3, went.corrected == 3),
        ("loop.paraphrased", went.told_in_other_words, "of 6", 3, went.told_in_other_words >= 3),
        ("loop.contaminated", went.contaminated, "of 6", 1, went.contaminated <= 1),
        ("loop.replay_bpb_ratio", went.replay_bits_ratio, "x", 1.02, went.replay_bits_ratio <= 1.02),
        ("loop.rolled_back", went.rolled_back, "of 3", 3, went.rolled_back == 3),
    ]


def figure(name: str, value: float, unit: str, goal: float, ok: bool) -> bool:
    print(f"figure: {name} {value:.4g} {unit} goal {goal:g} {'ok' if ok else 'short'}", flush=True)
    return ok


if __name__ == "__main__":
    main()
