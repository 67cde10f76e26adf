"""What a drill is played on: the workspace, Dolly as real processes, and questions whose answers are counted.

All of it is that of the chaos run (tests/chaos): deliveries come twice and late here as well.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from bot.local.workspace.records import people
from bot.store.mailbox import SETTLE_SECONDS
from tests.chaos.engine import read_prompts
from tests.chaos.judge import Asked
from tests.chaos.markers import answers_in, question_text
from tests.chaos.subject import LEASE_SECONDS, ROOT, Dolly
from tests.chaos.witness import Witness

START_SECONDS = 180.0
STANDSTILL_SECONDS = 35.0
"""When nothing has come for so long, nothing will: Slack's last retry and a round of catch-up are over by then."""
PACE_SECONDS = 0.05
SETTLED_SECONDS = LEASE_SECONDS + SETTLE_SECONDS + 10.0
"""After an answer its thread is read again, and once more some seconds later where that could not be done."""


class Stage:
    """Asks questions, by turns in `threads` threads of a channel, and knows what became of them."""

    def __init__(self, witness: Witness, dolly: Dolly, threads: int) -> None:
        self.witness = witness
        self.dolly = dolly
        self._channel = witness.workspace.timeline.channels()[0].id
        self._askers = [person.id for person in people()]
        self._roots: list[str | None] = [None] * threads
        self.asker_of: dict[int, str] = {}

    async def ask(self, count: int) -> list[int]:
        """Ask `count` more; their numbers. Thread t and its asker are those of number % threads."""
        numbers = []
        for number in range(len(self.asker_of), len(self.asker_of) + count):
            await self.ask_in(number % len(self._roots), number)
            numbers.append(number)
            await asyncio.sleep(PACE_SECONDS)
        return numbers

    async def ask_in(self, thread: int, number: int) -> None:
        asker = self._askers[thread % len(self._askers)]
        self.asker_of[number] = asker
        text = f"@dolly {question_text(number)}"
        message = await self.witness.workspace.people.post(asker, self._channel, text, thread_ts=self._roots[thread])
        assert message is not None
        self._roots[thread] = self._roots[thread] or message["ts"]
        self.witness.expect(Asked(number, self.conversation(thread), message["ts"]))

    def conversation(self, thread: int) -> str:
        return f"{self._channel}/{self._roots[thread]}"

    async def answered(self, numbers: Iterable[int]) -> set[int]:
        """Those of `numbers` without a whole answer once all have one, or nothing has come for a while."""
        wanted, done, since = set(numbers), -1, time.monotonic()
        while (left := wanted - self.witness.whole_at.keys()) and time.monotonic() - since < STANDSTILL_SECONDS:
            await asyncio.sleep(0.1)
            if len(self.witness.whole_at) > done:
                done, since = len(self.witness.whole_at), time.monotonic()
        return left

    async def settled(self) -> None:
        """What was written twice has been taken back by now, as far as it ever is."""
        await asyncio.sleep(SETTLED_SECONDS)

    def acked(self) -> set[int]:
        """Of which Slack was told that they are received."""
        return {asked.number for asked in self.witness.asked.values() if asked.acked is not None}

    def answers(self) -> Counter[int]:
        """How many messages of Dolly's that stand in Slack answer each question."""
        return Counter(number for shown in self.witness.shown() for number in set(answers_in(shown.text)))

    def apologies(self) -> int:
        return sum(not answers_in(shown.text) for shown in self.witness.shown())

    def prompted(self, since: float) -> tuple[set[int], set[int]]:
        """What was asked of the engine since then, and all that was named in those prompts."""
        prompts = [prompt for prompt in read_prompts(self.dolly.engine.record) if prompt.at > since]
        named: set[int] = set().union(*(prompt.everything for prompt in prompts))
        return {prompt.number for prompt in prompts if prompt.number is not None}, named

    async def connected(self, sockets: int) -> None:
        """So many sockets are open."""
        async with asyncio.timeout(START_SECONDS):
            while self.witness.workspace.delivery.connections < sockets:
                await asyncio.sleep(0.05)

    async def command(self, *words: str) -> None:
        """`dolly …`, with the settings of the first replica."""
        environment = self.dolly.replicas[0]._environment()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", *words, env=environment, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
        )
        if await process.wait():
            raise SystemExit(f"dolly {words[0]} failed")


SOCKETS = 2
"""Of each replica."""


@asynccontextmanager
async def stage(
    folder: Path, settings: dict[str, str], *, threads: int = 8, prepare: Callable[[Dolly], None] = lambda _: None
) -> AsyncIterator[Stage]:
    """Dolly with these settings, ready, in an empty folder; `prepare` may change its parts before they start."""
    witness = Witness(random.Random(1))
    await witness.start()
    log = str(folder / "erasures.jsonl")
    dolly = Dolly(folder, witness.workspace.identity, witness.port, settings={"ERASURE_LOG": log, **settings})
    try:
        prepare(dolly)
        await dolly.start()
        ready = Stage(witness, dolly, threads)
        await ready.connected(SOCKETS * len(dolly.replicas))
        yield ready
    finally:
        await dolly.stop()
        await witness.stop()


def figure(name: str, value: float, unit: str, goal: float | None = None) -> bool:
    """Print it; whether it is as it is to be: `goal` at most."""
    good = goal is None or value <= goal
    shown, wanted = f"{value:g}" if isinstance(value, int) else f"{value:.1f}", "-" if goal is None else f"{goal:g}"
    print(f"figure: {name} {shown} {unit} goal {wanted} {'ok' if good else 'short'}", flush=True)
    return good
