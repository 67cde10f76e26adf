"""What Dolly's promises cost, beside a bot that makes none: `make bench-delivery` (SHORT=1 for the short one).

Dolly as `dolly serve` (its own Valkey, every write synced, all texts encrypted) and a bot as Bolt's documentation
writes one (plain_bot.py, which keeps nothing) answer the same questions with the same engine, in turn, each in a
workspace without rate limits. The engine writes 60 words at 10 a second, its first after 0.2 s. N conversations at
once are N threads in which the next question follows half a second after an answer; they begin evenly over the
time of one answer. The first visible text is the first character of the engine's on show in the workspace. The
last lines printed are the figures:

    figure: delivery.added_p50_ms_64         median time to the first visible text at 64 at once, Dolly's less the
    figure: delivery.added_p95_ms_64         plain bot's; and the same of the 95th percentile
    figure: delivery.cpu_ratio               CPU of Dolly and its store per answer at 64, over the plain bot's
    figure: delivery.kb_per_conversation     what 256 conversations under way take more than one does, in a process
                                             fresh from its start, over 255: RSS and the store's used_memory, each
                                             at its highest
    figure: delivery.cost_growth_10000       CPU of Dolly and its store per answer with 10,000 conversations stored
                                             before, over the same with none; 64 at once, an engine without pauses
    figure: delivery.answers_per_second      64 at once and an engine without pauses
"""

import argparse
import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.delivery.contestants import Contestant, Run, dolly, engine, plain_bot
from tests.benchmarks.delivery.engine import WORDS
from tests.benchmarks.delivery.figures import Spread, percentile, report
from tests.benchmarks.delivery.levels import Level, draw, print_table

TOKENS_PER_SECOND = 10.0
FIRST_TOKEN_SECONDS = 0.2
WARM_UP = 16
ANSWER_SECONDS = FIRST_TOKEN_SECONDS + WORDS / TOKENS_PER_SECOND


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    levels: dict[int, tuple[int, int]]
    """By the number of conversations at once: questions in each, and repeats."""
    rate_repeats: int
    growth_repeats: int
    stored: int


FULL = Plan({1: (3, 2), 16: (2, 2), 64: (2, 5), 256: (1, 2)}, rate_repeats=3, growth_repeats=5, stored=10_000)
SHORT = Plan({1: (1, 1), 64: (1, 1)}, rate_repeats=1, growth_repeats=1, stored=1_000)


async def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--plot", type=Path, help="draw the time to the first visible text into this PNG")
    chosen = arguments.parse_args()
    plan = SHORT if chosen.short else FULL
    with tempfile.TemporaryDirectory(prefix="dolly-bench-") as folder:
        place = Path(folder)
        async with (
            engine(
                place / "engine", tokens_per_second=TOKENS_PER_SECOND, first_token_seconds=FIRST_TOKEN_SECONDS
            ) as paced,
            engine(place / "quick", tokens_per_second=0, first_token_seconds=0) as quick,
        ):
            levels = await measure_levels(plan, paced, place / "levels")
            rates, plain_rates = await measure_rates(plan, quick, place / "rates")
            dolly_kb, store_kb = await measure_memory(paced, place / "memory")
            growth = await measure_growth(plan, quick, place / "growth")
    print_table(levels)
    if chosen.plot:
        draw(levels, chosen.plot)
    at_64 = next(level for level in levels if level.conversations == 64)
    print(f"The plain bot's answers per second: {plain_rates}")
    print(f"Memory per conversation: Dolly {dolly_kb:.3g} kB, its store {store_kb:.3g} kB")
    report("delivery.added_p50_ms_64", at_64.added_ms(0.5), "ms", goal=40)
    report("delivery.added_p95_ms_64", at_64.added_ms(0.95), "ms", goal=150)
    report("delivery.cpu_ratio", at_64.cpu_ratio(), "times", goal=1.5)
    report("delivery.kb_per_conversation", Spread.of([dolly_kb + store_kb]), "kB", goal=50)
    report("delivery.cost_growth_10000", growth, "times", goal=1.05)
    report("delivery.answers_per_second", rates, "answers/s")


async def measure_levels(plan: Plan, engine_url: str, place: Path) -> list[Level]:
    """Each number of conversations at once, Dolly and the plain bot in turn."""
    levels = []
    for conversations, (turns, repeats) in plan.levels.items():
        level = Level(conversations)
        folder = place / str(conversations)
        async with dolly(engine_url, folder) as subject:
            await subject.run(min(conversations, WARM_UP), 1, over_seconds=1)
            for repeat in range(repeats):
                mine = await subject.run(conversations, turns, over_seconds=ANSWER_SECONDS)
                appends = mine.seen.appends_per_answer
                async with plain_bot(engine_url, folder / f"plain-{repeat}", appends=appends) as baseline:
                    await baseline.run(min(conversations, WARM_UP), 1, over_seconds=1)
                    its = await baseline.run(conversations, turns, over_seconds=ANSWER_SECONDS)
                level.dolly.append(mine)
                level.plain.append(its)
                show("Dolly", mine, conversations)
                show("plain", its, conversations)
        levels.append(level)
    return levels


async def measure_rates(plan: Plan, engine_url: str, place: Path) -> tuple[Spread, Spread]:
    """Answers per second at 64 at once where the engine takes no time: Dolly's, the plain bot's."""
    mine: list[float] = []
    its: list[float] = []
    async with (
        dolly(engine_url, place) as subject,
        plain_bot(engine_url, place / "plain", appends=0) as baseline,
    ):
        for contestant in (subject, baseline):
            await contestant.run(16, 1, over_seconds=0)
        for _ in range(plan.rate_repeats):
            for contestant, rates in ((subject, mine), (baseline, its)):
                run = await contestant.run(64, 4, over_seconds=0)
                show("quick engine", run, 64)
                rates.append(run.answers_per_second)
    return Spread.of(mine), Spread.of(its)


async def measure_memory(engine_url: str, place: Path) -> tuple[float, float]:
    """kB per conversation under way: Dolly's process, its store."""
    async with dolly(engine_url, place) as subject:
        one = await subject.run(1, 1, over_seconds=0)
        many = await subject.run(256, 1, over_seconds=ANSWER_SECONDS / 2)
    show("Dolly, fresh", many, 256)
    return (many.rss_bytes - one.rss_bytes) / 255 / 1000, (many.store_bytes - one.store_bytes) / 255 / 1000


async def measure_growth(plan: Plan, engine_url: str, place: Path) -> Spread:
    """CPU per answer with `plan.stored` conversations stored before, over CPU per answer with none."""
    ratios = []
    async with AsyncExitStack() as stack:
        empty = await stack.enter_async_context(dolly(engine_url, place / "empty"))
        full = await stack.enter_async_context(dolly(engine_url, place / "full", stored=plan.stored))
        for contestant in (empty, full):
            await contestant.run(64, 2, over_seconds=0)
        for _ in range(plan.growth_repeats):
            costs = [await cost(contestant) for contestant in (full, empty)]
            ratios.append(costs[0] / costs[1])
            print(f"CPU per answer: {1000 * costs[0]:.3g} ms with {plan.stored}, {1000 * costs[1]:.3g} ms with none")
    return Spread.of(ratios)


async def cost(contestant: Contestant) -> float:
    run = await contestant.run(64, 4, over_seconds=0)
    return run.cpu_seconds + run.store_cpu_seconds


def show(name: str, run: Run, conversations: int) -> None:
    half, most = (1000 * percentile(run.seen.first_text_seconds, share) for share in (0.5, 0.95))
    print(
        f"{name}, {conversations} at once: {run.seen.answers} answers, first text p50 {half:.0f} p95 {most:.0f} ms, "
        f"{run.seen.appends_per_answer:.2f} appends, "
        f"CPU {1000 * run.cpu_seconds:.1f} + store {1000 * run.store_cpu_seconds:.2f} ms per answer, "
        f"RSS {run.rss_bytes / 1e6:.0f} + store {run.store_bytes / 1e6:.1f} MB, {run.answers_per_second:.1f} answers/s",
        flush=True,
    )


if __name__ == "__main__":
    asyncio.run(main())
