"""The verbs of `dolly-trainer rate`: a sheet, people's ratings of it, and what they say."""

from pathlib import Path
from typing import Annotated

import typer

from trainer.yardstick_commands import labelled

rating = typer.Typer()
rate = typer.Typer(help="Have people rate models' answers, without knowing whose they are.", no_args_is_help=True)
rating.add_typer(rate, name="rate")

Sheet = Annotated[Path, typer.Argument(help="A sheet, as `rate sheet` makes it.")]


@rate.command()
def sheet(
    answers: Annotated[list[str], typer.Argument(help="LABEL=FILE of each model's answers to the same questions.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new directory for the sheet.")] = Path(".dolly/ratings"),
    number: Annotated[int, typer.Option(min=1, help="Questions; of more, so many are drawn.")] = 252,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn and shuffled.")] = 42,
) -> None:
    """Put answers of two or more models on a sheet, shuffled, with a key beside it."""
    from trainer.stages.rate import make_sheet as run

    run(labelled(answers, "FILE, such as candidate=evaluations/1/answers.jsonl"), out, number=number, seed=seed)


@rate.command()
def answers(folder: Sheet, name: Annotated[str, typer.Option("--as", help="Who rates.")]) -> None:
    """Rate answers from A to D in the terminal, a key each; the same command goes on later."""
    from trainer.stages.rate import rate_answers as run

    run(folder, name)


@rate.command()
def report(folder: Sheet) -> None:
    """Say whose answers were rated how, how the models differ, and how far raters agree."""
    from trainer.stages.rate import report_ratings as run

    run(folder)
