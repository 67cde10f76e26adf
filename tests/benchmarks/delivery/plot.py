"""The plot of docs/: how long the first visible text takes, by how many conversations go on at once."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from tests.benchmarks.delivery.figures import Spread

COLOURS = {"Dolly": "#6b4fa0", "plain bot": "#8a8a8a"}
TICKS_MS = (200, 500, 1_000, 2_000, 5_000, 10_000)


def draw_first_text(points: Mapping[str, Mapping[int, tuple[Spread, Spread]]], path: Path) -> None:
    """Draw median and 95th percentile in ms, by bot and by conversations at once, into the PNG `path`."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, by_conversations in points.items():
        at_once = list(by_conversations)
        for index, (label, line) in enumerate((("median", "-o"), ("95th percentile", "--s"))):
            spreads = [found[index] for found in by_conversations.values()]
            axes.plot(at_once, [s.median for s in spreads], line, color=COLOURS[name], label=f"{name}, {label}")
            axes.fill_between(
                at_once,
                [s.lowest for s in spreads],
                [s.highest for s in spreads],
                color=COLOURS[name],
                alpha=0.15,
                linewidth=0,
            )
    axes.set_xscale("log", base=2)
    axes.set_xticks(at_once, [str(number) for number in at_once])
    axes.set_yscale("log")
    axes.set_yticks(TICKS_MS, [f"{tick:,}" for tick in TICKS_MS])
    axes.minorticks_off()
    axes.set_xlabel("conversations at once")
    axes.set_ylabel("ms to the first visible text")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
