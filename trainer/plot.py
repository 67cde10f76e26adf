"""The picture of a retrain for the admin's thread: the loss as it fell, and what the gate found."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.evaluation.plots import COLOURS
from trainer.evaluation.verdict import Verdict

STYLE: dict[Any, Any] = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}
SHARES = (
    ("corrections", "learned", "asked", "corrections learned"),
    ("corrections", "paraphrased", "paraphrases", "in other words"),
    ("neighbours", "contaminated", "asked", "neighbours that carry one"),
)
"""Of the gate's figures: how many, of how many, and what people call it."""
COMPARED = (
    ("suite", "", "ROUGE-L"),
    ("stops", "stopped", "answers that stop"),
    ("replay_bits", "", "bits per byte"),
)
"""Of the gate's figures: the model in service beside the candidate."""


def plot(log: Path, verdict: Verdict) -> bytes:
    """A PNG of a run's log.jsonl and the gate's verdict."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.8, 3.4), layout="constrained", dpi=110)
        loss, shares, compared = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
        _loss(loss, log)
        _shares(shares, verdict.figures)
        _compared(compared, verdict.figures)
        name = "Smoke gate" if verdict.size == "smoke" else "Gate"
        figure.suptitle(f"{name}: {'passed' if verdict.passed else 'refused'}", fontweight="bold")
        written = io.BytesIO()
        figure.savefig(written, format="png")
    return written.getvalue()


def _loss(axes: Axes, log: Path) -> None:
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []
    for key, style, label in (("loss", "-", "trained"), ("held_out_loss", "o-", "held out")):
        points = [(line["step"], line[key]) for line in lines if key in line]
        if points:
            axes.plot(*zip(*points, strict=True), style, color=COLOURS[key != "loss"], label=label, lw=1.2, ms=3)
    axes.set_title("Loss")
    axes.set_xlabel("step")
    axes.set_ylim(bottom=0)
    if axes.lines:
        axes.legend(frameon=False)


def _shares(axes: Axes, figures: Mapping[str, Any]) -> None:
    """A bar for each count, of its whole."""
    rows = [
        (title, figures[check][key], figures[check][whole])
        for check, key, whole, title in SHARES
        if figures.get(check, {}).get(whole)
    ]
    for place, (_, number, whole) in enumerate(rows):
        axes.barh(place, 1, color="#e6e6e6")
        axes.barh(place, number / whole, color=COLOURS[0])
        axes.annotate(f"{number} of {whole}", (0.02, place), va="center", fontweight="bold")
    axes.set_yticks(range(len(rows)), [title for title, _, _ in rows])
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.set_title("What it was taught")


def _compared(axes: Axes, figures: Mapping[str, Any]) -> None:
    """The model in service and the candidate, side by side."""
    rows = []
    for check, part, title in COMPARED:
        found = figures.get(check) or {}
        found = found.get(part) or {} if part else found
        if "candidate" in found and "current" in found:
            rows.append((title, found["current"], found["candidate"]))
    for place, (_, *values) in enumerate(rows):
        for shift, value in zip((-0.2, 0.2), values, strict=True):
            name = ("now", "candidate")[shift > 0] if place == 0 else None
            axes.barh(place + shift, value, 0.36, color=COLOURS[shift > 0], label=name)
            axes.annotate(
                f"{value:.3f}", (value, place + shift), va="center", xytext=(3, 0), textcoords="offset points"
            )
    axes.set_yticks(range(len(rows)), [title for title, _, _ in rows])
    axes.margins(x=0.25)
    axes.invert_yaxis()
    axes.set_title("Beside what answers now")
    if rows:
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2)
