"""Plots of the report page, as SVG that stands in the page itself and takes its colours of text from there."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from trainer.evaluation.measures import Mean
from trainer.evaluation.scoring import ALL_METRICS, METRICS, Metric

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito's, told apart by people who see colours differently, and on light and dark ground."""

INK = "#123456"
"""Stands for the page's own colour of text until the SVG is written."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a category may be named $5
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
}
PLOTTED = ("bits_per_byte", "rouge_l", "exact_match", "stop_rate", "loop_rate", "leak_rate")
MOST_CATEGORIES = 12


def bars(models: Mapping[str, Mapping[str, Mean]], name: str) -> str:
    """A small plot for each measure, a bar for each model, with its 95 % interval."""
    metrics = [
        metric for metric in ALL_METRICS if metric.key in PLOTTED and any(metric.key in one for one in models.values())
    ]
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(9.6, 2.3), layout="constrained")
        for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
            for place, means in enumerate(models.values()):
                if metric.key in means:
                    height, margin = (_scaled(metric, value) for value in _mean_and_margin(means[metric.key]))
                    axes.bar(place, height, color=_colour(place), yerr=margin, ecolor=INK, error_kw={"lw": 1})
                    axes.annotate(
                        f"{height:.{metric.digits}f}",
                        (place, height + margin),
                        ha="center",
                        va="bottom",
                        textcoords="offset points",
                        xytext=(0, 2),
                    )
            axes.set_title(f"{metric.title}{', %' if metric.is_share else ''}", fontsize=9)
            axes.set_xticks(range(len(models)), list(models), rotation=20 if len(models) > 2 else 0)
            axes.margins(y=0.18)
            axes.set_ylim(bottom=0, top=None if any(bar.get_height() for bar in axes.patches) else 1)
        return as_svg(figure)


def by_category(models: Mapping[str, Mapping[str, Mapping[str, Mean]]], key: str, name: str) -> str | None:
    """The measure `key` of each category and model; None where there are fewer than two categories."""
    metric = next(metric for metric in METRICS if metric.key == key)
    first = next(iter(models.values()))
    categories = [part for part in first if part.startswith("category: ")][:MOST_CATEGORIES]
    if len(categories) < 2:
        return None
    width = 0.8 / len(models)
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(9.6, 0.9 + 0.2 * len(categories) * (1 + len(models) / 2)), layout="constrained")
        axes = figure.subplots()
        for place, (label, parts) in enumerate(models.items()):
            for row, category in enumerate(categories):
                if found := parts.get(category, {}).get(key):
                    length, margin = (_scaled(metric, value) for value in _mean_and_margin(found))
                    axes.barh(
                        row + (place - (len(models) - 1) / 2) * width,
                        length,
                        width,
                        color=_colour(place),
                        xerr=margin,
                        ecolor=INK,
                        error_kw={"lw": 0.8},
                        label=label if row == 0 else None,
                    )
        named = [f"{category.removeprefix('category: ')} ({_number(first[category])})" for category in categories]
        axes.set_yticks(range(len(categories)), named)
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel(f"{metric.title}{', %' if metric.is_share else ''} (in brackets: answers)")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(models))
        return as_svg(figure)


def lengths(models: Mapping[str, Sequence[int]], reference: Sequence[int], name: str) -> str:
    """Which share of the answers has at most so many words; the reference's answers beside them."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(9.6, 2.4), layout="constrained")
        axes = figure.subplots()
        for place, (label, words) in enumerate(models.items()):
            if words:
                axes.ecdf(words, color=_colour(place), label=label)
        if reference:
            axes.ecdf(reference, color=INK, linestyle=":", label="reference")
        axes.set_xlabel("words")
        axes.set_ylabel("share of answers")
        axes.set_xlim(left=0)
        axes.legend(loc="lower right")
        return as_svg(figure)


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _mean_and_margin(found: Mean) -> tuple[float, float]:
    return found.mean, found.margin


def _scaled(metric: Metric, value: float) -> float:
    return 100 * value if metric.is_share else value


def _number(means: Mapping[str, Mean]) -> int:
    return max(mean.number for mean in means.values())


def as_svg(figure: Figure) -> str:
    """An element for a page; drawn within a context of STYLE, so that its text takes the page's colour."""
    file = io.StringIO()
    metadata: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    text = file.getvalue().replace(INK, "currentColor")
    return text[text.index("<svg") :]
