"""The plot of docs/: what people see at the peak of their day, by how many they are and by the fleet."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from tests.benchmarks.scale.__main__ import Point

COLOURS = ("#8a8a8a", "#d08a2e", "#6b4fa0", "#2e8b6b")
TICKS_SECONDS = (1, 2, 5, 10, 30, 100, 300, 900)


def draw(points: Sequence["Point"], path: Path) -> None:
    """Draw the 95th percentile of the time to the first text, and the share that is streamed, into the PNG `path`."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    times, shares = figure.subplots(1, 2)
    fleets = list(dict.fromkeys(point.fleet for point in points))
    for fleet, colour in zip(fleets, COLOURS, strict=False):
        own = [point for point in points if point.fleet == fleet]
        users = [point.users for point in own]
        label = f"{fleet.name}, {fleet.speed.all:,.0f} tokens/s"
        times.plot(users, [point.p95("shown") for point in own], "-o", color=colour, label=label)
        shares.plot(users, [100 * point.outcome.streamed_share for point in own], "-o", color=colour, label=label)
    times.set_yscale("log")
    times.set_yticks(TICKS_SECONDS, [str(tick) for tick in TICKS_SECONDS])
    times.set_ylabel("s to the first text, 95th percentile")
    shares.set_ylabel("% of answers that are seen growing")
    shares.set_ylim(0, 100)
    users = sorted({point.users for point in points})
    for axes in (times, shares):
        axes.set_xscale("log")
        axes.set_xticks(users, [f"{number:,}" for number in users], rotation=45)
        axes.minorticks_off()
        axes.set_xlabel("people")
        axes.grid(alpha=0.3)
    times.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)
