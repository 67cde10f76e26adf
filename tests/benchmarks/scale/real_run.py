"""A small run of the real Dolly, and the same questions in virtual time: how far do the two differ?

Two `dolly serve`, a Valkey, the workspace with Slack's limits and the scripted engine of bench-pacing answer questions
that come as they would, one after the other with a burst in between. The simulation is given the same questions, and
what one answer cost the replicas in processor time, which is measured in the run.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.delivery.figures import percentile
from tests.benchmarks.pacing.__main__ import REPLICAS, WARM_UP, town
from tests.benchmarks.pacing.engine import TOKENS_PER_EVENT, TOKENS_PER_SECOND
from tests.benchmarks.pacing.rush import Rush
from tests.benchmarks.scale.people import Question
from tests.benchmarks.scale.simulation import Fleet, Outcome, simulate
from tests.benchmarks.scale.world import EngineSpeed

PER_SECOND = 1.5
"""More than four times as many as streams may be started for: what is streamed, and what is not, is what decides."""
BURST_SHARE = 0.25
SCRIPTED = EngineSpeed(
    one=TOKENS_PER_SECOND, all=1e9, reads=1e9, step_seconds=TOKENS_PER_EVENT / TOKENS_PER_SECOND, at_once=10_000
)
LOCAL_CALL_SECONDS = 0.01
"""Of the workspace, on the same machine."""
SHARES = (0.5, 0.95)


@dataclass(frozen=True)
class Trial:
    """What was seen in the real run, and what the simulation says of the same questions."""

    real: dict[str, list[float]]
    simulated: Outcome
    cpu_seconds: float
    """Of both replicas together, per answer."""
    questions: int
    lost: int

    @property
    def rows(self) -> list[tuple[str, float, float]]:
        """Each figure that is compared: its name, as it was, as it was simulated; in seconds."""
        return [
            (f"{name} p{round(100 * share)}", percentile(times, share), percentile(self.simulated.of(name), share))
            for name, times in self.real.items()
            for share in SHARES
        ]

    @property
    def error_percent(self) -> float:
        """The largest difference, of what was seen; of a second, where that was less: nobody sees some hundredths."""
        return max(100 * abs(simulated - real) / max(real, 1.0) for _, real, simulated in self.rows)


def arrivals(count: int, seed: int = 3) -> list[float]:
    """When they ask, in seconds: evenly at random, and a quarter of them within a second in the middle."""
    chance = random.Random(seed)
    burst = round(count * BURST_SHARE)
    seconds = (count - burst) / PER_SECOND
    return sorted(
        [chance.random() * seconds for _ in range(count - burst)]
        + [seconds / 2 + chance.random() for _ in range(burst)]
    )


async def observed(rush: Rush, place: Path, after: Sequence[float]) -> tuple[dict[str, list[float]], float, int]:
    """The times of the real run, the processor time of an answer, and how many had none."""
    async with town(rush, place) as people:
        await people.ask(rush.questions, WARM_UP)
        before = sum(replica.cpu_seconds() for replica in people.replicas)
        seen = await people.ask(0, rush.questions, after=after)
        cpu = sum(replica.cpu_seconds() for replica in people.replicas) - before
    whole = [answer for answer in seen.answers if answer.whole_seconds is not None and answer.shown_seconds is not None]
    times = {
        "shown": [(answer.shown_seconds or 0) - answer.asked_seconds for answer in whole],
        "whole": [(answer.whole_seconds or 0) - answer.asked_seconds for answer in whole],
    }
    return times, cpu / rush.questions, rush.questions - len(whole)


def as_questions(rush: Rush, after: Sequence[float]) -> list[Question]:
    """The same questions, as the simulation takes them; before them those of the warm-up."""
    warm = [Question(0.0, number, f"W{number}", f"w{number}", 1, rush.tokens) for number in range(WARM_UP)]
    begin = rush.engine_seconds + 1.5
    return warm + [
        Question(
            begin + at,
            1_000 + number,
            f"C{number % rush.channels}",
            f"t{number}",
            1,
            rush.tokens,
            is_unread=number < rush.old_threads,
        )
        for number, at in enumerate(after)
    ]


async def tried(questions: int, place: Path) -> Trial:
    """Both, one after the other."""
    rush = Rush(questions=questions, channels=max(3, questions // 10), old_threads=questions // 8, tokens=100)
    after = arrivals(questions)
    real, cpu_seconds, lost = await observed(rush, place, after)
    fleet = Fleet(REPLICAS, questions, 1, SCRIPTED, cpu_seconds, LOCAL_CALL_SECONDS, questions_per_minute=1_000)
    simulated = await asyncio.to_thread(simulate, fleet, as_questions(rush, after))
    simulated.answers = simulated.answers[WARM_UP:]
    return Trial(real, simulated, cpu_seconds, questions, lost)
