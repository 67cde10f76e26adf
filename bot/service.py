"""The running assistant, put together from plain values."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import structlog

from bot.model_client import ModelClient
from bot.responder import AnswerStyle, Responder
from bot.slack.app import build_app
from bot.slack.client import TIMEOUT_SECONDS, Identity, authenticate, web_client
from bot.slack.commands import Commands
from bot.slack.home import Home
from bot.slack.questions import Questions
from bot.slack.threads import Threads
from bot.slack.transport import http_events, socket_mode
from bot.store.connection import StoreReport, connect, inspect
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
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


@dataclass(frozen=True, slots=True)
class Service:
    """An assistant that is up: it hears Slack and answers."""

    identity: Identity
    answering: asyncio.Task[None]
    """Ends only by an error, or with the service."""
    http_port: int | None
    """Where HTTP events are received; None with Socket Mode."""
    store: StoreReport


@asynccontextmanager
async def running_service(
    slack: SlackAccess,
    redis_url: str,
    model: ModelClient,
    style: AnswerStyle,
    *,
    concurrent_answers: int = 8,
    memory_days: float = 30,
) -> AsyncIterator[Service]:
    """Answer in Slack as long as the body runs.

    Raises StoreUnavailable when the store does not answer at the start, SlackError when a token is refused,
    LocalPartError when the HTTP port is taken. An engine that does not answer is no reason not to start:
    whoever asks meanwhile is told so.
    """
    words = Words()
    async with AsyncExitStack() as stack:
        redis = connect(redis_url)
        stack.push_async_callback(redis.aclose)
        report = await inspect(redis)
        for sentence in (*report.unsafe, *report.unknown):
            log.warning("store_promise", reason=sentence)

        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        client = web_client(slack.bot_token, slack.api_url, session)
        identity = await authenticate(client)  # before any socket or port opens

        owner = f"{identity.home_id}/{identity.bot_id}"
        mailbox = Mailbox(redis, owner, memory_seconds=memory_days * SECONDS_A_DAY)
        threads = Threads(client, identity, words)
        responder = Responder(Memory(redis, owner), model, threads, words, style)
        answering = asyncio.create_task(Workers(mailbox, responder, concurrent_answers=concurrent_answers).run())
        stack.push_async_callback(_end, answering)

        questions = Questions(mailbox, identity)
        commands = Commands(questions, identity, words)
        app = build_app(client, identity, questions, commands, Home(client, words, memory_days=memory_days), words)
        http_port = None
        if slack.app_token is not None:
            await stack.enter_async_context(socket_mode(app, slack.app_token))
        else:
            assert slack.signing_secret is not None, "SlackAccess has neither an app token nor a signing secret"
            http_port = await stack.enter_async_context(
                http_events(app, slack.signing_secret, slack.http_host, slack.http_port)
            )
        log.info("ready", team=identity.team, transport="http" if http_port else "socket_mode")
        yield Service(identity, answering, http_port, report)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
