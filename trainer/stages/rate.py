"""`dolly-trainer rate`: people say what models' answers are worth, without knowing whose they are.

A sheet is made of the answers, each person rates in the terminal or on the workspace page, and a report opens the key.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from trainer.errors import BadInput
from trainer.evaluation.bootstrap import Interval
from trainer.evaluation.rating_report import LETTERS, RatingReport, rating_report
from trainer.evaluation.rating_sheet import (
    RATINGS,
    Ratings,
    SheetItem,
    read_all_ratings,
    read_key,
    read_ratings,
    read_sheet,
    write_sheet,
)
from trainer.terminal import keys_of, plain

KEYS = "[b]a b c d[/] rate   [b]u[/] undo   [b]s[/] skip   [b]q[/] quit"
REPORT = "report.json"

PressedKey = Callable[[], str]


def make_sheet(files: Mapping[str, Path], out: Path, *, number: int, seed: int, console: Console | None = None) -> None:
    """A sheet of the files' answers. Raises BadInput."""
    questions = write_sheet(files, out, number=number, seed=seed)
    said = (
        f"{out} holds {questions} questions with {len(files)} answers each, shuffled.\n"
        f"Rate them: dolly-trainer rate answers {out} --as NAME, or on the page of a Dolly in whose data folder it is "
        "`ratings`.\nLook at whose they are only afterwards: dolly-trainer rate report " + str(out)
    )
    (console or Console()).print(said, markup=False, highlight=False, soft_wrap=True)


def rate_answers(
    folder: Path, name: str, *, console: Console | None = None, pressed: PressedKey | None = None
) -> Ratings:
    """One answer after the other, until all are rated or `q`; each rating is on the disk before the next is shown.

    Raises BadInput where there is no sheet, or nobody who could press a key.
    """
    console = console or Console()
    items = read_sheet(folder)
    ratings = read_ratings(folder, name, items)
    if pressed is None and not (sys.stdin.isatty() and console.is_terminal):
        raise BadInput("Answers are rated by pressing keys, and this is no terminal: run it in one, or use the page.")
    with suppress(EOFError, KeyboardInterrupt), nullcontext(pressed) if pressed else keys_of(sys.stdin) as pressing:
        _walk(items, ratings, console, pressing)
    ratings = read_ratings(folder, name, items)  # Ctrl-C may have come when the last one was just written
    left = len(items) - len(ratings.given)
    said = f"{name} has rated {len(ratings.given)} of {len(items)} answers"
    said += "; the same command goes on." if left else f". What all say: dolly-trainer rate report {folder}"
    console.print(said, markup=False, highlight=False, soft_wrap=True)
    return ratings


def report_ratings(folder: Path, *, console: Console | None = None) -> RatingReport:
    """Opens the key: who rated how many, shares, differences and agreement as tables, and in report.json.

    Raises BadInput where nobody has rated, or what lies there is no rating of this sheet.
    """
    console = console or Console()
    items, key = read_sheet(folder), read_key(folder)
    everybody = read_all_ratings(folder, items)
    for ratings in everybody:
        if ratings.is_torn:
            said = f"{ratings.path} ends within a line, of a rating that was cut off: it does not count."
            console.print(said, style="yellow", markup=False, soft_wrap=True)
        if not ratings.given:
            console.print(f"{ratings.path} holds no rating.", style="yellow", markup=False, soft_wrap=True)
    if not any(ratings.given for ratings in everybody):
        raise BadInput(f"Nobody has rated yet: dolly-trainer rate answers {folder} --as NAME")
    report = rating_report(key, everybody)
    _print(report, console)
    said = json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n"
    try:
        (folder / REPORT).write_text(said, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{folder / REPORT} cannot be written: {error.strerror}.") from None
    return report


def _walk(items: Sequence[SheetItem], ratings: Ratings, console: Console, pressed: PressedKey) -> None:
    """Skipped answers come again once the others are rated."""
    waiting = [item for item in items if item.id not in ratings.given]
    known = {item.id: item for item in items}
    while waiting:
        item = waiting[0]
        _show(item, f"{len(ratings.given) + 1} of {len(items)}", console)
        key = _choice(pressed)
        if key in RATINGS:
            ratings.rate(item, key)
            waiting.pop(0)
            console.print(f"{key}: {RATINGS[key]}", style="bold")
        elif key == "S":
            waiting.append(waiting.pop(0))
        elif key == "U" and ratings.given:
            last = known[next(reversed(ratings.given))]
            ratings.rate(last, None)
            waiting.insert(0, last)
        elif key == "Q":
            return


def _choice(pressed: PressedKey) -> str:
    """A, B, C, D, U, S or Q."""
    while True:
        key = pressed().upper()
        if key in (*RATINGS, "U", "S", "Q"):
            return key


def _show(item: SheetItem, title: str, console: Console) -> None:
    console.print()
    console.rule(Text(title))
    parts = (("Question", item.question, ""), ("Input", item.input, ""), ("Answer", item.answer, "green"))
    for name, text, style in parts:
        if name == "Answer" or text.strip():
            shown = Text(plain(text), style=style) if text.strip() else Text("(nothing)", style="dim")
            console.print(Panel(shown, title=name, title_align="left"))
    for letter, meaning in RATINGS.items():
        console.print(f"  [b]{letter.lower()}[/]  {meaning}", highlight=False)
    console.print(KEYS, highlight=False)


def _print(report: RatingReport, console: Console) -> None:
    who = ", ".join(f"{name} {number}" for name, number in report.raters.items())
    console.print(f"Rated, of {report.items} answers: {who}.", markup=False, highlight=False, soft_wrap=True)
    shares = Table("Model", "Questions", *LETTERS, "A+B (95 %)", title="Shares, %", title_justify="left")
    for model in report.models:
        cells = [_share(model.shares.get(letter)) for letter in LETTERS]
        shares.add_row(Text(model.label), str(model.questions), *cells, _bounds(model.shares.get("A+B")))
    console.print(shares)
    if report.differences:
        columns = ("Model", "above", "Questions", "A (95 %)", "A+B (95 %)")
        differences = Table(*columns, title="Differences, points", title_justify="left")
        for one in report.differences:
            measured = _bounds(one.satisfying, "+.1f"), _bounds(one.acceptable, "+.1f")
            differences.add_row(Text(one.label), Text(one.other), str(one.questions), *measured)
        console.print(differences)
    if report.agreements:
        columns = ("Raters", "In common", "Same, %", "Kappa (95 %)", "Weighted kappa (95 %)")
        agreement = Table(*columns, title="Agreement", title_justify="left")
        for pair in report.agreements:
            kappas = (_bounds(value, ".2f", 1) for value in (pair.kappa, pair.weighted_kappa))
            agreement.add_row(f"{pair.first}, {pair.second}", str(pair.common), _share(pair.same), *kappas)
        console.print(agreement)


def _share(found: Interval | None) -> str:
    return f"{100 * found.value:.1f}" if found else "–"


def _bounds(found: Interval | None, shape: str = ".1f", times: float = 100) -> str:
    if found is None:
        return "–"
    return f"{times * found.value:{shape}} ({times * found.low:{shape}} to {times * found.high:{shape}})"
