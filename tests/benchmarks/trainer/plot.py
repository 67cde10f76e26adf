"""The plot of docs/: useful tokens per second of each contestant, a point for each turn."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

COLOURS = {"dolly": "#6b4fa0", "dolly_as_trl": "#6b4fa0"}
LABELS = {
    "padded": "padded batches of 8",
    "dolly": "Dolly, the same batches",
    "trl": "TRL, packed rows",
    "dolly_as_trl": "Dolly, TRL's rows",
}


def draw(rates: Mapping[str, Sequence[float]], path: Path) -> None:
    """Draw medians as bars and each turn as a point into the PNG `path`."""
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    for place, (name, found) in enumerate(rates.items()):
        axes.barh(place, statistics.median(found), color=COLOURS.get(name, "#8a8a8a"), alpha=0.8)
        axes.plot(found, [place] * len(found), "|", color="black", markersize=12)
    axes.set_yticks(range(len(rates)), [LABELS[name] for name in rates])
    axes.invert_yaxis()
    axes.set_xlabel("useful tokens per second, SmolLM2 135M, 2 cores, float32")
    axes.grid(alpha=0.3, axis="x")
    figure.savefig(path, dpi=120)
