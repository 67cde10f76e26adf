"""How many people a fleet holds: `make bench-scale` (SHORT=1: under a minute).

First the simulation is held against the real Dolly (real_run.py), in a small run whose questions both are given, and a
real store is measured (stored.py). Then companies of up to 100,000 people ask through half an hour of the fullest
hour of their day, with a burst in it, in virtual time (simulation.py), with the processor time that was measured. What
an engine does is published by others, or assumed: LARGE, SMALL. The last lines are the figures:

    figure: scale.sim_error_percent          the largest difference of simulated and real, of four times
    figure: scale.cpu_ms_per_answer          of a bot's process, in the real run
    figure: scale.store_turns_per_second     stored, claimed and committed, with every write on disk
    figure: scale.store_cpu_ms_per_turn      of the store
    figure: scale.store_kb_per_turn          of the store's memory
    figure: scale.users_simulated            of these are the figures that follow, by the fleet PLANNED
    figure: scale.first_text_p95_seconds     from question to first text, 95th percentile, at the peak
    figure: scale.whole_p95_seconds          the same to the whole answer
    figure: scale.streamed_percent           of the answers that are seen growing
    figure: scale.unanswered                 questions without an answer
    figure: scale.share_429                  calls that Slack refused by its limits, of all
    figure: scale.catch_up_hours             to read a page of each channel and direct message, by Slack's tier
    figure: scale.users_default              the most people by the fleet AS_IT_COMES, 95 % of whose questions wait 5 s
                                             for a worker at most
"""

import argparse
import asyncio
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from bot.telemetry import configure_logging
from tests.benchmarks.delivery.figures import percentile
from tests.benchmarks.scale.people import HOURS, PEOPLE_PER_CHANNEL, Company, questions
from tests.benchmarks.scale.real_run import Trial, tried
from tests.benchmarks.scale.simulation import Fleet, Outcome, catch_up_hours, simulate
from tests.benchmarks.scale.stored import Kept, measured
from tests.benchmarks.scale.world import EngineSpeed

LARGE = EngineSpeed(one=40, all=5_333, reads=10_000)
"""All together as others published for Llama-3.1-8B under vLLM on one H100 (runinfra.ai, June 2026); else assumed."""
SMALL = EngineSpeed(one=30, all=600, reads=3_000, at_once=32)
"""Assumed: a model of 6B on an older card."""

AS_IT_COMES = Fleet(1, 8, 1, LARGE, cpu_seconds=0.0)
"""The settings' defaults, and the processor time of the real run."""
PLANNED = Fleet(2, 32, 1, LARGE, cpu_seconds=0.0)
FLEETS = (AS_IT_COMES, replace(PLANNED, speed=SMALL), PLANNED, Fleet(5, 64, 2, LARGE, cpu_seconds=0.0))

USERS = 10_000
PEAK_HOUR = max(HOURS, key=HOURS.__getitem__)
LONGEST_WAIT_SECONDS = 5.0
OVERLOADED_SECONDS = 60.0
"""A fleet whose questions wait longer for a worker is asked by no more people: its queue only grows."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    trial_questions: int
    stored_turns: int
    users: tuple[int, ...]
    fleets: tuple[Fleet, ...]
    minutes: float


FULL = Plan(160, 20_000, (500, 1_000, 2_000, 5_000, USERS, 20_000, 50_000, 100_000), FLEETS, 30)
SHORT = Plan(36, 2_000, (2_000, USERS), (AS_IT_COMES, PLANNED), 20)


@dataclass(frozen=True)
class Point:
    """So many people, and what they see of a fleet."""

    users: int
    fleet: Fleet
    outcome: Outcome

    def p95(self, name: str) -> float:
        return percentile(self.outcome.of(name), 0.95)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--plot", type=Path, help="draw the first text and what is streamed into this PNG")
    chosen = arguments.parse_args()
    plan = SHORT if chosen.short else FULL
    configure_logging("error")
    with tempfile.TemporaryDirectory(prefix="dolly-scale-") as folder:
        trial = asyncio.run(tried(plan.trial_questions, Path(folder)))
        show_trial(trial)
        kept = asyncio.run(measured(plan.stored_turns, Path(folder) / "kept"))
        show_kept(kept)
    points = []
    for fleet in plan.fleets:
        for users in plan.users:
            points.append(sweep(users, replace(fleet, cpu_seconds=trial.cpu_seconds), plan.minutes))
            if points[-1].p95("claimed") > OVERLOADED_SECONDS:
                break
    if chosen.plot:
        from tests.benchmarks.scale.plot import draw

        draw(points, chosen.plot)
    report(trial, kept, points)


def sweep(users: int, fleet: Fleet, minutes: float) -> Point:
    """A company of so many at its peak; said in a row of docs/figures.md's table."""
    asked = questions(Company(users), hour=PEAK_HOUR, minutes=minutes)
    point = Point(users, fleet, simulate(fleet, asked))
    seen = point.outcome
    half = [percentile(seen.of(name), 0.5) for name in ("shown", "whole")]
    print(
        f"| {fleet.name} of {fleet.speed.all:g} tokens/s | {users:,} | {len(asked):,} | {half[0]:.1f} / "
        f"{point.p95('shown'):.1f} | {half[1]:.1f} / {point.p95('whole'):.1f} | {point.p95('claimed'):.1f} "
        f"| {100 * seen.streamed_share:.0f} % | {seen.most_writing} | {100 * seen.busiest:.0f} % "
        f"| {sum(seen.refused_calls)} |",
        flush=True,
    )
    return point


def show_trial(trial: Trial) -> None:
    print(f"The real Dolly and the simulation, {trial.questions} questions:")
    for name, real, simulated in trial.rows:
        print(f"  {name}: {real:.2f} s, simulated {simulated:.2f} s")


def show_kept(kept: Kept) -> None:
    print(
        f"A turn in the store: {kept.memory_bytes / 1000:.2f} kB of memory, {kept.disk_bytes / 1000:.2f} kB on disk, "
        f"{kept.rewritten_bytes / 1000:.2f} kB rewritten, {1000 * kept.cpu_seconds:.2f} ms of its processor"
    )
    print(
        "| fleet | people | questions | first text p50 / p95 (s) | whole p50 / p95 (s) | waited for a worker p95 (s) "
        "| streamed | at once | busiest replica | calls refused |\n|---|---|---|---|---|---|---|---|---|---|"
    )


def report(trial: Trial, kept: Kept, points: list[Point]) -> None:
    planned = next(
        point
        for point in points
        if point.users == USERS and point.fleet.name == PLANNED.name and point.fleet.speed == PLANNED.speed
    )
    seen = planned.outcome
    calls = seen.slack.calls.total()
    unanswered = sum(answer.whole is None for answer in seen.answers)
    first = [point for point in points if point.fleet.name == AS_IT_COMES.name]
    held = [point.users for point in first if point.p95("claimed") <= LONGEST_WAIT_SECONDS]
    _figure("sim_error_percent", trial.error_percent, "percent", most=15)
    _figure("cpu_ms_per_answer", 1000 * trial.cpu_seconds, "ms")
    _figure("store_turns_per_second", kept.turns_per_second, "turns/s")
    _figure("store_cpu_ms_per_turn", 1000 * kept.cpu_seconds, "ms")
    _figure("store_kb_per_turn", kept.memory_bytes / 1000, "kB")
    _figure("users_simulated", planned.users, "people", least=USERS)
    _figure("first_text_p95_seconds", planned.p95("shown"), "s", most=10)
    _figure("whole_p95_seconds", planned.p95("whole"), "s")
    _figure("streamed_percent", 100 * seen.streamed_share, "percent")
    _figure("unanswered", unanswered + trial.lost, "questions", most=0)
    _figure("share_429", sum(seen.refused_calls) / calls, "of_calls", most=0.01)
    _figure("catch_up_hours", catch_up_hours(USERS + USERS // PEOPLE_PER_CHANNEL), "h")
    _figure("users_default", max(held, default=0), "people")


def _figure(name: str, value: float, unit: str, *, most: float | None = None, least: float | None = None) -> None:
    goal = most if least is None else least
    is_reached = (most is None or value <= most) and (least is None or value >= least)
    verdict = "" if goal is None else f" goal {goal:g} {'ok' if is_reached else 'short'}"
    print(f"figure: scale.{name} {value:.6g} {unit}{verdict}", flush=True)


if __name__ == "__main__":
    main()
