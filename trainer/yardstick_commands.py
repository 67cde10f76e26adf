"""The verbs of `dolly-trainer` that say what models and answers are worth: evaluate, score, judge."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trainer.loop_commands import EngineKey, Override, Recipe

yardsticks = typer.Typer()


class SuiteName(StrEnum):
    """What models are asked."""

    HELD_OUT = "held-out"
    USER_252 = "user-252"
    SUPERNI = "superni"


Out = Annotated[Path, typer.Option("--out", "-o", help="A new directory for what is made.")]
HELD_OUT = [SuiteName.HELD_OUT]
NONE: list[str] = []


@yardsticks.command()
def evaluate(
    models: Annotated[list[str], typer.Argument(help="LABEL=DIRECTORY: base=… current=… candidate=…")],
    out: Out,
    suite: Annotated[list[SuiteName], typer.Option(help="What is asked. May be repeated.")] = HELD_OUT,
    dataset: Annotated[Path | None, typer.Option(help="held-out: a data set, for what it holds out.")] = None,
    instructions: Annotated[
        Path | None, typer.Option(help="user-252: the 252 instructions (JSONL); else they are fetched.")
    ] = None,
    tasks: Annotated[Path | None, typer.Option(help="superni: a folder of its task files.")] = None,
    recipe: Recipe = "laptop-smollm2",
    override: Override = NONE,
    engine_url: Annotated[str | None, typer.Option(help="An engine that serves the last of them already.")] = None,
    engine_key: EngineKey = None,
) -> None:
    """Compare models by what people would read, and write a report page."""
    from trainer.recipe import load_recipe
    from trainer.stages.evaluate import evaluate as run

    directories = labelled(models, "DIRECTORY, such as candidate=exports/1")
    _check_places(suite, dataset, instructions, tasks)
    run(
        directories,
        dataset,
        out,
        settings=load_recipe(recipe, override).evaluate,
        engine_url=engine_url,
        engine_key=engine_key,
        instructions=(instructions or Path("download")) if SuiteName.USER_252 in suite else None,
        tasks=tasks,
    )


@yardsticks.command()
def score(
    answers: Annotated[list[str], typer.Argument(help="LABEL=FILE: predictions, or an evaluation's answers.jsonl.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A new directory for a report page.")] = None,
) -> None:
    """Score answers that were given elsewhere; no model is needed."""
    from trainer.stages.score import score_answers as run

    run(labelled(answers, "FILE, such as davinci=davinci_predictions.jsonl"), out)


@yardsticks.command()
def judge(
    answers: Annotated[list[str], typer.Argument(help="LABEL=FILE of answers; each is compared with the first.")],
    labels: Annotated[
        Path, typer.Option(help="Pairs with known preferences, or a rated sheet: the judge is tried on them first.")
    ],
    out: Out,
    engine_url: Annotated[str | None, typer.Option(help="An engine that serves the judge.")] = None,
    engine_key: EngineKey = None,
    model_dir: Annotated[Path | None, typer.Option(help="Or its directory or GGUF file, served here.")] = None,
    least_kappa: Annotated[float, typer.Option(min=-1, max=1, help="Kappa's lower end that a verdict needs.")] = 0.4,
    pairs: Annotated[int, typer.Option(min=1, help="Labelled pairs that it is tried on.")] = 200,
    at_once: Annotated[int, typer.Option(min=1, help="Questions at the same time.")] = 4,
    reply_tokens: Annotated[int, typer.Option(min=1, help="Longest reply; more for a judge that thinks aloud.")] = 16,
    context_tokens: Annotated[int, typer.Option(min=256, help="Its window, where it is served here.")] = 4096,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 42,
) -> None:
    """Have a model say whose answers are better, once it is seen to judge as known labels do."""
    from trainer.stages.judge import JudgeChoice
    from trainer.stages.judge import judge as run

    run(
        labelled(answers, "FILE, such as candidate=evaluations/1/answers.jsonl"),
        labels,
        out,
        engine_url=engine_url,
        engine_key=engine_key,
        model=model_dir,
        choice=JudgeChoice(pairs, least_kappa, at_once, reply_tokens, context_tokens, seed),
    )


def _check_places(
    suite: Sequence[SuiteName], dataset: Path | None, instructions: Path | None, tasks: Path | None
) -> None:
    """Each suite has its place, and no place is given that is not asked for."""
    options: list[tuple[SuiteName, str, Path | None]] = [
        (SuiteName.HELD_OUT, "--dataset", dataset),
        (SuiteName.USER_252, "--instructions", instructions),
        (SuiteName.SUPERNI, "--tasks", tasks),
    ]
    for name, option, place in options:
        if place is not None and name not in suite:
            raise typer.BadParameter(
                f"{option} is for --suite {name}, which is not asked for: add it, or leave {option} out."
            )
        if place is None and name in suite and name is not SuiteName.USER_252:
            raise typer.BadParameter(f"--suite {name} needs {option}.")


def labelled(given: Sequence[str], shape: str) -> dict[str, Path]:
    """LABEL=PATH, each label once."""
    found: dict[str, Path] = {}
    for one in given:
        label, equals, place = one.partition("=")
        if not equals or not label or not place:
            raise typer.BadParameter(f"{one!r} is not LABEL={shape}")
        if label in found:
            raise typer.BadParameter(f"{label} is said of two models: give each a label of its own.")
        found[label] = Path(place)
    return found
