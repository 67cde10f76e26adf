"""Dolly whole: the real Bolt app, a real Valkey, a workspace; the engine scripted or real."""

import asyncio
import base64
import io
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from redis.asyncio import Redis

from bot.access import AccessRules, AdminPort, Bounds, SlackAccess, StoreAccess
from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from bot.model_client import ModelClient
from bot.responder import AnswerStyle
from bot.service import Service, running_service
from bot.slack.answering.own_messages import whole_text
from bot.slack.hearing.http_events import PATH
from bot.telemetry import configure_logging
from tests.scenarios.faults import Faults
from tests.silence import Silence, listening

Json = dict[str, Any]
Transport = Literal["socket_mode", "http"]

MEMORY_KEY, RETRAIN_KEY = bytes(range(32)), bytes(range(32, 64))
BOUNDS = Bounds()
RULES = AccessRules()
SYSTEM_PROMPT = "You are Dolly, a helpful assistant."


@dataclass
class Team:
    """A workspace with Dolly in it, and the people who talk to it."""

    workspace: Workspace
    service: Service

    @property
    def bot_id(self) -> str:
        return self.workspace.identity.bot_user_id

    def channel(self, name: str) -> str:
        return next(channel.id for channel in self.workspace.timeline.channels() if channel.name == name)

    def person(self, name: str) -> str:
        return next(user.id for user in self.workspace.timeline.users() if user.name.lower() == name)

    def direct(self, name: str) -> str:
        return self.workspace.timeline.direct_channel(self.person(name)).id

    async def say(self, name: str, text: str, *, channel: str | None = None, thread: str | None = None) -> str:
        """Say something as `name`, in #general unless told otherwise; the message's ts."""
        message = await self.workspace.people.post(
            self.person(name), channel or self.channel("general"), text, thread_ts=thread
        )
        assert message is not None
        return str(message["ts"])

    async def admin(self, name: str, text: str) -> Json:
        """Type `/dolly admin …` in #general; the message with which Dolly answers, for these eyes alone."""
        place, person = self.channel("general"), self.person(name)
        before = len(self.workspace.timeline.ephemerals(place, person))
        await self.workspace.people.command(person, place, "/dolly", f"admin {text}")
        await until(lambda: len(self.workspace.timeline.ephemerals(place, person)) > before)
        return self.workspace.timeline.ephemerals(place, person)[-1]

    async def told(self, name: str, text: str) -> str:
        """What that message says."""
        return str((await self.admin(name, text))["text"])

    def thread(self, root_ts: str, *, channel: str | None = None) -> list[Json]:
        messages, _ = self.workspace.timeline.replies(channel or self.channel("general"), root_ts)
        return messages

    def answers(self, root_ts: str, *, channel: str | None = None) -> list[str]:
        """Dolly's messages in a thread, as they stand."""
        return [whole_text(m) for m in self.thread(root_ts, channel=channel) if m.get("user") == self.bot_id]

    async def answered(
        self, root_ts: str, count: int = 1, *, channel: str | None = None, seconds: float = 60
    ) -> list[str]:
        """Wait until Dolly has finished `count` messages in a thread."""
        place = channel or self.channel("general")

        def finished() -> bool:
            mine = [m["ts"] for m in self.thread(root_ts, channel=place) if m.get("user") == self.bot_id]
            states = [self.workspace.timeline.stream_state(place, ts) for ts in mine]
            return len(mine) >= count and "streaming" not in states

        await until(finished, seconds)
        return self.answers(root_ts, channel=place)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Return when `condition` holds. Raises TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running_team(
    store_url: str,
    engine_url: str,
    transport: Transport = "socket_mode",
    *,
    workspace: Workspace | None = None,
    max_tokens: int = 60,
    store: StoreAccess | None = None,
    bounds: Bounds = BOUNDS,
    rules: AccessRules = RULES,
    admin: AdminPort | None = None,
    audit_log: Path | None = None,
    **limits: Any,
) -> AsyncIterator[Team]:
    """Start a workspace (or use one that runs) and Dolly in it."""
    own = workspace is None
    workspace = workspace or Workspace(rate_limits=True)
    if own:
        await workspace.start()
    identity = workspace.identity
    slack = SlackAccess(
        identity.bot_token,
        workspace.api_url,
        app_token=identity.app_token if transport == "socket_mode" else None,
        signing_secret=identity.signing_secret,
    )
    model = ModelClient(engine_url, temperature=0, **limits)
    own_folder = TemporaryDirectory()
    try:
        style = AnswerStyle(SYSTEM_PROMPT, max_tokens)
        erasure_log = Path(own_folder.name) / "erasures.jsonl"
        store = store or StoreAccess(
            store_url, memory_keys=(MEMORY_KEY,), erasure_log=erasure_log, retrain_key=RETRAIN_KEY
        )
        async with running_service(slack, store, model, style, bounds, rules, admin, audit_log) as service:
            if service.http_port is not None:
                workspace.request_url = f"http://127.0.0.1:{service.http_port}{PATH}"
            yield Team(workspace, service)
            with suppress(TimeoutError):  # an acknowledgement under way finds its socket open still
                await until(lambda: workspace.delivery.pending() == 0, seconds=1)
    finally:
        await model.close()
        own_folder.cleanup()
        if own:
            await workspace.stop()


LOGS = (".log", ".jsonl")


@pytest.fixture(scope="module", autouse=True)
def silence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silence]:
    """At the end of each file of scenarios, nothing that was said in it and no secret is in a log."""
    began = time.time()
    with listening() as silence:
        for name, key in (("memory", MEMORY_KEY), ("trainer", RETRAIN_KEY)):
            silence.keep(f"{name}'s key", base64.b64encode(key).decode())
            silence.keep(f"{name}'s key in hex", key.hex())
        yield silence
        base = tmp_path_factory.getbasetemp()
        logs = [path for path in base.rglob("*") if path.suffix in LOGS and path.is_file()]
        broken = silence.broken(path for path in logs if path.stat().st_mtime >= began)
    assert not broken, f"in a log is what nobody may read there: {broken}"


@pytest.fixture
def audit_log(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def store_url(redis: Redis, local_store: LocalStore) -> str:
    """The session's Valkey, emptied."""
    return local_store.url


@pytest.fixture(params=["socket_mode", "http"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Each way that Slack's events can come."""
    chosen: Transport = request.param
    return chosen


@pytest.fixture
def logs(silence: Silence) -> Iterator[io.StringIO]:
    """All that this process logs during the test, as `dolly serve` would at its most talkative level."""
    loggers = [logging.getLogger(name) for name in (None, "bot", "slack_bolt", "slack_sdk")]
    levels, root = [logger.level for logger in loggers], loggers[0]
    handlers, root.handlers = root.handlers, []
    stream = io.StringIO()
    configure_logging("debug", stream)
    root.addHandler(silence.handler)
    yield stream
    root.handlers = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """What goes wrong in the workspaces that start in the test; Dolly waits for them no longer than it must."""
    monkeypatch.setattr("bot.slack.client.FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr("bot.slack.client.LONGEST_RETRY_SECONDS", 0.1)
    monkeypatch.setattr("bot.turns.RETRY_SECONDS", 0.02)
    monkeypatch.setattr("random.random", lambda: 0.0)  # the jitter of slack_sdk's waits
    return Faults(monkeypatch)
