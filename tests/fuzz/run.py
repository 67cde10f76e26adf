"""One run: a workspace, an engine that writes what is generated, a store, and Dolly, who is given all items."""

import asyncio
import json
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from bot.local.workspace.timeline.changes import Change
from bot.slack.hearing.http_events import PATH
from tests.fuzz.cases import corpus
from tests.fuzz.generated import WRITTEN, Item
from tests.fuzz.shown import faults_of
from tests.fuzz.subject import TASKS, Dolly
from tests.fuzz.tour import Tour
from tests.scenarios.signed import FORM_TYPE, JSON_TYPE, as_form, as_json, signature
from tests.scripted_engine import DONE, Request, Script, ScriptedEngine

START_SECONDS = 60
OUTPUTS_AHEAD = 40
REQUESTS_AHEAD = 60
STUCK_SECONDS = 60
IDLE_SECONDS = 300
REFUSED_BODIES = frozenset({200, 400, 401, 404, 413})
REDELIVERIES = 3
KEPT_FINDINGS = 200
GREETING = "Ctrl-C stops it."
"""The one line of the log that is for people."""


class Engine(ScriptedEngine):
    """Writes what is given to it, an answer for each question; without any, one that is harmless."""

    def __init__(self) -> None:
        super().__init__(window_tokens=100_000)
        self.given: deque[tuple[str, ...]] = deque()
        self.written = 0

    async def _answer(self, http: web.Request, request: Request, script: Script) -> web.StreamResponse:
        self.requests.clear()
        self.calls.clear()
        if self.given:
            self.written += 1
            chunks = [self.chunk(delta) for delta in self.given.popleft()]
            script = Script(lines=[*chunks, self.chunk("", "stop"), DONE])
        return await super()._answer(http, request, script)


@dataclass
class Health:
    """Dolly's process, at one moment."""

    memory_mb: float = 0
    tasks: float = 0
    files: float = 0
    unanswered: float = 0
    dead: float = 0


@dataclass
class Findings:
    """What was wrong, by figure."""

    counts: Counter[str] = field(default_factory=Counter)
    sentences: list[str] = field(default_factory=list)

    def add(self, figure: str, sentence: str) -> None:
        self.counts[figure] += 1
        if len(self.sentences) < KEPT_FINDINGS:
            self.sentences.append(f"{figure}: {sentence[:1500]}")
            print(f"  {self.sentences[-1]}", flush=True)


class Run:
    """All its parts, from `start` to `stop`; `give` gives Dolly some items."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.findings = Findings()
        self.statuses: Counter[str] = Counter()
        self.slowest_seconds = 0.0
        self.redelivered = 0
        self._giving: set[asyncio.Task[None]] = set()
        self.workspace = Workspace()
        self.engine = Engine()
        self._store = LocalStore(folder / "store")
        self._own_ids: frozenset[str] = frozenset()

    async def start(self) -> None:
        await self._store.start()
        await self.engine.start()
        await self.workspace.start()
        self.workspace.changes.subscribe(self._look_at)
        self.dolly = Dolly(self.folder, self.workspace, self._store.url, self.engine.url)
        await self.dolly.start()
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        self._url = f"http://127.0.0.1:{self.dolly.http_port}{PATH}"
        async with asyncio.timeout(START_SECONDS):
            while not await self._is_ready():
                await asyncio.sleep(0.1)
        self.workspace.request_url = self._url
        self._own_ids = frozenset(user.id for user in self.workspace.timeline.users())
        self._asha = next(user.id for user in self.workspace.timeline.users() if user.name.lower() == "asha")
        channel = await self.workspace.people.create_channel(self._asha, "outputs")
        self._channel_id = channel.id

    async def stop(self) -> None:
        await self._session.close()
        await self.dolly.kill()
        await self.workspace.stop()
        await self.engine.stop()
        await self._store.stop()

    async def tour(self) -> None:
        await Tour(self.workspace).go()

    async def cases(self) -> list[Item]:
        """The corpus, with the ids of this workspace."""
        return corpus(self.workspace)

    async def give(self, items: Sequence[Item]) -> None:
        """Give Dolly all of these at once. Returns when not too much is under way any more."""
        for item in items:
            task = asyncio.create_task(self._give(item))
            self._giving.add(task)
            task.add_done_callback(self._given)
        until = time.monotonic() + STUCK_SECONDS
        while time.monotonic() < until:
            if len(self._giving) <= REQUESTS_AHEAD and len(self.engine.given) <= OUTPUTS_AHEAD:
                return
            await asyncio.sleep(0.01)

    def _given(self, task: asyncio.Task[None]) -> None:
        self._giving.discard(task)
        task.result()  # a mistake of the run itself is heard of

    async def _give(self, item: Item) -> None:
        if item.kind == "output":
            self.engine.given.append(item.deltas)
            await self.workspace.people.post(self._asha, self._channel_id, f"@dolly {WRITTEN}?")
        elif item.kind == "body":
            status, text = await self._post(item.body, {"Content-Type": item.content_type}, is_signed=item.is_signed)
            if status not in REFUSED_BODIES or (status == 200 and not item.is_signed):
                self.findings.add("unacked", f"{status} for the body {item.body!r} ({item.content_type}) {text[:200]}")
        else:
            for _ in range(item.times):
                await self._deliver(item)

    async def _deliver(self, item: Item) -> None:
        if item.way == "event":
            body, headers = as_json(item.payload), JSON_TYPE
        elif item.way == "command" and isinstance(item.payload, dict):
            body, headers = as_form({name: _flat(value) for name, value in item.payload.items()}), FORM_TYPE
        else:
            body, headers = as_form({"payload": json.dumps(item.payload)}), FORM_TYPE
        status, text = await self._post(body, headers)
        for _ in range(REDELIVERIES):
            if status != 503:
                break
            self.redelivered += 1  # the store was slow: Slack comes again with an event
            status, text = await self._post(body, headers)
        if status != 200 and (item.is_known or status != 400):
            self.findings.add("unacked", f"{status} for {json.dumps(item.payload)[:1200]}: {text[:200]}")
        if text:
            with suppress(ValueError):
                self._judge(json.loads(text), "acknowledgement")
                return
            self._judge({"text": text}, "acknowledgement")

    async def _post(self, body: bytes, headers: dict[str, str], *, is_signed: bool = True) -> tuple[int, str]:
        headers = {name: value for name, value in headers.items() if value}
        if is_signed:
            headers |= signature(self.workspace.identity.signing_secret, body)
        begun = time.monotonic()
        try:
            async with self._session.post(self._url, data=body, headers=headers) as response:
                text = await response.text(errors="replace")
                self.statuses[str(response.status)] += 1
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begun)
                return response.status, text
        except (aiohttp.ClientError, TimeoutError) as error:
            self.statuses[type(error).__name__] += 1
            return 599, type(error).__name__

    # --- what is seen ------------------------------------------------------------------------------------------

    def _look_at(self, change: Change) -> None:
        """Judge whatever Dolly shows, as it comes."""
        if change.kind == "error":
            text = change.detail["text"]
            self.findings.add("unacked" if "did not respond" in text else "unshowable", text)
        elif change.kind in ("view", "home"):
            self._judge(change.detail.get("view"), change.kind)
        elif change.kind == "ephemeral":
            self._judge(change.message, change.kind)
        elif change.message and change.message.get("user") == self.workspace.identity.bot_user_id:
            self._judge(change.message, change.kind, is_answer=True)

    def _judge(self, shown: Any, where: str, *, is_answer: bool = False) -> None:
        is_public = is_answer or (isinstance(shown, dict) and shown.get("response_type") == "in_channel")
        for fault in faults_of(shown, own_ids=self._own_ids if is_public else None, is_answer=is_answer):
            figure = "forbidden_syntax" if fault.startswith("forbidden") else "tracebacks"
            self.findings.add(figure, f"{where}: {fault} in {json.dumps(shown)[:900]}")

    async def idle(self) -> Health:
        """Dolly's health when nothing waits any more; or after IDLE_SECONDS."""
        await asyncio.gather(*self._giving)
        until = time.monotonic() + IDLE_SECONDS
        health = await self.health()
        while (health.unanswered or self.workspace.delivery.pending()) and time.monotonic() < until:
            await asyncio.sleep(1)
            health = await self.health()
        await asyncio.sleep(2)
        return await self.health()

    async def health(self) -> Health:
        async with self._session.get(f"http://127.0.0.1:{self.dolly.admin_port}/metrics") as response:
            text = await response.text()

        def value(name: str) -> float:
            found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
            return float(found[1]) if found else 0.0

        return Health(
            value("process_resident_memory_bytes") / 2**20,
            value(TASKS),
            value("process_open_fds"),
            value("dolly_turns_waiting"),
            value("dolly_turns_dead"),
        )

    async def _is_ready(self) -> bool:
        try:
            async with self._session.get(f"http://127.0.0.1:{self.dolly.admin_port}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            assert self.dolly.is_running, self.dolly.log_path.read_text()[-3000:]
            return False

    def read_log(self, told: Callable[[str], None]) -> None:
        """Search what Dolly has logged: no traceback, and nothing of what people or the model wrote."""
        events: Counter[str] = Counter()
        for line in self.dolly.log_path.read_text(errors="replace").splitlines():
            if WRITTEN in line:
                self.findings.add("logged_texts", line)
            try:
                logged = json.loads(line)
            except ValueError:
                if line.strip() and GREETING not in line:
                    self.findings.add("tracebacks", f"the log: {line}")
                continue
            if "exception" in logged or logged.get("event") == "listener_failed":
                self.findings.add("tracebacks", f"the log: {line[-1500:]}")
            events[f"{logged.get('level')} {logged.get('event')} {logged.get('error', '')}"] += 1
        for event, count in events.most_common(40):
            told(f"  logged {count} times: {event[:120]}")


def _flat(value: Any) -> str:
    """As Slack sends it: a form is UTF-8."""
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace").decode()
