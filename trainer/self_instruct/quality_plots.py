"""The pictures of the quality report, after the paper's figures 3 (verbs and objects), 4 (novelty) and 5 (lengths)."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import cos, radians, sin
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Wedge
from numpy.typing import NDArray

from trainer.evaluation.plots import COLOURS, INK, STYLE, as_svg

SUNBURST_INCHES = 9.0
RINGS = (0.30, 0.66, 0.80)
"""Radii of the hole, of the ring of verbs and of the ring of objects, whose labels stand outside it."""
REACH = 1.12
"""How far the picture goes, labels included."""
LONGEST_LABEL = 17
"""Characters; a longer one is cut, so that none leaves the picture."""
LABEL_DEGREES = 2.2
"""Between labels that stand side by side, so that none runs into another."""
MOST_SHIFT = 5.0
"""Degrees that a label may stand from its object; until then the narrowest objects go without."""
VERB_DEGREES = 4.0
"""A narrower verb's name does not fit; it stands with its objects."""
TINT = 0.45
"""How far an object's colour is towards white."""
LONGEST = 0.99
"""Of lengths, so many are shown; a few texts are far longer."""
EDGES = np.linspace(0, 1, 21)
"""Of the bars of novelty."""
TITLES = {"seeds": "with the nearest seed", "others": "with the nearest other instruction"}


@dataclass(frozen=True, slots=True)
class Picture:
    png: bytes
    """To show around, on white."""
    svg: str
    """An element for a page, whose colour of text it takes."""


class Object(NamedTuple):
    """A noun's wedge, in degrees, its label and its verb's colour."""

    middle: float
    width: float
    label: str
    colour: str


def sunburst(top: Sequence[Mapping[str, Any]], centre: str) -> Picture:
    """Verbs inside, their objects around them; `top` as in report.json."""
    return _both(lambda: _sunburst(top, centre), "sunburst")


def novelty(scores: Mapping[str, NDArray[np.float64]]) -> Picture:
    """How many instructions have which highest ROUGE-L."""
    return _both(lambda: _novelty(scores), "novelty")


def lengths(words: Mapping[str, Sequence[int]]) -> str:
    """A histogram of words for each field, as SVG."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "lengths"}):
        return as_svg(_lengths(words))


def _sunburst(top: Sequence[Mapping[str, Any]], centre: str) -> Figure:
    figure = Figure(figsize=(SUNBURST_INCHES, SUNBURST_INCHES))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    axes.axis("off")
    axes.text(0, 0, centre, ha="center", va="center", fontsize=11, linespacing=1.4)
    ring = RINGS[-1]
    for (middle, _, label, colour), place in _placed(list(_wedges(axes, top))):
        path = [_at(middle, ring), _at(middle, ring + 0.012), _at(place, ring + 0.035)]
        axes.plot(*zip(*path, strict=True), color=colour, lw=0.8)
        _radial(axes, _cut(label), place, ring + 0.042, outside=True, fontsize=8)
    return figure


def _wedges(axes: Axes, top: Sequence[Mapping[str, Any]]) -> Iterator[Object]:
    """Draws both rings, clockwise from the top; gives the objects."""
    hole, verbs, ring = RINGS
    total = sum(one["number"] for verb in top for one in verb["objects"])
    end = 90.0
    for place, verb in enumerate(top):
        colour = COLOURS[place % len(COLOURS)]
        start = end
        for one in verb["objects"]:
            width = 360 * one["number"] / total
            tint = [TINT + (1 - TINT) * value for value in to_rgb(colour)]
            axes.add_patch(Wedge((0, 0), ring, end - width, end, width=ring - verbs, fc=tint, ec="white", lw=0.6))
            fits = _degrees(verb, total) >= VERB_DEGREES
            label = one["object"] if fits else f"{verb['verb']} · {one['object']}"
            yield Object(end - width / 2, width, label, colour)
            end -= width
        axes.add_patch(Wedge((0, 0), verbs, end, start, width=verbs - hole, fc=colour, ec="white", lw=1))
        if start - end >= VERB_DEGREES:
            _radial(axes, verb["verb"], (start + end) / 2, (hole + verbs) / 2, color=_readable(colour), fontsize=9.5)


def _placed(objects: list[Object]) -> list[tuple[Object, float]]:
    """With the degrees at which their labels stand."""
    while True:
        places = apart([one.middle for one in objects], LABEL_DEGREES)
        if all(abs(one.middle - place) <= MOST_SHIFT for one, place in zip(objects, places, strict=True)):
            return list(zip(objects, places, strict=True))
        objects.remove(min(objects, key=lambda one: one.width))


def _cut(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def _degrees(verb: Mapping[str, Any], total: int) -> float:
    return float(360 * sum(one["number"] for one in verb["objects"]) / total)


def _radial(axes: Axes, text: str, degrees: float, radius: float, *, outside: bool = False, **style: Any) -> None:
    """A text along the radius, never upside down."""
    is_left = 90 < degrees % 360 < 270
    axes.text(
        *_at(degrees, radius),
        text,
        rotation=degrees + 180 if is_left else degrees,
        rotation_mode="anchor",
        ha=("right" if is_left else "left") if outside else "center",
        va="center",
        **style,
    )


def apart(degrees: Sequence[float], least: float) -> list[float]:
    """Falling angles moved as little as needs be so that they are `least` apart (pooled, as in isotonic regression)."""
    if len(degrees) * least > 360:
        least = 360 / len(degrees)
    pools: list[tuple[float, int]] = []
    for place, angle in enumerate(degrees):
        pools.append((-angle - place * least, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, few), (other, more) = pools[-2:]
            pools[-2:] = [((one * few + other * more) / (few + more), few + more)]
    shifts = [mean for mean, number in pools for _ in range(number)]
    most = shifts[0] + 360 - len(degrees) * least if shifts else 0  # the last stays clear of the first, all around
    return [-(min(shift, most) + place * least) for place, shift in enumerate(shifts)]


def _at(degrees: float, radius: float) -> tuple[float, float]:
    return radius * cos(radians(degrees)), radius * sin(radians(degrees))


def _readable(colour: str) -> str:
    """Black or white, by how light the ground is (WCAG's relative luminance)."""
    channels = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(colour)]
    luminance = float(np.dot(channels, (0.2126, 0.7152, 0.0722)))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def _novelty(scores: Mapping[str, NDArray[np.float64]]) -> Figure:
    figure = Figure(figsize=(9.6, 2.8), layout="constrained")
    panels = figure.subplots(1, len(scores), squeeze=False)[0]
    for place, (axes, (name, found)) in enumerate(zip(panels, scores.items(), strict=True)):
        axes.hist(found, EDGES, color=COLOURS[place], edgecolor="white", linewidth=0.5)
        axes.axvline(float(np.mean(found)), color=INK, linestyle=":", label=f"mean {np.mean(found):.2f}")
        axes.set(xlim=(0, 1), xlabel=f"ROUGE-L {TITLES[name]}", ylabel="instructions")
        axes.legend(loc="upper right")
    return figure


def _lengths(words: Mapping[str, Sequence[int]]) -> Figure:
    figure = Figure(figsize=(9.6, 2.6), layout="constrained")
    for place, (axes, (field, found)) in enumerate(zip(figure.subplots(1, len(words)), words.items(), strict=True)):
        axes.set(xlabel=f"words of {'non-empty inputs' if field == 'input' else field + 's'}", ylabel="texts")
        if found:
            longest = max(5, int(np.quantile(found, LONGEST)))
            axes.hist(found, range(0, longest + 2, max(1, longest // 30)), color=COLOURS[place])
            axes.set_xlim(0, longest + 1)
    return figure


def _both(draw: Callable[[], Figure], name: str) -> Picture:
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, written = draw(), io.BytesIO()
        figure.savefig(written, format="png", dpi=150, facecolor="white")
        return Picture(written.getvalue(), as_svg(figure))
