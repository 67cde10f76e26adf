"""How soon an answer that is stopped ends, in Slack and at the engine: `make bench-stop` (a minute).

The engine is llama.cpp with the small model that ships; its own counters say how many of its slots are at work, and how
often it has decoded. The last lines are the figures:

    figure: stop.slot_free_tokens           tokens that it still decodes once the connection is closed, in the median
    figure: stop.slot_free_after_prefill_s  how long after the end of the prompt's reading its slot is free, where it
                                            was stopped in the middle of that; the worst of all
    figure: stop.visible_p95_s              from a stop sign on the question until nothing more is added to the answer
    figure: stop.slot_free_p95_s            the same until the engine's slot is free
"""

import asyncio
import re
import statistics
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

import aiohttp

from bot.conversation import Message
from bot.local.engine import LocalEngine
from bot.local.model import default_model_path
from bot.local.store import LocalStore
from bot.model_client import ModelClient
from tests.benchmarks.delivery.figures import percentile
from tests.scenarios.conftest import Team, running_team

REPEATS = 10
MAX_TOKENS = 400
TELL = "Tell me a very long story about a village by the sea, with many people in it."
PROMPT_WORDS = 50
QUIET_SECONDS = 0.5
LIMIT_SECONDS = 30.0


class Counters:
    """What the engine says of itself, between two decodings."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def read(self) -> tuple[int, int]:
        """How many requests it works at, and how often it has decoded."""
        async with self._session.get(f"{self._url}/metrics") as response:
            said = await response.text()
        return _counter("requests_processing", said), _counter("n_decode_total", said)

    async def when_free(self) -> tuple[float, int]:
        """When nothing was worked at any more (time.monotonic()), and how often it had decoded by then."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                working, decoded = await self.read()
                if not working:
                    return time.monotonic(), decoded
                await asyncio.sleep(0.001)


def _counter(name: str, said: str) -> int:
    found = re.search(rf"^llamacpp:{name} (\d+)", said, re.MULTILINE)
    assert found is not None, f"llama.cpp's counters have no {name}"
    return int(found.group(1))


async def while_decoding(model: ModelClient, counters: Counters) -> int:
    """How often the engine decodes after the connection of an answer under way is closed."""
    async with aclosing(model.stream([Message("user", TELL)], max_tokens=MAX_TOKENS)) as deltas:
        for _ in range(12):
            await anext(deltas)
        _, before = await counters.read()
    return (await counters.when_free())[1] - before


async def first_delta(model: ModelClient, number: int) -> None:
    """Return with the first piece of an answer to a long prompt, of which the engine has read nothing before."""
    prompt = " ".join(f"{number}-{word}" for word in range(PROMPT_WORDS))
    async with aclosing(model.stream([Message("user", prompt)], max_tokens=8)) as deltas:
        await anext(deltas)


async def while_reading(model: ModelClient, counters: Counters, number: int) -> float:
    """Seconds from the end of the prompt's reading until the slot is free, where it was stopped early in it."""
    begun = time.monotonic()
    await first_delta(model, 2 * number)
    whole_seconds = time.monotonic() - begun
    await counters.when_free()
    begun = time.monotonic()
    reading = asyncio.create_task(first_delta(model, 2 * number + 1))
    await asyncio.sleep(whole_seconds / 4)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    free_at, _ = await counters.when_free()
    print(f"a prompt is read in {whole_seconds:.2f} s; stopped at a quarter, free after {free_at - begun:.2f} s")
    return max(0.0, free_at - begun - whole_seconds)


async def in_slack(team: Team, counters: Counters) -> tuple[float, float]:
    """Seconds from a stop sign on a question until its answer grows no more, and until the engine's slot is free."""
    root = await team.say("asha", f"@dolly {TELL}")
    async with asyncio.timeout(LIMIT_SECONDS):
        while len("".join(team.answers(root)).split()) < 12:
            await asyncio.sleep(0.005)
    pressed = grown = time.monotonic()
    await team.workspace.people.react(team.person("ben"), team.channel("general"), root, "octagonal_sign")
    freeing = asyncio.create_task(counters.when_free())
    stands = _text(team, root)
    while not freeing.done() or time.monotonic() - grown < QUIET_SECONDS:
        if _text(team, root) != stands:
            stands, grown = _text(team, root), time.monotonic()
        await asyncio.sleep(0.002)
    return grown - pressed, (await freeing)[0] - pressed


def _text(team: Team, root: str) -> str:
    """The answer, without the sentence that says that it was stopped."""
    return "".join(team.answers(root)).replace("_Stopped._", "").strip()


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dolly-stop-") as folder:
        engine, store = LocalEngine(default_model_path(), Path(folder) / "engine"), LocalStore(Path(folder) / "store")
        await engine.start()
        await store.start()
        model = ModelClient(engine.url)
        try:
            async with aiohttp.ClientSession() as session:
                counters = Counters(session, engine.url)
                tokens = [await while_decoding(model, counters) for _ in range(REPEATS)]
                print(f"decodings after the connection was closed: {tokens}")
                late = [await while_reading(model, counters, number) for number in range(3)]
                async with running_team(store.url, engine.url, max_tokens=MAX_TOKENS) as team:
                    seen = [await in_slack(team, counters) for _ in range(REPEATS)]
        finally:
            await model.close()
            await store.stop()
            await engine.stop()
    _figure("slot_free_tokens", statistics.median(tokens), "tokens", 1)
    _figure("slot_free_after_prefill_s", max(late), "s", 0.1)
    _figure("visible_p95_s", percentile([visible for visible, _ in seen], 0.95), "s", 1.0)
    _figure("slot_free_p95_s", percentile([free for _, free in seen], 0.95), "s", 1.0)


def _figure(name: str, value: float, unit: str, goal: float) -> None:
    print(f"figure: stop.{name} {value:.3g} {unit} goal {goal:g} {'ok' if value <= goal else 'short'}")


if __name__ == "__main__":
    asyncio.run(main())
