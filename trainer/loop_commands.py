"""The verbs of `dolly-trainer` that close the loop: review, retrain, worker; models, promote, rollback."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

loop = typer.Typer()

SECRETS = Path("/run/secrets")
"""Where Docker and Kubernetes put files that hold one secret each."""


def or_secret(name: str) -> Callable[[str | None], str | None]:
    """What was given, or else what the secret's file says, where there is one."""

    def choose(given: str | None) -> str | None:
        file = SECRETS / name
        try:
            return given or (file.read_text(encoding="utf-8").strip() if file.is_file() else None)
        except PermissionError:
            raise typer.BadParameter(f"{file} may not be read; make it a file of the user that runs this.") from None

    return choose


Data = Annotated[
    Path, typer.Option("--data", envvar="DOLLY_DATA", help="Dolly's folder: store, key, models and retrains lie there.")
]
RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        envvar="REDIS_URL",
        callback=or_secret("redis_url"),
        help="The store; else that of the data folder.",
    ),
]
RedisCluster = Annotated[
    bool, typer.Option("--redis-cluster", envvar="REDIS_CLUSTER", help="It is one of a cluster's nodes.")
]
Models = Annotated[Path | None, typer.Option("--models", help="The registry; else models in the data folder.")]
Work = Annotated[Path | None, typer.Option("--work", help="Work in progress; else retrain in the data folder.")]
RetrainKeyFile = Annotated[
    Path | None,
    typer.Option("--retrain-key-file", help="The bot's key for feedback; else retrain.key in the data folder."),
]
RetrainKey = Annotated[
    str | None,
    typer.Option("--retrain-key", envvar="RETRAIN_KEY", callback=or_secret("retrain_key"), hidden=True),
]
EngineKey = Annotated[
    str | None,
    typer.Option(
        "--engine-key",
        envvar="ENGINE_API_KEY",
        callback=or_secret("engine_api_key"),
        help="The key that the engine wants.",
    ),
]
Recipe = Annotated[str, typer.Option("--recipe", "-r", help="A recipe's name, or a TOML file.")]
Override = Annotated[list[str], typer.Option("--set", help="Another value: tune.learning_rate=1e-4. May be repeated.")]
Replay = Annotated[
    list[str],
    typer.Option("--replay", help="Records that keep up what it knows; else the starter set. May be repeated."),
]
Base = Annotated[
    str | None, typer.Option("--base", help="An imported base, or what to import; else the recipe's model.")
]

DATA = Path(".dolly")
RECIPE = "loop-smollm2"
TERMINAL = "terminal"
"""Who promotes, where nobody of Slack does."""
NONE: list[str] = []


@loop.command()
def review(
    file: Annotated[Path, typer.Argument(help="Feedback, as `dolly export-feedback` writes it.")],
    replay: Replay = NONE,
    editor: Annotated[str, typer.Option(envvar=["VISUAL", "EDITOR"], help="What corrections are edited in.")] = "vi",
) -> None:
    """Approve, edit or reject corrections, one after the other; only approved ones train."""
    from trainer.stages.review import review as run

    run(file, replay or None, editor=editor)


@loop.command()
def retrain(
    feedback: Annotated[
        Path | None, typer.Option("--feedback", help="Reviewed feedback, as `dolly export-feedback` writes it.")
    ] = None,
    job: Annotated[str | None, typer.Option("--job", help="A retrain that was asked for in Slack.")] = None,
    recipe: Recipe = RECIPE,
    override: Override = NONE,
    replay: Replay = NONE,
    base: Base = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take a candidate of which there is too little evidence.")] = False,
    data: Data = DATA,
    models: Models = None,
    work: Work = None,
    redis_url: RedisUrl = None,
    redis_cluster: RedisCluster = False,
    retrain_key_file: RetrainKeyFile = None,
    retrain_key: RetrainKey = None,
) -> None:
    """From approved corrections to a candidate that the gate has judged; the same command goes on after a kill."""
    from trainer.asked import BUSY, retrain_file, retrain_job
    from trainer.errors import BadInput
    from trainer.options import Options

    if (feedback is None) == (job is None):
        raise typer.BadParameter("Name either --feedback FILE or --job ID.")
    options = Options(
        data=data,
        recipe=recipe,
        redis_url=redis_url,
        redis_cluster=redis_cluster,
        retrain_key=retrain_key,
        retrain_key_file=retrain_key_file,
        models=models,
        work=work,
        replay=tuple(replay) or None,
        base=base,
        overrides=tuple(override),
    )
    console = Console(stderr=True, soft_wrap=True)
    if job is not None:
        status = retrain_job(options, job, console=console)
        if status == BUSY:
            raise BadInput("Another retrain runs. Wait until it has ended, or cancel it.")
        raise typer.Exit(status)
    assert feedback is not None
    try:
        outcome, folder = retrain_file(options, feedback, yes=yes, console=console)
    except KeyboardInterrupt:
        console.print("Stopped; the same command goes on where it was.")
        raise typer.Exit(130) from None
    console.print(outcome.sentence, markup=False, highlight=False)
    console.print(f"A picture of it: {folder / 'plot.png'}", markup=False, highlight=False)
    if outcome.verdict != "passed":
        raise typer.Exit(1)
    console.print(f"Have it answer people: dolly-trainer promote {outcome.revision}", markup=False, highlight=False)


@loop.command()
def worker(
    recipe: Recipe = RECIPE,
    override: Override = NONE,
    replay: Replay = NONE,
    base: Base = None,
    once: Annotated[bool, typer.Option("--once", help="Do what waits, and end: for cron.")] = False,
    data: Data = DATA,
    models: Models = None,
    work: Work = None,
    redis_url: RedisUrl = None,
    redis_cluster: RedisCluster = False,
    retrain_key_file: RetrainKeyFile = None,
    retrain_key: RetrainKey = None,
    engine_key: EngineKey = None,
) -> None:
    """Wait for what admins ask for in Slack: retrains, one at a time, promotions and rollbacks beside them."""
    from trainer.options import Options
    from trainer.recipe import load_recipe
    from trainer.worker import Worker

    load_recipe(recipe, override)  # what is wrong with it is said now, and not to an admin later
    options = Options(
        data=data,
        recipe=recipe,
        redis_url=redis_url,
        redis_cluster=redis_cluster,
        retrain_key=retrain_key,
        retrain_key_file=retrain_key_file,
        models=models,
        work=work,
        replay=tuple(replay) or None,
        base=base,
        overrides=tuple(override),
        engine_key=engine_key,
    )
    Worker(options, once=once, console=Console(stderr=True, soft_wrap=True)).run()


@loop.command("models")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="As a list of objects.")] = False,
    data: Data = DATA,
    models: Models = None,
    redis_url: RedisUrl = None,
    redis_cluster: RedisCluster = False,
) -> None:
    """List the revisions: what they learned from, what the gate said, what is in service."""
    from trainer.connection import connect, default_url
    from trainer.errors import StoreAway
    from trainer.registry import Registry
    from trainer.serving import Serving
    from trainer.stages.models import models as run

    try:
        serving = Serving(connect(redis_url or default_url(data), cluster=redis_cluster))
    except StoreAway as error:
        serving = None
        Console(stderr=True, soft_wrap=True).print(f"{error} So this is what the registry alone knows.", markup=False)
    run(Registry(models or data / "models"), serving, as_json=as_json)


@loop.command()
def promote(
    revision: Annotated[str, typer.Argument(help="A revision of the registry; its number will do.")],
    canary: Annotated[
        list[str], typer.Option("--canary", help="The id of a channel that alone gets it. May be repeated.")
    ] = NONE,
    yes: Annotated[bool, typer.Option("--yes", help="Take it though the gate had not enough evidence.")] = False,
    data: Data = DATA,
    models: Models = None,
    redis_url: RedisUrl = None,
    redis_cluster: RedisCluster = False,
    engine_key: EngineKey = None,
) -> None:
    """Take a revision into service, as soon as it has answered a question; running answers end on the old model."""
    from trainer.stages.promote import promote as run

    _act(partial(run, revision=revision, canary=canary, yes=yes), data, models, redis_url, redis_cluster, engine_key)


@loop.command()
def rollback(
    revision: Annotated[
        str | None, typer.Argument(help="A revision that was in service before; else the one before this.")
    ] = None,
    data: Data = DATA,
    models: Models = None,
    redis_url: RedisUrl = None,
    redis_cluster: RedisCluster = False,
    engine_key: EngineKey = None,
) -> None:
    """Take a canary away; without one, go back to the model that was in service before."""
    from trainer.stages.promote import rollback as run

    _act(partial(run, revision=revision), data, models, redis_url, redis_cluster, engine_key)


def _act(
    act: Callable[..., str],
    data: Path,
    models: Path | None,
    redis_url: str | None,
    redis_cluster: bool,
    engine_key: str | None,
) -> None:
    """Have it done in the registry and the store, and say how it goes and what is in service then."""
    from trainer.connection import connect, default_url
    from trainer.registry import Registry
    from trainer.serving import Serving

    console = Console(stderr=True, soft_wrap=True)
    said = act(
        Registry(models or data / "models"),
        Serving(connect(redis_url or default_url(data), cluster=redis_cluster)),
        by=TERMINAL,
        engine_key=engine_key,
        told=lambda stage, sentence: console.print(sentence, markup=False, highlight=False),
    )
    console.print(said, style="bold", markup=False, highlight=False)
