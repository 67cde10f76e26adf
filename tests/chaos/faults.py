"""What goes wrong during a run, when, and to whom: planned by a seeded chance, counted when it has really happened."""

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import redis

from tests.chaos.fault_proxy import FaultProxy
from tests.chaos.load import Load
from tests.chaos.subject import FIRST_TOKEN_SECONDS, LEASE_SECONDS, Dolly, Replica, Victim
from tests.chaos.witness import Witness

POSTS = frozenset(
    ("chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage", "chat.update", "chat.delete")
)
"""The calls after which a person sees something that no commit has told of yet."""

PER_10_000 = {
    "worker_kill": 60,
    "worker_pause": 30,
    "store_kill": 20,
    "store_pause": 12,
    "store_full": 8,
    "engine_kill": 20,
    "engine_pause": 12,
    "engine_overloaded": 8,
    "kill_after_post": 80,
    "sockets_cut": 30,
    "auth_fails": 12,
    "delayed": 40,
    "reset": 80,
    "cut_mid_reply": 80,
    "black_hole": 40,
}
"""How often each fault is planned in 10,000 questions; at least twice in any run."""


@dataclass(frozen=True)
class Planned:
    after: int
    """How many questions have been asked by then."""
    fault: str


def plan(questions: int, chance: random.Random, per_10_000: dict[str, int] | None = None) -> list[Planned]:
    planned = []
    for fault, often in (per_10_000 or PER_10_000).items():
        for _ in range(max(2, round(often * questions / 10_000))):
            planned.append(Planned(round(questions * chance.uniform(0.04, 0.96)), fault))
    return sorted(planned, key=lambda one: one.after)


class Faults:
    """Carries the plan out. `injected` counts what was done, `told` tells it with times.

    `gone` are the replicas that were killed or paused, and when, by the name under which they ask the engine.
    """

    def __init__(self, dolly: Dolly, witness: Witness, load: Load, chance: random.Random) -> None:
        self._dolly = dolly
        self._witness = witness
        self._load = load
        self._chance = chance
        self._armed = 0
        self._at_work: set[asyncio.Task[None]] = set()
        self.injected: Counter[str] = Counter()
        self.told: list[tuple[float, str]] = []
        self.gone: list[tuple[float, str]] = []
        witness.posted = self._posted

    async def run(self, planned: list[Planned]) -> None:
        for one in planned:
            while self._load.asked < one.after:
                await asyncio.sleep(0.02)
            fault: Callable[[], Awaitable[None]] = getattr(self, f"_{one.fault}")
            task = asyncio.create_task(self._one(one.fault, fault))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)

    async def end(self) -> None:
        """Let the faults that are at work end, and everything be well again."""
        while self._at_work:
            await asyncio.wait(self._at_work)
        self._armed = 0
        self._witness.posted = None

    async def _one(self, name: str, fault: Callable[[], Awaitable[None]]) -> None:
        try:
            await fault()
        except Exception as error:  # a fault that could not be done is not counted, and no reason to end the run
            self._tell(f"{name} could not be injected: {error!r}")

    def _did(self, what: str, whom: str) -> None:
        self.injected[what] += 1
        self._tell(f"{what} {whom}")

    def _is_gone(self, victim: Victim) -> None:
        if isinstance(victim, Replica):
            self.gone.append((time.time(), victim.asker))

    def _tell(self, sentence: str) -> None:
        self.told.append((time.time(), sentence))

    # --- processes ----------------------------------------------------------------------------------------

    async def _worker_kill(self) -> None:
        await self._kill(self._replica(), "worker_kill", away_seconds=self._chance.uniform(0, 1.5))

    async def _engine_kill(self) -> None:
        await self._kill(self._dolly.engine, "engine_kill", away_seconds=self._chance.uniform(0.1, 2))

    async def _store_kill(self) -> None:
        await self._kill(self._dolly.store, "store_kill", away_seconds=self._chance.uniform(0.05, 4))

    async def _kill(self, victim: Victim, what: str, *, away_seconds: float) -> None:
        async with victim.busy:
            self._is_gone(victim)
            if await victim.kill():
                self._did(what, victim.name)
            await asyncio.sleep(away_seconds)
            await victim.start()

    async def _worker_pause(self) -> None:
        await self._pause(self._replica(), "worker_pause", LEASE_SECONDS * self._chance.uniform(1.2, 3))

    async def _store_pause(self) -> None:
        await self._pause(self._dolly.store, "store_pause", self._chance.uniform(0.5, 5))

    async def _engine_pause(self) -> None:
        """Connections stay open, and nothing comes: now and then for longer than is waited for the first token."""
        await self._pause(self._dolly.engine, "engine_pause", FIRST_TOKEN_SECONDS * self._chance.uniform(0.1, 1.4))

    async def _pause(self, victim: Victim, what: str, seconds: float) -> None:
        async with victim.busy:
            if victim.signal(signal.SIGSTOP):
                self._is_gone(victim)
                await asyncio.sleep(seconds)
                if victim.signal(signal.SIGCONT):
                    self._did(what, f"{victim.name} for {seconds:.1f} s")

    async def _kill_after_post(self) -> None:
        """The next replica to post dies before it can tell the store of it."""
        self._armed += 1

    async def _posted(self, slack_port: int, method: str) -> None:
        """Called when the workspace has done what was asked, and has not answered yet."""
        replica = self._dolly.replica_at(slack_port)
        if not self._armed or method not in POSTS or replica is None or replica.busy.locked():
            return
        self._armed -= 1
        hears_of_it = self._chance.random() < 0.5
        killing = asyncio.create_task(self._kill_poster(replica, method, after_seconds=0.003 if hears_of_it else 0))
        self._at_work.add(killing)
        killing.add_done_callback(self._at_work.discard)
        if not hears_of_it:
            await asyncio.sleep(0.05)

    async def _kill_poster(self, replica: Replica, method: str, *, after_seconds: float) -> None:
        async with replica.busy:
            await asyncio.sleep(after_seconds)
            self._is_gone(replica)
            if await replica.kill():
                self._did("kill_after_post", f"{replica.name} at {method}")
            await asyncio.sleep(self._chance.uniform(0, 1))
            await replica.start()

    async def _auth_fails(self) -> None:
        """A replica starts while Slack does not know who it is."""
        replica = self._replica()
        port = replica.slack.port
        self._witness.auth_fails_for.add(port)
        await self._kill(replica, "auth_fails", away_seconds=0)
        await asyncio.sleep(self._chance.uniform(2, 4))
        self._witness.auth_fails_for.discard(port)

    async def _engine_overloaded(self) -> None:
        seconds = self._chance.uniform(1, 6)
        self._dolly.engine.overload(begins=True)
        self._did("engine_overloaded", f"for {seconds:.1f} s")
        await asyncio.sleep(seconds)
        self._dolly.engine.overload(begins=False)

    # --- the store, full ----------------------------------------------------------------------------------

    async def _store_full(self) -> None:
        """Writes are refused (OOM) for a while; a store that dies meanwhile starts without the limit."""
        async with self._dolly.store.busy:
            seconds = self._chance.uniform(0.5, 3)
            await self._dolly.store.limit_memory(1)
            await asyncio.sleep(seconds)
            for _ in range(20):
                with contextlib.suppress(redis.RedisError):
                    await self._dolly.store.limit_memory(0)
                    break
            self._did("store_full", f"for {seconds:.1f} s")

    # --- the network --------------------------------------------------------------------------------------

    async def _sockets_cut(self) -> None:
        await self._witness.workspace.delivery.disconnect("refresh_requested")
        self._did("sockets_cut", "all")

    async def _delayed(self) -> None:
        replica, to, proxy = self._connection()
        seconds = self._chance.uniform(0.5, 4)
        proxy.delay_seconds = self._chance.uniform(0.02, 0.4)
        self._did("delayed", f"{replica.name} to {to}, each chunk {proxy.delay_seconds:.2f} s, for {seconds:.1f} s")
        await asyncio.sleep(seconds)
        proxy.delay_seconds = 0

    async def _reset(self) -> None:
        replica, to, proxy = self._connection()
        proxy.reset()
        self._did("reset", f"{replica.name} to {to}")

    async def _cut_mid_reply(self) -> None:
        replica, to, proxy = self._connection()
        size_bytes = self._chance.randint(1, 600)
        proxy.cut_replies_after(size_bytes)
        self._did("cut_mid_reply", f"{replica.name} to {to}, after {size_bytes} bytes")

    async def _black_hole(self) -> None:
        replica, to, proxy = self._connection()
        seconds = self._chance.uniform(0.5, 6)
        proxy.black_hole = True
        self._did("black_hole", f"{replica.name} to {to} for {seconds:.1f} s")
        await asyncio.sleep(seconds)
        proxy.black_hole = False

    def _replica(self) -> Replica:
        return self._chance.choice(self._dolly.replicas)

    def _connection(self) -> tuple[Replica, str, FaultProxy]:
        replica = self._replica()
        to = self._chance.choice(list(replica.proxies))
        return replica, to, replica.proxies[to]
