"""One run: a workspace, Dolly, people who ask, everything that goes wrong, and the verdict."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.slack.hearing.http_events import PATH as EVENTS_PATH
from tests.chaos.engine import read_prompts
from tests.chaos.fault_proxy import HOST
from tests.chaos.faults import PER_10_000, Faults, plan
from tests.chaos.judge import Evidence, Verdict, judge
from tests.chaos.load import Load
from tests.chaos.report import takeovers
from tests.chaos.subject import LEASE_SECONDS, Dolly, Transport
from tests.chaos.witness import Witness

START_SECONDS = 60.0
REVIVE_SECONDS = 0.5
STANDSTILL_SECONDS = 45.0
"""Longer than Dolly's longest pause between two attempts: when nothing has come for so long, nothing will."""
SETTLING_SECONDS = LEASE_SECONDS + 10 + 10 + 8
"""Lease, Slack's timeout and ten more, after which Dolly reads threads again; and time to do it."""


@dataclass(frozen=True)
class Run:
    """What is tried."""

    questions: int
    seed: int
    folder: Path
    bug: str | None = None
    transport: Transport = "sockets"
    faults: dict[str, int] | None = None
    """How often each is planned in 10,000 questions; None: tests.chaos.faults.PER_10_000."""
    settling_seconds: float = SETTLING_SECONDS
    standstill_seconds: float = STANDSTILL_SECONDS


@dataclass(frozen=True)
class Outcome:
    verdict: Verdict
    evidence: Evidence
    injected: Counter[str]
    calls: Counter[str]
    told: list[tuple[float, str]]
    seconds: float


async def run(wanted: Run) -> Outcome:
    chance = random.Random(wanted.seed)
    began = time.monotonic()
    witness = Witness(chance)
    await witness.start()
    dolly = Dolly(wanted.folder, witness.workspace.identity, witness.port, wanted.bug, wanted.transport)
    try:
        await dolly.start()
        await _connected(witness, dolly)
        if wanted.transport == "http":
            witness.workspace.request_url = f"http://{HOST}:{dolly.balancer.port}{EVENTS_PATH}"
        load = Load(witness, wanted.questions, chance)
        faults = Faults(dolly, witness, load, chance)
        async with _kept_up(dolly, faults):
            planned = plan(wanted.questions, chance, wanted.faults or PER_10_000)
            await asyncio.gather(load.run(), faults.run(planned), _progress(load))
            await faults.end()
            await _standstill(witness, load, wanted.standstill_seconds)
            await load.roll_call()
            await _standstill(witness, load, wanted.standstill_seconds)
            await asyncio.sleep(wanted.settling_seconds)
        prompts = sorted(read_prompts(dolly.engine.record), key=lambda prompt: prompt.at)
        evidence = Evidence(
            list(witness.asked.values()), witness.shown(), prompts, witness.whole_at, witness.taken_back
        )
    finally:
        await dolly.stop()
        await witness.stop()
    injected = faults.injected + load.done + Counter(duplicates=witness.duplicates)
    injected["takeovers"] = takeovers(prompts, faults.gone)
    return Outcome(judge(evidence), evidence, injected, witness.calls, faults.told, time.monotonic() - began)


async def _connected(witness: Witness, dolly: Dolly) -> None:
    """Every replica has a socket open, or listens."""
    async with asyncio.timeout(START_SECONDS):
        while not await _hears(witness, dolly):
            if any(not replica.is_running for replica in dolly.replicas):
                raise SystemExit("\n".join(replica.log_path.read_text()[-2000:] for replica in dolly.replicas))
            await asyncio.sleep(0.1)


async def _hears(witness: Witness, dolly: Dolly) -> bool:
    if dolly.transport == "sockets":
        return witness.workspace.delivery.connections >= len(dolly.replicas)
    return all([await replica.listens() for replica in dolly.replicas])


@asynccontextmanager
async def _kept_up(dolly: Dolly, faults: Faults) -> AsyncIterator[None]:
    """What ends by itself is started again, as whoever runs Dolly would; and told of."""

    async def keep_up() -> None:
        while True:
            await asyncio.sleep(REVIVE_SECONDS)
            for sentence in await dolly.revive():
                faults.told.append((time.time(), sentence))
                print(sentence, flush=True)

    keeping = asyncio.create_task(keep_up())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _progress(load: Load) -> None:
    began, shown = time.monotonic(), 0
    while load.asked < load.questions:
        await asyncio.sleep(1)
        if load.asked - shown >= load.questions / 10:
            shown = load.asked
            print(f"  {time.monotonic() - began:6.1f} s: {load.asked} asked, {load.unanswered()} waiting", flush=True)


async def _standstill(witness: Witness, load: Load, seconds: float) -> None:
    """Everything is answered, or nothing has come for a while."""
    done, since = len(witness.whole_at), time.monotonic()
    while load.unanswered() and time.monotonic() - since < seconds:
        await asyncio.sleep(0.2)
        if len(witness.whole_at) > done:
            done, since = len(witness.whole_at), time.monotonic()
