"""People who ask at the workspace, many at once, and what they see: when the first text came, and the last."""

import asyncio
import time
from dataclasses import dataclass, field

from bot.local.workspace import Workspace
from bot.local.workspace.timeline.changes import Change
from tests.benchmarks.delivery.engine import BEGINNING, END

PAUSE_SECONDS = 0.5
"""Between an answer and the same person's next question; nobody types faster."""

ANSWER_LIMIT_SECONDS = 120.0
CHANNELS = 16
SHOWING = ("message", "message_changed", "stream")


@dataclass
class Seen:
    """What was seen of some answers."""

    first_text_seconds: list[float] = field(default_factory=list)
    """From each question to the first character of the engine's, on show in the workspace."""
    appends: int = 0
    updates: int = 0
    answers: int = 0
    wall_seconds: float = 0.0

    @property
    def appends_per_answer(self) -> float:
        return self.appends / max(self.answers, 1)


@dataclass
class _Waiting:
    """A question that is being answered."""

    asked: float
    ts: str
    shown: float | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class Crowd:
    """Asks Dolly, or whoever has Dolly's tokens, in `workspace`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._waiting: dict[str, _Waiting] = {}
        self._seen = Seen()
        self._channels = self._open_channels()
        workspace.changes.subscribe(self._on_change)

    def _open_channels(self) -> list[str]:
        timeline = self._workspace.timeline
        everyone = [user.id for user in timeline.users()]
        channels = [timeline.create_channel(f"team-{number}", everyone[0]) for number in range(CHANNELS)]
        for channel in channels:
            for user_id in everyone[1:]:
                timeline.join(channel.id, user_id)
        return [channel.id for channel in channels]

    async def ask(self, conversations: int, turns: int, *, over_seconds: float) -> Seen:
        """Have `conversations` go on at once, `turns` questions each, begun evenly over `over_seconds`.

        In a conversation the next question comes when the last one is answered. Raises TimeoutError when an
        answer does not come.
        """
        self._seen = seen = Seen()
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(conversations):
                group.create_task(self._converse(number, turns, over_seconds * number / conversations))
        seen.wall_seconds = time.perf_counter() - began
        return seen

    async def _converse(self, number: int, turns: int, after_seconds: float) -> None:
        users = [user.id for user in self._workspace.timeline.users() if not user.is_bot]
        channel_id, user_id = self._channels[number % CHANNELS], users[number % len(users)]
        await asyncio.sleep(after_seconds)
        root_ts: str | None = None
        for turn in range(turns):
            if turn:
                await asyncio.sleep(PAUSE_SECONDS)
            question = f"@dolly What is the number {number} of turn {turn}?"
            asked = time.perf_counter()
            said = await self._workspace.people.post(user_id, channel_id, question, thread_ts=root_ts)
            assert said is not None
            root_ts = root_ts or str(said["ts"])
            waiting = self._waiting[root_ts] = _Waiting(asked, str(said["ts"]))
            async with asyncio.timeout(ANSWER_LIMIT_SECONDS):
                await waiting.answered.wait()
            assert waiting.shown is not None
            self._seen.answers += 1
            self._seen.first_text_seconds.append(waiting.shown - waiting.asked)

    def _on_change(self, change: Change) -> None:
        message = change.message
        if message is None or message.get("user") != self._workspace.identity.bot_user_id:
            return
        self._seen.appends += change.kind == "stream" and change.detail["state"] == "streaming"
        self._seen.updates += change.kind == "message_changed"
        waiting = self._waiting.get(message.get("thread_ts") or "")
        if waiting is None or message["ts"] < waiting.ts or change.kind not in SHOWING:
            return
        if waiting.shown is None and BEGINNING in message["text"]:
            waiting.shown = time.perf_counter()
        if END in message["text"] and change.detail.get("state") != "streaming":
            waiting.answered.set()
