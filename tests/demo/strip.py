"""Pictures beside each other, as one file: the strip in the README."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

COLUMNS = 3
INCHES = (16.0, 7.2)
DPI = 110


def strip(pictures: Sequence[tuple[str, Path]], out: Path) -> None:
    """`pictures` with a title each, row by row, in `out` (PNG)."""
    rows = -(-len(pictures) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=INCHES, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, picture) in zip(axes.flat, pictures, strict=False):
        axis.imshow(plt.imread(picture), interpolation="antialiased")
        axis.set_title(title, loc="left", fontsize=11)
    figure.tight_layout()
    figure.savefig(out, dpi=DPI)
    plt.close(figure)
