"""The verbs of `dolly-trainer` that make instruction data with the company's own model."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from trainer.loop_commands import EngineKey, Override, Recipe

making = typer.Typer()

NONE: list[str] = []


@making.command("self-instruct")
def self_instruct(
    seeds: Annotated[Path, typer.Option(help="Seed tasks: a JSONL file, a data set, or public: the 175 are fetched.")],
    target: Annotated[int, typer.Option(min=1, help="So many instances are written.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new directory; with --resume that of the run.")],
    recipe: Recipe = "laptop-smollm2",
    override: Override = NONE,
    engine_url: Annotated[str | None, typer.Option(help="An engine that serves the model that writes.")] = None,
    engine_key: EngineKey = None,
    model_dir: Annotated[Path | None, typer.Option(help="Or its directory or GGUF file, served here.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
) -> None:
    """Have a model write new tasks from seeds: nothing of it leaves the company's machines."""
    # As Ctrl-C, so that llama.cpp and its file go, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from trainer.recipe import load_recipe
    from trainer.stages.self_instruct import self_instruct as run

    run(
        seeds,
        out,
        target=target,
        choice=load_recipe(recipe, override).self_instruct,
        engine_url=engine_url,
        engine_key=engine_key,
        model=model_dir,
        resume=resume,
    )


@making.command("self-instruct-report")
def self_instruct_report(
    folder: Annotated[Path, typer.Argument(help="The directory of a run, which may still go on.")],
    seeds: Annotated[Path | None, typer.Option(help="The run's seeds: how near are the new tasks to them?")] = None,
    checked: Annotated[
        Path | None, typer.Option(help="A filled-in check sheet; else that in its quality directory.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 42,
) -> None:
    """Make the quality report of a run: tables, pictures, and a sheet of 200 for people to check."""
    from trainer.stages.self_instruct_report import self_instruct_report as run

    run(folder, seeds=seeds, checked=checked, seed=seed)
