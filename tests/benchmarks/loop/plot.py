"""The plot of docs/: what corrections teach and what they cost, by how many there are."""

from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.loop.measured import Measured
from tests.benchmarks.loop.models import Subject

COLOURS = {"taught": "#6b4fa0", "control": "#8a8a8a"}
LABELS = {"taught": "", "control": ", as much replay alone"}
LIMIT = 1.02
"""Of the gate."""


def draw(found: Mapping[Subject, Measured], path: Path) -> None:
    """Draw what was measured of each model into the PNG `path`."""
    figure = Figure(figsize=(9, 7.4), layout="constrained")
    facts, rule, bits, suite = figure.subplots(2, 2).flat
    before = next(model for subject, model in found.items() if subject.kind == "untouched").means
    _lines(facts, found, lambda means: 100 * means["facts_trained"], "facts, asked as corrected", dashed=True)
    _lines(facts, found, lambda means: 100 * means["facts_held_out"], "facts, asked in other words")
    _lines(rule, found, lambda means: 100 * means["rule_held_out"], "house rule, on other questions")
    _lines(rule, found, lambda means: 100 * means["owners_elsewhere"], "owner named in the fixed suite", dashed=True)
    _lines(bits, found, lambda means: means["bits_per_byte"] / before["bits_per_byte"], "bits per byte of replay")
    _lines(suite, found, lambda means: 100 * means["stop_rate"], "stopped by itself, fixed suite")
    _lines(suite, found, lambda means: 100 * means["rouge_l"], "ROUGE-L, fixed suite", dashed=True)
    bits.axhline(1, color="black", linewidth=0.8, linestyle=":")
    bits.axhline(LIMIT, color="#b03030", linewidth=0.8, linestyle=":", label="the gate's limit")
    for name in ("stop_rate", "rouge_l"):
        suite.axhline(100 * before[name], color="black", linewidth=0.8, linestyle=":")
    for axes, title in ((facts, "%"), (rule, "%"), (bits, "times the model as it ships"), (suite, "%")):
        axes.set_ylabel(title)
        axes.set_xscale("log")
        sizes = sorted({subject.corrections for subject in found})
        axes.set_xticks(sizes, [str(size) for size in sizes], minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1))  # above: lines go everywhere
        if title == "%":
            axes.set_ylim(-3, 103)
    for axes in (bits, suite):
        axes.set_xlabel("approved corrections (dotted: the model as it ships)")
    figure.savefig(path, dpi=120)


def _lines(
    axes: Axes,
    found: Mapping[Subject, Measured],
    value: Callable[[Mapping[str, float]], float],
    label: str,
    *,
    dashed: bool = False,
) -> None:
    """A line for what was taught, and one for its controls."""
    for kind, colour in COLOURS.items():
        points = sorted(
            (subject.corrections, value(model.means)) for subject, model in found.items() if subject.kind == kind
        )
        sizes, values = zip(*points, strict=True)
        axes.plot(sizes, values, "o--" if dashed else "o-", color=colour, markersize=4, label=label + LABELS[kind])
