"""What people ask during a run: several of them, in many threads at once, faster than it can be answered."""

import asyncio
import random
import time
from dataclasses import dataclass

from bot.local.workspace.records import BOT_USER_ID, Json, people
from tests.chaos.judge import Asked
from tests.chaos.markers import question_text
from tests.chaos.witness import Witness

CHANNELS = ("general", "team-help", "sales", "support", "design", "kitchen")
CHANNEL_THREADS = 36
DIRECT_THREADS = 24
UNANSWERED = 120
"""So many questions wait at any time, in a long run: two a thread, so that order is put to the test."""
COMMAND_SHARE = 0.05
POISON_SHARE = 0.005
BURST_SHARE = 0.15
"""How often somebody writes the next message in the same thread at once."""
PACE_SECONDS = 0.02
PATIENCE_SECONDS = 1.0
"""After which the next question comes, however many wait."""
FORGOTTEN_SECONDS = 60.0


@dataclass
class Thread:
    channel_id: str
    asker: str | None
    """In a direct message, who writes there; in channels everybody does."""
    root_ts: str | None = None


class Load:
    """Asks `questions` questions; `asked` tells how far it has come."""

    def __init__(self, witness: Witness, questions: int, chance: random.Random) -> None:
        self._witness = witness
        self._people = witness.workspace.people
        self._chance = chance
        self.questions = questions
        self._room_for = min(UNANSWERED, max(20, questions // 6))
        self.asked = 0
        self._askers = [person.id for person in people()]
        self._threads = self._open_places()
        self._open: dict[int, float] = {}
        self._commands: set[asyncio.Task[Json | None]] = set()

    def _open_places(self) -> list[Thread]:
        timeline = self._witness.workspace.timeline
        ids = {channel.name: channel.id for channel in timeline.channels()}
        for name in CHANNELS:
            if name not in ids:
                ids[name] = timeline.create_channel(name, self._askers[0]).id
                for member in (*self._askers, BOT_USER_ID):
                    timeline.join(ids[name], member)
        channels = [Thread(ids[CHANNELS[n % len(CHANNELS)]], None) for n in range(CHANNEL_THREADS)]
        askers = [self._askers[n % len(self._askers)] for n in range(DIRECT_THREADS)]
        return channels + [Thread(timeline.direct_channel(asker).id, asker) for asker in askers]

    async def run(self) -> None:
        thread: Thread | None = None
        while self.asked < self.questions:
            await self._room()
            if thread is None or self._chance.random() > BURST_SHARE:
                thread = self._chance.choice(self._threads)
            if self._chance.random() < COMMAND_SHARE:
                await self._command()
            else:
                await self._ask(thread, is_poison=self._chance.random() < POISON_SHARE)
            await asyncio.sleep(PACE_SECONDS)

    async def roll_call(self) -> None:
        """One more question in every thread: its prompt shows what is remembered at the end."""
        for thread in self._threads:
            if thread.root_ts is not None:
                await self._ask(thread)

    def unanswered(self) -> int:
        """How many of the questions of the last minute show no whole answer yet."""
        oldest = time.monotonic() - FORGOTTEN_SECONDS
        self._open = {n: at for n, at in self._open.items() if n not in self._witness.whole_at and at > oldest}
        return len(self._open)

    async def _room(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.unanswered() >= self._room_for and time.monotonic() < deadline:
            await asyncio.sleep(PACE_SECONDS)

    async def _ask(self, thread: Thread, *, is_poison: bool = False) -> None:
        number = self._number()
        asker = thread.asker or self._chance.choice(self._askers)
        text = question_text(number, is_poison=is_poison)
        if thread.asker is None:
            text = f"@dolly {text}"
        message = await self._people.post(asker, thread.channel_id, text, thread_ts=thread.root_ts)
        assert message is not None
        thread.root_ts = thread.root_ts or message["ts"]
        conversation = f"{thread.channel_id}/{thread.root_ts}"
        self._witness.expect(Asked(number, conversation, message["ts"], is_poison))

    async def _command(self) -> None:
        number = self._number()
        self._witness.expect(Asked(number, f"/dolly {number}", f"{time.time():.6f}", is_command=True))
        place = self._chance.choice([thread for thread in self._threads if thread.asker is None])
        typed = f"/dolly {question_text(number)}"
        # Slack waits three seconds for its acknowledgement; other people do not.
        task = asyncio.create_task(self._people.post(self._chance.choice(self._askers), place.channel_id, typed))
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)

    def _number(self) -> int:
        number = self.asked
        self.asked += 1
        self._open[number] = time.monotonic()
        return number
