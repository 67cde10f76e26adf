"""What people ask during a run: several of them, in many threads at once, faster than it can be answered."""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from bot.local.workspace.records import BOT_USER_ID, Json, people
from bot.slack.answering.answer_blocks import REGENERATE
from bot.slack.permalinks import permalink
from tests.chaos.judge import Asked
from tests.chaos.markers import question_text, whole_answers_in
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
EDIT_SHARE = 0.04
DELETE_SHARE = 0.02
REGENERATE_SHARE = 0.04
FORGET_SHARE = 0.005
"""How often, beside a question, somebody edits or deletes what was asked lately, has a finished answer written anew, or
has a thread forgotten."""
LATELY = 30


@dataclass(frozen=True)
class Said:
    """A question that can still be edited or deleted: no poison, no command, no root of a thread."""

    number: int
    channel_id: str
    asker: str
    ts: str


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
        self._lately: deque[Said] = deque(maxlen=LATELY)
        self._asker_of: dict[int, str] = {}
        self.done: Counter[str] = Counter()
        """What was done beside asking."""

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
            await self._change_minds()
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
        self._asker_of[number] = asker
        if thread.root_ts is not None and not is_poison:
            self._lately.append(Said(number, thread.channel_id, asker, message["ts"]))
        thread.root_ts = thread.root_ts or message["ts"]
        conversation = f"{thread.channel_id}/{thread.root_ts}"
        self._witness.expect(Asked(number, conversation, message["ts"], is_poison))

    async def _change_minds(self) -> None:
        """Now and then, what was asked is edited, deleted, answered once more, or forgotten with its thread."""
        if self._lately and self._chance.random() < EDIT_SHARE:
            said = self._chance.choice(self._lately)
            text = f"{question_text(said.number)} (edited)"
            if not said.channel_id.startswith("D"):
                text = f"@dolly {text}"
            await self._people.edit(said.asker, said.channel_id, said.ts, text)
            self.done["edited"] += 1
        if self._lately and self._chance.random() < DELETE_SHARE:
            said = self._chance.choice(self._lately)
            self._lately.remove(said)
            self._take_back([said.number])
            await self._people.delete(said.asker, said.channel_id, said.ts)
            self.done["deleted"] += 1
        if self._chance.random() < REGENERATE_SHARE:
            self._regenerate(self._chance.choice(self._threads))
        own = [thread for thread in self._threads if thread.asker and thread.root_ts]
        if own and self._chance.random() < FORGET_SHARE:
            await self._forget(self._chance.choice(own))

    def _regenerate(self, thread: Thread) -> None:
        """Who asked has a finished answer of the thread written anew: the new one is judged as the one before was."""
        if thread.root_ts is None:
            return
        messages, _ = self._witness.workspace.timeline.replies(thread.channel_id, thread.root_ts)
        finished = [
            (self._asker_of[number], message["ts"])
            for message in messages
            for number in whole_answers_in(message["text"])
            if REGENERATE in str(message.get("blocks"))
        ]
        if finished:
            asker, answer_ts = self._chance.choice(finished)
            self._soon(self._people.press(asker, thread.channel_id, answer_ts, REGENERATE))
            self.done["regenerated"] += 1

    async def _forget(self, thread: Thread) -> None:
        """`/dolly forget` and a link to a direct thread; what is asked next begins another."""
        assert thread.asker is not None
        assert thread.root_ts is not None
        conversation = f"{thread.channel_id}/{thread.root_ts}"
        numbers = [asked.number for asked in self._witness.asked.values() if asked.conversation == conversation]
        self._lately = deque((said for said in self._lately if said.number not in numbers), maxlen=LATELY)
        self._take_back(numbers)
        link = permalink("https://dolly.slack.com", thread.channel_id, thread.root_ts)
        thread.root_ts = None
        self._soon(self._people.post(thread.asker, thread.channel_id, f"/dolly forget {link}"))
        self.done["thread_forgotten"] += 1

    def _take_back(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._witness.taken_back[number] = None
            self._open.pop(number, None)

    async def _command(self) -> None:
        number = self._number()
        self._witness.expect(Asked(number, f"/dolly {number}", f"{time.time():.6f}", is_command=True))
        place = self._chance.choice([thread for thread in self._threads if thread.asker is None])
        typed = f"/dolly {question_text(number)}"
        self._soon(self._people.post(self._chance.choice(self._askers), place.channel_id, typed))

    def _soon(self, command: Coroutine[Any, Any, Json | None]) -> None:
        """Slack waits three seconds for the acknowledgement of a command or a click; other people do not."""
        task = asyncio.create_task(command)
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)

    def _number(self) -> int:
        number = self.asked
        self.asked += 1
        self._open[number] = time.monotonic()
        return number
