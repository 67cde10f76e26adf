"""Another model comes into service with llama.cpp itself, and `dolly serve` is killed at every step of it."""

import asyncio
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.engine_owner import Configured, EngineOwner
from bot.local.engine import LocalEngine
from bot.local.memory import has_room_for
from bot.local.model import default_model_path
from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from bot.store.served_models import ServedModels
from tests.bot.test_main import MEMORY_KEY, Dolly, dolly
from tests.processes import children_of, is_running
from tests.promotion import Hash, Promoter, told_of
from tests.scenarios.conftest import running_team, until
from tests.scenarios.test_real_engine import is_prose


def tuned(folder: Path, name: str) -> Path:
    """The small model under another name: to whoever serves it, another model."""
    path = folder / f"{name}.gguf"
    path.symlink_to(default_model_path())
    return path


async def test_llama_cpp_hands_over_while_it_writes(
    redis: Redis, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engine_owner.own_engines.SHORTEST_DRAIN_SECONDS", 2.0)
    monkeypatch.setattr("bot.engine_owner.own_engines.QUIET_SECONDS", 1.0)
    engines: list[LocalEngine] = []

    def open_engine(path: Path, number: int) -> LocalEngine:
        engines.append(LocalEngine(path, tmp_path / "logs", slots=2, threads=1, log_name=f"engine-{number}.log"))
        return engines[-1]

    owner = EngineOwner(ServedModels(redis), open_engine, Configured(default_model_path()), has_room_for=has_room_for)
    async with owner.running() as url, running_team(store_url, url, max_tokens=300) as team:
        await until_key(redis, "model:current", "revision", "shipped")
        promoter = Promoter(redis)
        candidate = await promoter.settled(await promoter.want(told_of(tuned(tmp_path, "tuned"), "0001-3fa9c2d1")))
        story = await team.say("asha", "@dolly tell me a long story about the sea")
        general = team.channel("general")
        await until(lambda: bool(team.workspace.timeline.open_streams(general, story)), seconds=60)
        assert (await promoter.bring(candidate))["state"] == "promoted"
        assert team.workspace.timeline.open_streams(general, story), "the old one is still writing"
        other = await team.say("ben", "@dolly write one sentence about sheep")
        answers = [(await team.answered(root))[0] for root in (story, other)]
        assert all(is_prose(answer) for answer in answers)
        marks = [team.thread(root)[-1]["metadata"]["event_payload"]["model"] for root in (story, other)]
        assert marks == [f"{default_model_path().stem}@shipped", "team-model@0001-3fa9c2d1"]
        await until(lambda: engines[0].pid is None, seconds=30)
        assert engines[1].pid is not None
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"engine-1.log", "engine-2.log"}


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["starting", "holding", "ready", "current", "promoted"])
async def test_a_dolly_killed_in_a_promotion_comes_back_with_one_model(
    moment: str, redis: Redis, local_store: LocalStore, tmp_path: Path
) -> None:
    """Whole: the one before, or the new one where it had come into service; and it can be promoted again."""
    workspace = Workspace()
    await workspace.start()
    settings = {
        "SLACK_BOT_TOKEN": workspace.identity.bot_token,
        "SLACK_APP_TOKEN": workspace.identity.app_token,
        "SLACK_API_URL": workspace.api_url,
        "REDIS_URL": local_store.url,
        "DOLLY_MEMORY_KEY": MEMORY_KEY,
        "TEMPERATURE": "0",
        "MAX_TOKENS": "16",
        "ENGINES_AT_ONCE": "1" if moment == "holding" else "2",
    }
    model, promoter = told_of(tuned(tmp_path, "tuned"), "0001-3fa9c2d1"), Promoter(redis)
    try:
        async with dolly("serve", tmp_path, **settings) as running:
            await running.says("Dolly answers in")
            await until_key(redis, "model:current", "revision", "shipped")
            engines = children_of(running.process.pid)
            await killed_at(moment, running, redis, promoter, model)
        async with asyncio.timeout(10):
            while any(is_running(pid) for pid in engines):
                await asyncio.sleep(0.05)

        async with dolly("serve", tmp_path, **settings) as running:
            await running.says("Dolly answers in")
            is_promoted = moment in ("current", "promoted")
            current = await redis.hgetall("model:current")
            assert (current["revision"], current["url"]) == ("0001-3fa9c2d1" if is_promoted else "shipped", "")
            assert (" 0001-3fa9c2d1." in running.err) == is_promoted
            if not is_promoted:
                await until_key(redis, "model:candidate", "state", "failed")
            again = await promoter.promote({**model, "revision": "0002-00000000"})
            assert again["state"] == "promoted"
            running.process.send_signal(signal.SIGTERM)
            code, _, err = await running.ended()
            assert (code, "Traceback" in err) == (0, False)
    finally:
        await workspace.stop()


async def killed_at(moment: str, running: Dolly, redis: Redis, promoter: Promoter, model: Hash) -> None:
    """Promote, and kill Dolly as soon as it is so far."""
    attempt = await promoter.want(model)
    if moment in ("starting", "holding"):
        await until_key(redis, "model:candidate", "state", moment)
    else:
        candidate = await promoter.settled(attempt)
        assert candidate["state"] == "ready"
        if moment in ("current", "promoted"):
            served: Hash = {**model, "url": candidate["url"]}
            await redis.hset("model:current", mapping=served)
        if moment == "promoted":
            await redis.hset("model:candidate", "state", "promoted")
    running.process.kill()
    await running.ended()


async def until_key(redis: Redis, key: str, field: str, value: str) -> None:
    async with asyncio.timeout(30):
        while await redis.hget(key, field) != value:
            await asyncio.sleep(0.01)
