"""Findings as a table for people, and as JSON for scripts."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import get_args

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bot.preflight.finding import Finding, Verdict, exit_code

MARKS: dict[Verdict, tuple[str, str]] = {
    "safe": ("✓", "green"),
    "cannot tell": ("?", "cyan"),
    "unsafe": ("!", "yellow"),
    "wrong": ("✗", "red"),
}
"""Sign and colour."""


def table(findings: Sequence[Finding]) -> RenderableType:
    """Grouped by part, a line for each promise."""
    rows: list[RenderableType] = []
    width = max((len(finding.promise) for finding in findings), default=0)
    for part, found in groupby(findings, key=lambda finding: finding.part):
        rows.append(Text(part, style="bold"))
        lines = Table.grid(padding=(0, 1, 0, 0))
        lines.add_column()
        lines.add_column(min_width=width)
        lines.add_column(ratio=1)
        for finding in found:
            sign, colour = MARKS[finding.verdict]
            lines.add_row(Text(sign, style=colour), finding.promise, Text(finding.sentence))
        rows.append(Padding(lines, (0, 0, 0, 2)))
    return Group(*rows)


def summary(findings: Sequence[Finding]) -> Text:
    """How many of each verdict, with the sign that it has in the table."""
    counts = Counter(finding.verdict for finding in findings)
    text = Text()
    for verdict in get_args(Verdict):
        if counts[verdict]:
            sign, colour = MARKS[verdict]
            text.append(", " if text else "").append(sign, style=colour).append(f" {counts[verdict]} {verdict}")
    return text.append(".")


def as_json(findings: Sequence[Finding], *, production: bool) -> str:
    """One object: whether Dolly may go on like this, and each finding."""
    fit = exit_code(findings, production=production) == 0
    return json.dumps({"fit": fit, "findings": [asdict(finding) for finding in findings]}, indent=2)
