"""The running assistant, put together from plain values."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import structlog

from bot import metrics
from bot.admin import Health, admin_server
from bot.audit import AuditLog
from bot.erasures import ErasureLog, Erasures
from bot.model_client import ModelClient
from bot.quotas import Quotas
from bot.responder import AnswerStyle, Responder
from bot.slack.app import build_app
from bot.slack.catch_up import CatchUp
from bot.slack.client import TIMEOUT_SECONDS, Identity, authenticate, web_client
from bot.slack.commands import Commands
from bot.slack.edits import Edits
from bot.slack.forget_command import ForgetCommand
from bot.slack.forget_list import ForgetList
from bot.slack.gate import Gate
from bot.slack.history import History
from bot.slack.home import Home
from bot.slack.pacing import Pacer
from bot.slack.questions import Questions
from bot.slack.settling import Settler
from bot.slack.threads import Threads
from bot.slack.transport import http_events, socket_mode
from bot.store.connection import StoreReport, connect, inspect
from bot.store.cursors import Cursors
from bot.store.forgetting import Forgetting
from bot.store.layout import Layout, agree
from bot.store.mailbox import Mailbox
from bot.store.marks import Marks
from bot.store.memory import Memory
from bot.store.sealing import Sealing
from bot.store.settlings import Settlings
from bot.turns import Turns
from bot.words import Words
from bot.workers import Workers

log = structlog.get_logger(__name__)

SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class SlackAccess:
    """How Slack is reached. With `app_token` by Socket Mode, else by HTTP signed with `signing_secret`."""

    bot_token: str
    api_url: str
    app_token: str | None = None
    signing_secret: str | None = None
    http_host: str = "127.0.0.1"
    http_port: int = 0
    rate: float = 1.0
    """How many times Slack's published rate limits answers may be written."""


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """How the store is reached, and what is kept there."""

    url: str
    cluster: bool = False
    partitions: int = 1
    wait_replicas: int = 0
    memory_keys: tuple[bytes, ...] = ()
    """What encrypts it, the newest first; none for plain text."""
    lease_seconds: float = 15
    memory_days: float = 30
    memory_tokens: int = 8_000
    memory_bytes: int = 65_536
    erasure_log: Path = Path(".dolly/erasures.jsonl")
    """What was to be forgotten; made with the first erasure."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of everything, and how long."""

    concurrent_answers: int = 8
    waiting_per_user: int = 20
    question_characters: int = 20_000
    questions_per_minute: int = 0
    tokens_per_day: int = 0
    answer_within_seconds: float = 900
    catchup_max_age_seconds: float = 6 * 3600
    reads_per_minute: int = 40
    """Calls of each method with which Slack's history is read; Slack allows 50."""
    finish_seconds: float = 1


@dataclass(frozen=True, slots=True)
class AdminPort:
    """Where metrics and health are served; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """An assistant that is up: it hears Slack and answers."""

    identity: Identity
    answering: asyncio.Task[None]
    """Ends only by an error, or with the service."""
    http_port: int | None
    """Where HTTP events are received; None with Socket Mode."""
    admin_port: int | None
    """Where metrics and health are served; None where nobody asked for them."""
    store: StoreReport
    hears: Callable[[], bool]
    """Whether Slack's events can come in just now."""
    warnings: tuple[str, ...]
    """What may lose or keep what it should not, a sentence each, with what to do."""


@asynccontextmanager
async def running_service(
    slack: SlackAccess,
    store: StoreAccess,
    model: ModelClient,
    style: AnswerStyle,
    bounds: Bounds = Bounds(),
    admin: AdminPort | None = None,
    audit_log: Path | None = None,
) -> AsyncIterator[Service]:
    """Answer in Slack as long as the body runs.

    Raises StoreUnavailable when the store does not answer at the start, StoreMismatch when it was begun otherwise,
    ErasureLogBroken when nobody can tell what is to stay forgotten,
    SlackError when a token is refused, LocalPartError when a port is taken. An engine that does not answer is no
    reason not to start: whoever asks meanwhile is told so.
    """
    words = Words()
    health = Health()
    admin_port = None
    async with AsyncExitStack() as stack:
        redis = connect(store.url, cluster=store.cluster)
        stack.push_async_callback(redis.aclose)
        if admin is not None:  # early, and late to go: whoever watches sees Dolly start and stop
            admin_port = await stack.enter_async_context(admin_server(admin.host, admin.port, health))
        report = await inspect(redis)
        metrics.store_safe.set(report.safe)

        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        client = web_client(slack.bot_token, slack.api_url, session)
        identity = await authenticate(client)  # before any socket or port opens

        layout = Layout(f"{identity.home_id}/{identity.bot_id}", store.partitions)
        sealing = Sealing(store.memory_keys)
        await agree(redis, layout, sealing)
        forgetting = Forgetting(redis, layout, sealing)
        erasures = Erasures(ErasureLog(store.erasure_log, layout.owner), forgetting, redis)
        unsafe = await erasures.replay()  # before any turn is claimed or stored
        warnings = tuple(sentence for sentence in (*report.unsafe, *report.unknown, unsafe) if sentence)
        for sentence in warnings:
            log.warning("store_promise", reason=sentence)
        mailbox = Mailbox(
            redis,
            layout,
            sealing,
            lease_seconds=store.lease_seconds,
            memory_seconds=store.memory_days * SECONDS_A_DAY,
            memory_tokens=store.memory_tokens,
            memory_bytes=store.memory_bytes,
            waiting_per_user=bounds.waiting_per_user,
            wait_replicas=store.wait_replicas,
        )
        threads = Threads(client, identity, words, Pacer(scale=slack.rate))
        memory = Memory(redis, layout, sealing)
        responder = Responder(memory, model, threads, words, style)
        quotas = Quotas(
            redis, layout, questions_per_minute=bounds.questions_per_minute, tokens_per_day=bounds.tokens_per_day
        )
        turns = Turns(
            mailbox,
            responder,
            Gate(quotas, threads, words),
            AuditLog(audit_log),
            answer_within_seconds=bounds.answer_within_seconds,
        )
        settler = Settler(client, identity, mailbox.recorded, lease_seconds=store.lease_seconds)
        workers = Workers(
            mailbox,
            turns,
            Settlings(redis, layout),
            settler.settle,
            concurrent_answers=bounds.concurrent_answers,
            finish_seconds=bounds.finish_seconds,
        )
        answering = asyncio.create_task(workers.run())
        stack.push_async_callback(_end, answering)

        marks = Marks(redis, layout)
        questions = Questions(
            mailbox,
            marks,
            identity,
            words,
            threads.tell_privately,
            question_characters=bounds.question_characters,
        )
        edits = Edits(questions, mailbox, marks, max_age_seconds=bounds.catchup_max_age_seconds)
        forget_list = ForgetList(forgetting, memory, identity, words)
        forget = ForgetCommand(erasures, forgetting, forget_list, threads.is_admin, identity, words)
        stack.push_async_callback(forget.end)
        commands = Commands(questions, forget, identity, words)
        home = Home(client, words, memory_days=store.memory_days)
        app = build_app(client, identity, questions, edits, commands, forget, home, words)
        http_port, hears = None, always
        if slack.app_token is not None:
            hears = (await stack.enter_async_context(socket_mode(app, slack.app_token))).hears
        else:
            assert slack.signing_secret is not None, "SlackAccess has neither an app token nor a signing secret"
            http_port = await stack.enter_async_context(
                http_events(app, slack.signing_secret, slack.http_host, slack.http_port)
            )
        catch_up = CatchUp(
            History(client, calls_per_minute=bounds.reads_per_minute),
            questions,
            edits,
            mailbox,
            memory,
            Cursors(redis, layout),
            identity,
            hears,
            max_age_seconds=bounds.catchup_max_age_seconds,
        )
        catching_up = asyncio.create_task(catch_up.run())
        stack.push_async_callback(_end, catching_up)
        health.hears, health.workers, health.queue_report = hears, answering, mailbox.report
        log.info("ready", team=identity.team, transport="http" if http_port else "socket_mode", admin_port=admin_port)
        yield Service(identity, answering, http_port, admin_port, report, hears, warnings)


def always() -> bool:
    """Over HTTP, events can come as long as this process runs."""
    return True


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
