"""Dolly and the plain bot, each in a workspace of its own, and what a crowd of people costs them."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from bot.store.connection import connect
from tests.benchmarks.delivery.crowd import Crowd, Seen
from tests.benchmarks.delivery.processes import Child, cpu_seconds, running
from tests.benchmarks.delivery.stored import store_conversations

CONCURRENT_ANSWERS = 512
SETTLE_SECONDS = 1.0
"""After the last answer, for what is committed and posted behind it."""

SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Run:
    """What was seen of one run, and what it cost."""

    seen: Seen
    cpu_seconds: float
    """Of the bot's process, per answer."""
    store_cpu_seconds: float
    """Of its store, per answer; 0 where it has none."""
    rss_bytes: int
    """Of the bot's process, at its highest."""
    store_bytes: int
    """The store's used_memory, at its highest."""

    @property
    def answers_per_second(self) -> float:
        return self.seen.answers / self.seen.wall_seconds


@dataclass(frozen=True)
class Contestant:
    """A bot that is up."""

    crowd: Crowd
    process: Child
    store: LocalStore | None = None
    redis: Redis | None = None

    async def run(self, conversations: int, turns: int, *, over_seconds: float) -> Run:
        """Have the crowd ask, as Crowd.ask has it."""
        store_pid = self.store.pid if self.store else None
        before = self.process.cpu_seconds(), cpu_seconds(store_pid) if store_pid else 0.0
        rss: list[int] = []
        stored: list[int] = []
        sampling = asyncio.create_task(self._sample(rss, stored))
        try:
            seen = await self.crowd.ask(conversations, turns, over_seconds=over_seconds)
            await asyncio.sleep(SETTLE_SECONDS)
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
        return Run(
            seen,
            (self.process.cpu_seconds() - before[0]) / seen.answers,
            ((cpu_seconds(store_pid) if store_pid else 0.0) - before[1]) / seen.answers,
            max(rss),
            max(stored),
        )

    async def _sample(self, rss: list[int], stored: list[int]) -> None:
        while True:
            rss.append(self.process.rss_bytes())
            stored.append(int((await self.redis.info("memory"))["used_memory"]) if self.redis else 0)
            await asyncio.sleep(SAMPLE_SECONDS)


@asynccontextmanager
async def dolly(engine_url: str, place: Path, *, stored: int = 0) -> AsyncIterator[Contestant]:
    """`dolly serve` (launch.py) with encryption and a store that syncs every write, `stored` conversations in it."""
    key = secrets.token_bytes(32)
    async with _workspace() as workspace, _store(place / "store") as store:
        identity = workspace.identity
        redis = connect(store.url)
        try:
            assert isinstance(redis, Redis)
            if stored:
                await store_conversations(redis, identity, key, stored)
            settings = {
                "SLACK_BOT_TOKEN": identity.bot_token,
                "SLACK_APP_TOKEN": identity.app_token,
                "SLACK_API_URL": workspace.api_url,
                "REDIS_URL": store.url,
                "ENGINE_URL": engine_url,
                "DOLLY_MEMORY_KEY": base64.b64encode(key).decode(),
                "CONCURRENT_ANSWERS": str(CONCURRENT_ANSWERS),
                "QUESTIONS_PER_MINUTE": "0",
                "WAITING_PER_USER": "1000",
            }
            serving = running(
                *("tests.benchmarks.delivery.launch", "serve"),
                place=place / "dolly",
                ready="Dolly answers in",
                environment=settings,
            )
            async with serving as process:
                yield Contestant(Crowd(workspace), process, store, redis)
        finally:
            await redis.aclose()


@asynccontextmanager
async def plain_bot(engine_url: str, place: Path, *, appends: float) -> AsyncIterator[Contestant]:
    """The baseline (plain_bot.py), with `appends` appends per answer."""
    async with _workspace() as workspace:
        identity = workspace.identity
        tokens = ["--bot-token", identity.bot_token, "--app-token", identity.app_token]
        places = ["--api-url", workspace.api_url, "--engine-url", engine_url, "--appends", str(appends)]
        async with running("tests.benchmarks.delivery.plain_bot", *tokens, *places, place=place) as process:
            yield Contestant(Crowd(workspace), process)


@asynccontextmanager
async def engine(place: Path, *, tokens_per_second: float, first_token_seconds: float) -> AsyncIterator[str]:
    """The scripted engine (engine.py); yields its address."""
    speed = ["--tokens-per-second", str(tokens_per_second), "--first-token-seconds", str(first_token_seconds)]
    async with running("tests.benchmarks.delivery.engine", *speed, place=place) as process:
        yield process.said.split()[1]


@asynccontextmanager
async def _workspace() -> AsyncIterator[Workspace]:
    """A workspace without rate limits, in memory, in this process."""
    workspace = Workspace(rate_limits=False)
    await workspace.start()
    try:
        yield workspace
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await workspace.stop()


@asynccontextmanager
async def _store(place: Path) -> AsyncIterator[LocalStore]:
    """Dolly's own Valkey: an append-only file, synced with every write."""
    store = LocalStore(place)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()
