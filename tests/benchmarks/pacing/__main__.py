"""How near to Slack's own limits Dolly comes when many ask at once: `make bench-pacing` (SHORT=1: half a minute).

Two `dolly serve` on one Valkey, in a workspace with the published rate limits; 200 questions at once in 20 channels, 50
of them in old threads that Dolly has to read first. The engine writes 200 tokens at 40 a second for all at once, so
that Slack's limits are what there is to wait for. Where the machine's processor is, SLOWER=5 has the world (Slack's
limits, the engine, SLACK_RATE) take five times the time, and the figures are told in the world's time.

The formula of the optimum is printed; the last lines are the figures:

    figure: pacing.lost                   questions without exactly one answer that says all that the engine wrote
    figure: pacing.over_optimum           time until the last answer is whole, over the optimum
    figure: pacing.streamed_share         streamed answers, of those that startStream's tier allows while it writes
    figure: pacing.first_visible_p95_s    95th percentile of the time until an answer shows text
    figure: pacing.share_429              calls that Slack refused by its rate limits, of all
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from tests.benchmarks.delivery.figures import percentile
from tests.benchmarks.delivery.processes import running
from tests.benchmarks.pacing.rush import LIMIT_SECONDS, Rush, Seen, Town, lost

FULL = Rush(questions=200, channels=20, old_threads=50, tokens=200)
SHORT = Rush(questions=60, channels=6, old_threads=15, tokens=100)
REPLICAS = 2
WARM_UP = 6
REFILL_SECONDS = 20.0
"""After the warm-up, until all budgets are full again."""


async def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--slower", type=float, default=1.0)
    chosen = arguments.parse_args()
    rush = SHORT if chosen.short else FULL
    with tempfile.TemporaryDirectory(prefix="dolly-pacing-") as folder:
        seen = await rushed(rush, Path(folder), chosen.slower)
    show(seen)
    report(seen, rush)


async def rushed(rush: Rush, place: Path, slower: float) -> Seen:
    """Have `rush` asked of two replicas that are warm."""
    async with town(rush, place, slower) as people:
        await people.ask(rush.questions, WARM_UP)
        await asyncio.sleep(REFILL_SECONDS * slower)
        return await people.ask(0, rush.questions)


@asynccontextmanager
async def town(rush: Rush, place: Path, slower: float = 1.0) -> AsyncIterator[Town]:
    """A workspace with Slack's limits and people in it, and Dolly: two replicas, a store, an engine."""
    async with AsyncExitStack() as stack:
        workspace = Workspace(rate_limits=True)
        await workspace.start()
        stack.push_async_callback(workspace.stop)
        people = Town(workspace, rush, slower)
        store = LocalStore(place / "store")
        await store.start()
        stack.push_async_callback(store.stop)
        speed = ["--tokens", str(rush.tokens), "--slower", str(slower)]
        engine = await stack.enter_async_context(
            running("tests.benchmarks.pacing.engine", *speed, place=place / "engine")
        )
        settings = {
            "SLACK_BOT_TOKEN": workspace.identity.bot_token,
            "SLACK_APP_TOKEN": workspace.identity.app_token,
            "SLACK_API_URL": workspace.api_url,
            "SLACK_RATE": str(1 / slower),
            "REDIS_URL": store.url,
            "ENGINE_URL": engine.said.split()[1],
            "DOLLY_MEMORY_PLAINTEXT": "1",
            "CONCURRENT_ANSWERS": str(rush.questions),
            "QUESTIONS_PER_MINUTE": "0",
            "WAITING_PER_USER": "1000",
            "ERASURE_LOG": str(place / "erasures.jsonl"),
        }
        for number in range(REPLICAS):
            replica = running(
                "bot", "serve", place=place / f"dolly-{number}", ready="Dolly answers in", environment=settings
            )
            people.replicas.append(await stack.enter_async_context(replica))
        yield people


def show(seen: Seen) -> None:
    """The calls of the rush, and how its answers came."""
    for method, calls in sorted(seen.calls.items()):
        print(f"{method}: {calls} calls, {seen.refused[method]} refused (429)")
    for name, times in (
        ("shown", [answer.shown_seconds for answer in seen.answers]),
        ("whole", [answer.whole_seconds for answer in seen.answers]),
    ):
        found = [seconds for seconds in times if seconds is not None]
        at = ", ".join(f"p{round(100 * share)} {percentile(found, share):.2f}" for share in (0.05, 0.25, 0.5, 0.95, 1))
        print(f"{len(found)} answers {name} after: {at} s")


def report(seen: Seen, rush: Rush) -> None:
    """The formula and the figures' lines; of a share, the goal is the least, of everything else the most."""
    print(rush.explain())
    last = max(LIMIT_SECONDS if answer.whole_seconds is None else answer.whole_seconds for answer in seen.answers)
    shown = [LIMIT_SECONDS if answer.shown_seconds is None else answer.shown_seconds for answer in seen.answers]
    streamed = sum(answer.is_streamed for answer in seen.answers) / rush.streams
    refused = sum(seen.refused.values()) / sum(seen.calls.values())
    _figure("lost", lost(seen, rush), "questions", most=0)
    _figure("over_optimum", last / rush.optimum_seconds, "times", most=1.25)
    _figure("streamed_share", streamed, "of_the_tier", least=0.9)
    _figure("first_visible_p95_s", percentile(shown, 0.95), "s", most=1.25 * rush.optimum_shown_p95_seconds)
    _figure("share_429", refused, "of_calls", most=0.01)


def _figure(name: str, value: float, unit: str, *, most: float | None = None, least: float | None = None) -> None:
    is_reached = (most is None or value <= most) and (least is None or value >= least)
    goal = least if most is None else most
    print(f"figure: pacing.{name} {value:.3g} {unit} goal {goal:g} {'ok' if is_reached else 'short'}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
