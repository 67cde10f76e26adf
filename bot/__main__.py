"""The `dolly` command: local | serve | own-engines | check | forget | export-feedback."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import structlog
import typer
from rich.console import Console

from bot import configured, preflight
from bot.access import SlackAccess, StoreAccess
from bot.allocator import return_large_blocks
from bot.engine_owner.ownership import leave_own_engine
from bot.errors import AlreadyRunning, DollyError, LocalPartError, SettingsError
from bot.export_feedback import export_feedback as write_feedback
from bot.exports import Learned
from bot.forget import Choose, NotATarget, chosen
from bot.forget import forget as forget_for_good
from bot.local.parts import Addresses, reachable_store, running_parts, running_store
from bot.model_client import ModelClient
from bot.owning import own_engines as own_containers
from bot.preflight import Finding
from bot.service import Service, running_service
from bot.settings import Settings, forget_proxies, missing_for_slack
from bot.store.connection import connect
from bot.store.served_models import ServedModels
from bot.telemetry import configure_logging
from bot.tracing import tracing

app = typer.Typer(
    help="Dolly, a team's own assistant inside Slack.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
log = structlog.get_logger(__name__)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

LOCAL_FINISH_SECONDS = 1.0
"""Whoever presses Ctrl-C on their own machine does not want to wait."""


@app.command()
def local() -> None:
    """Run everything on this machine: workspace page, store, engine and a small model."""
    settings = _settings()
    forget_proxies()
    _run(_local(settings))


@app.command()
def serve() -> None:
    """Answer in the Slack workspace that the settings name."""
    settings = _settings(needs_slack=True)
    configure_logging(settings.log_level)
    _run(_serve(settings))


@app.command()
def own_engines() -> None:
    """Have the engines that ENGINE_SLOTS or ENGINE_DEPLOYMENTS names serve the model in service."""
    settings = _settings(owns_engines=True)
    configure_logging(settings.log_level)
    _run(_own_engines(settings))


@app.command()
def check(
    production: Annotated[bool, typer.Option("--production", help="Also each promise to keep in production.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
) -> None:
    """Test every setting and part; say what is wrong and what to do."""
    settings = _settings()
    configure_logging("error")
    findings: list[Finding] = []
    _run(_check(settings, findings, production=production))
    if as_json:
        typer.echo(preflight.as_json(findings, production=production))
    else:
        console.print(preflight.table(findings))
        console.print(preflight.summary(findings))
    raise typer.Exit(preflight.exit_code(findings, production=production))


@app.command()
def forget(
    user: Annotated[str | None, typer.Option(help="A person's id: all their questions and the answers.")] = None,
    conversation: Annotated[str | None, typer.Option(help="A link to a message of it, or CHANNEL/TS.")] = None,
    channel: Annotated[str | None, typer.Option(help="A channel's id: all its conversations.")] = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="All conversations of the team.")] = False,
    team: Annotated[str | None, typer.Option(help="The team's id, where the store serves several.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether this is meant.")] = False,
) -> None:
    """Forget a person, a conversation, a channel or everything; also while Dolly runs."""
    try:
        choose = chosen(user=user, conversation=conversation, channel=channel, everyone=everyone)
    except NotATarget as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    settings = _settings()
    configure_logging("error")
    if not yes and not typer.confirm("What is forgotten cannot be brought back. Go on?"):
        errors.print("Nothing was forgotten.")
        raise typer.Exit(1)
    _run(_forget(settings, choose, team))


@app.command()
def export_feedback(
    out: Annotated[Path, typer.Option(help="The file; one that is there is replaced.")] = Path("feedback.jsonl"),
    team: Annotated[str | None, typer.Option(help="The team's id, where the store serves several.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what nothing is learned from: rejected, or disliked and not corrected.")
    ] = False,
) -> None:
    """Write feedback to train with, where channels agreed, without personal data; also while Dolly runs."""
    settings = _settings()
    configure_logging("error")
    _run(_export_feedback(settings, out, team, "everything" if everything else "reviewable"))


def _settings(*, needs_slack: bool = False, owns_engines: bool = False) -> Settings:
    """The settings, or every fault of them on the terminal and exit code 2."""
    try:
        return Settings.read(needs_slack=needs_slack, owns_engines=owns_engines)
    except SettingsError as error:
        errors.print("Dolly cannot start; these settings are missing or wrong (see .env.example):")
        for fault in error.faults:
            errors.print(f"  • {fault}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run until SIGINT or SIGTERM; an error is one sentence and exit code 1."""
    return_large_blocks()
    try:
        asyncio.run(_until_signal(work))
    except DollyError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except Exception as error:
        log.exception("stopped_by_a_mistake", error=type(error).__name__)
        sentence = f"Dolly stopped because of a mistake of its own ({type(error).__name__}); its log says more."
        errors.print(sentence, style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    working = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, working.cancel)
    await asyncio.wait({working})
    if not working.cancelled():
        working.result()


async def _local(settings: Settings) -> None:
    from bot.local.workspace import Workspace  # not needed, nor its database, where Slack is the real one

    data = settings.dolly_data
    configure_logging(settings.log_level, _open_log(data))
    async with _parts(settings, console.print) as addresses:
        workspace = Workspace(data / "workspace.sqlite3", port=settings.dolly_port, ratings=data / "ratings")
        await workspace.start()
        try:
            identity = workspace.identity
            slack = SlackAccess(identity.bot_token, workspace.api_url, app_token=identity.app_token)
            async with _service(settings, slack, addresses, LOCAL_FINISH_SECONDS) as service:
                console.print(f"Dolly is here: [bold]{workspace.url}[/]   (Ctrl-C stops it)")
                await service.answering
        finally:
            await workspace.stop()


def _open_log(data: Path) -> TextIO:
    """The log in the data folder, which is made where it is missing. Both are for their owner alone.

    It stays open to the end of the process, for whatever is logged last.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open(os.open(data / "dolly.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")
    except OSError as error:
        raise LocalPartError(
            f"The data folder {data} cannot be used ({error.strerror}); name another with DOLLY_DATA."
        ) from None


async def _serve(settings: Settings) -> None:
    async with (
        _parts(settings, errors.print) as addresses,
        _service(settings, configured.slack_access(settings), addresses, settings.finish_seconds) as service,
    ):
        errors.print(f"Dolly answers in {service.identity.team} as {service.identity.user}. Ctrl-C stops it.")
        await service.answering


async def _own_engines(settings: Settings) -> None:
    assert settings.redis_url is not None, "the settings were read for an owner"
    async with AsyncExitStack() as stack:
        client = connect(settings.redis_url, cluster=settings.redis_cluster)
        stack.push_async_callback(client.aclose)
        owner = configured.containers_owner(settings, ServedModels(client), errors.print)
        await own_containers(owner, configured.admin_port(settings), errors.print)


async def _check(settings: Settings, findings: list[Finding], *, production: bool) -> None:
    """Add to `findings` what each part is found to be; in `production`, how each promise is kept."""
    given = {name.upper() for name in settings.model_fields_set}
    findings += [Finding("Slack", "settings", "wrong", sentence) for sentence in missing_for_slack(given)]
    if not findings:
        slack = configured.slack_access(settings)
        findings += await preflight.check_slack(slack.bot_token, slack.app_token, slack.api_url, production=production)
    try:
        async with _configured_parts(settings) as addresses, _model(settings, addresses) as model:
            findings += await preflight.check_store(
                addresses.redis_url,
                cluster=settings.redis_cluster,
                wait_replicas=settings.redis_wait_replicas,
                production=production,
            )
            findings += await preflight.check_engine(
                model,
                settings.max_tokens,
                memory_tokens=settings.memory_tokens,
                concurrent_answers=settings.concurrent_answers,
                manifest=settings.engine_manifest,
                production=production,
            )
    except AlreadyRunning as error:
        sentence = f"Dolly runs already, with a store of its own. ({error})"
        findings.append(Finding("This machine", "parts", "cannot tell" if production else "safe", sentence))
    except DollyError as error:
        findings.append(Finding("This machine", "parts", "wrong", str(error)))
    if production:
        machine = configured.machine(settings)
        findings += await preflight.check_machine(machine)
        findings += await preflight.check_egress(machine.proxies)


async def _forget(settings: Settings, choose: Choose, team: str | None) -> None:
    async with _reachable_store(settings) as store:
        await forget_for_good(
            store.url,
            choose,
            cluster=store.cluster,
            memory_keys=store.memory_keys,
            erasure_log=store.erasure_log,
            team=team,
            tell=lambda sentence: console.print(sentence, soft_wrap=True),
        )


async def _export_feedback(settings: Settings, out: Path, team: str | None, learned: Learned) -> None:
    async with _reachable_store(settings) as store:
        await write_feedback(
            store.url,
            out,
            cluster=store.cluster,
            memory_keys=store.memory_keys,
            team=team,
            learned=learned,
            redaction=configured.redaction(settings),
            system_prompt=settings.system_prompt,
            tell=lambda sentence: console.print(sentence, soft_wrap=True, markup=False),
        )


@asynccontextmanager
async def _reachable_store(settings: Settings) -> AsyncIterator[StoreAccess]:
    """The store, whether Dolly runs or not."""
    async with AsyncExitStack() as stack:
        url = settings.redis_url
        if url is None:
            url = await stack.enter_async_context(reachable_store(settings.dolly_data))
        yield configured.store_access(settings, url)


def _configured_parts(settings: Settings) -> AbstractAsyncContextManager[Addresses]:
    """Store and engine as the settings have them, to be looked at."""
    return running_parts(
        settings.dolly_data,
        redis_url=settings.redis_url,
        engine_url=settings.engine_url,
        model_path=settings.model_path,
        context_tokens=settings.context_tokens,
    )


@asynccontextmanager
async def _parts(settings: Settings, tell: Callable[[str], None]) -> AsyncIterator[Addresses]:
    """Store and engine; an engine of Dolly's own serves the model that is in service, and others that are promoted."""
    async with AsyncExitStack() as parts:
        store = running_store(settings.dolly_data, redis_url=settings.redis_url, tell=tell)
        redis_url = await parts.enter_async_context(store)
        client = connect(redis_url, cluster=settings.redis_cluster)
        parts.push_async_callback(client.aclose)
        models, engine_url = ServedModels(client), settings.engine_url
        if engine_url is None:
            owner = configured.engine_owner(settings, models, tell)
            engine_url = await parts.enter_async_context(owner.running())
        elif left := await leave_own_engine(models):
            tell(f"The engine at ENGINE_URL answers from now on, and {left.name} {left.revision} no more.")
        yield Addresses(redis_url, engine_url)


@asynccontextmanager
async def _model(settings: Settings, addresses: Addresses) -> AsyncIterator[ModelClient]:
    model = configured.model_client(settings, addresses.engine_url)
    try:
        yield model
    finally:
        await model.close()


@asynccontextmanager
async def _service(
    settings: Settings, slack: SlackAccess, addresses: Addresses, finish_seconds: float
) -> AsyncIterator[Service]:
    async with (
        tracing(settings.otel_exporter_otlp_endpoint),
        _model(settings, addresses) as model,
        running_service(
            slack,
            configured.store_access(settings, addresses.redis_url),
            model,
            configured.answer_style(settings),
            configured.bounds(settings, finish_seconds),
            configured.access_rules(settings),
            configured.admin_port(settings),
            settings.audit_log,
            configured.redaction(settings),
        ) as service,
    ):
        for sentence in service.warnings:
            errors.print(sentence, style="yellow", markup=False, soft_wrap=True)
        yield service


def main() -> None:
    """The entry point of the command."""
    app()


if __name__ == "__main__":
    main()
