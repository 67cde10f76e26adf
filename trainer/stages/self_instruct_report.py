"""The quality report of a run of self-instruct: while it goes on, at its end, and when people have checked."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainer.errors import BadInput
from trainer.self_instruct.check_sheet import QUESTIONS
from trainer.self_instruct.past_run import QUALITY, SHEET, read_past_run
from trainer.self_instruct.quality import write_quality_report
from trainer.self_instruct.seeds import Seed, identity_of, read_seeds


def self_instruct_report(
    run: Path, *, seeds: Path | None = None, checked: Path | None = None, seed: int = 42, console: Console | None = None
) -> None:
    """Writes `run`/quality. With `seeds`, the run's, its tasks are compared with them; `checked` is a filled-in sheet.

    Raises BadInput where `run` is none, seeds are others, or an answer on the sheet is neither yes nor no.
    """
    console = console or Console()
    out = run / QUALITY
    found = _seeds_of(run, seeds) if seeds else []
    _show(write_quality_report(run, out, seeds=found, seed=seed, checked=checked), out, console)


def _seeds_of(run: Path, seeds: Path) -> list[Seed]:
    """Raises BadInput where the run was begun with others."""
    found = read_seeds(seeds)
    said = read_past_run(run).facts.get("seeds", {}).get("sha256")
    if said != identity_of(seeds)["sha256"]:
        raise BadInput(f"{seeds} is not what {run} was begun with: its SHA-256 is another. Name the run's own seeds.")
    return found


def _show(report: dict[str, Any], out: Path, console: Console) -> None:
    counts = report["counts"]
    table = Table(title=f"{counts['instances']:,} instances of {counts['instructions']:,} tasks", title_justify="left")
    table.add_column("checked by people")
    for column in ("yes", "of", "share", "95 % interval", "paper"):
        table.add_column(column, justify="right")
    for key, title in (QUESTIONS | {"all": "All three"}).items():
        if found := report["checked"].get(key):
            shares = (f"{100 * found[name]:.1f} %" for name in ("value", "low", "high"))
            share, low, high = shares
            paper = f"{100 * report['paper']['checked'][key]:.0f} %"
            table.add_row(title, str(found["yes"]), str(found["number"]), share, f"{low} to {high}", paper)
    if report["checked"]:
        console.print(table)
    else:
        console.print(f"To check by hand: {escape(str(out / SHEET))}", highlight=False, soft_wrap=True)
    console.print(f"The report: {escape(str(out / 'report.html'))}", highlight=False, soft_wrap=True)
