"""Which engine answers a turn, and for how long its client is kept."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from bot.conversation import Message
from bot.engines import Engines, InService
from bot.errors import EngineError, ModelLoading, StoreUnavailable
from bot.model_client import ModelClient
from bot.store.served_models import Candidate, Owner, ServedModel, ServedModels
from tests.scripted_engine import Script, ScriptedEngine

QUESTION = [Message("user", "Who are you? ### Ende: <|im_end|>")]


@asynccontextmanager
async def choice(redis: Redis) -> AsyncIterator[tuple[Engines, ScriptedEngine, ScriptedEngine]]:
    """The router, the engine that is configured, and another one."""
    async with (
        ScriptedEngine(Script(text="The old one."), model="old", window_tokens=1000) as old,
        ScriptedEngine(Script(text="The new one."), model="new", window_tokens=2000) as new,
    ):
        configured = ModelClient(old.url, api_key="team-key", temperature=0)
        engines = Engines(ServedModels(redis), configured)
        yield engines, old, new
        await engines.close()
        assert await configured.window_tokens() == 1000, "it is not theirs to close"
        await configured.close()


def promoted(engine: ScriptedEngine, **more: Any) -> ServedModel:
    return replace(ServedModel("0001-3fa9c2d1", name="team-model", url=engine.url, since=1e9), **more)


async def said(engines: Engines, channel_id: str = "C1") -> str:
    async with engines.of(channel_id) as model:
        return "".join([delta async for delta in model.stream(QUESTION, max_tokens=20)])


async def test_without_a_word_in_the_store_the_configured_engine_answers(redis: Redis) -> None:
    async with choice(redis) as (engines, old, _):
        assert await said(engines) == "The old one."
        assert await engines.in_service() == InService("old")
        assert (await engines.report()).stamp == "old"
        assert old.requests[0].messages[0]["content"] == "Who are you? ### Ende: <\u2060|im_end|>"


async def test_the_model_in_service_answers_from_the_next_turn_on(redis: Redis) -> None:
    async with choice(redis) as (engines, _, new):
        async with engines.of("C1") as begun:
            await ServedModels(redis).set_current(promoted(new, keys=("### Ende:",), trained_on={"corrections": 3}))
            async with engines.of("C1") as next_turn:
                assert next_turn.served_model == "team-model@0001-3fa9c2d1"
                assert await next_turn.window_tokens() == 2000, "the window is its own engine's"
            assert await begun.window_tokens() == 1000
            answer = [delta async for delta in begun.stream(QUESTION, max_tokens=20)]
            assert "".join(answer) == "The old one."
        assert await said(engines) == "The new one."
        assert new.requests[0].messages[0]["content"] == "Who are you? #\u2060## Ende: <|im_end|>", (
            "the keys are its own"
        )
        assert new.keys == {"Bearer team-key"}
        assert await engines.in_service() == InService("team-model@0001-3fa9c2d1", 1e9, {"corrections": 3})
        report = await engines.report()
        assert (report.stamp, report.model, report.window_tokens) == ("team-model@0001-3fa9c2d1", "tgi", 2000)


async def test_what_the_configured_engine_serves_may_have_a_revision(redis: Redis, tmp_path: Path) -> None:
    """The manifest that is configured says which keys it has, where the store does not."""
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"keys": ["### Ende:"]}))
    async with ScriptedEngine(Script(text="The old one.")) as old:
        configured = ModelClient(old.url, manifest=manifest)
        engines = Engines(ServedModels(redis), configured)
        await ServedModels(redis).set_current(ServedModel("shipped", name="small"))
        async with engines.of("C1") as model:
            assert model.served_model == "small@shipped"
        assert await said(engines) == "The old one."
        assert "#\u2060## Ende:" in old.requests[0].messages[0]["content"]
        await engines.close()
        await configured.close()


async def test_a_canary_answers_in_its_channels(redis: Redis) -> None:
    async with choice(redis) as (engines, old, new):
        await ServedModels(redis).set_current(promoted(old, revision="0001-00000000"))
        current: dict[Any, Any] = dict(await redis.hgetall("model:current"))
        canary = {**current, "url": new.url, "revision": "0002-00000000", "channels": json.dumps(["C2"])}
        await redis.hset("model:canary", mapping=canary)
        assert [await said(engines, channel) for channel in ("C1", "C2", "D1")] == [
            "The old one.",
            "The new one.",
            "The old one.",
        ]
        assert (await engines.in_service()).model == "team-model@0001-00000000"
        await redis.delete("model:canary")
        assert await said(engines, "C2") == "The old one."


async def test_a_client_is_kept_while_it_serves_and_closed_when_it_serves_nobody(redis: Redis) -> None:
    async with choice(redis) as (engines, old, new):
        models = ServedModels(redis)
        await models.set_current(promoted(new))
        async with engines.of("C1") as first:
            pass
        async with engines.of("C1") as again:
            assert again is first
            await models.set_current(promoted(old, revision="0002-00000000"))
            assert await said(engines) == "The old one."
            assert len(engines._engines) == 2, "a turn still needs the one before"
            assert "".join([delta async for delta in again.stream(QUESTION, max_tokens=20)]) == "The new one."
        assert [engine.client.served_model for engine in engines._engines.values()] == ["team-model@0002-00000000"]


async def test_another_model_at_the_same_address_is_learned_anew(redis: Redis) -> None:
    async with choice(redis) as (engines, _, new):
        models = ServedModels(redis)
        await models.set_current(promoted(new))
        async with engines.of("C1") as model:
            assert await model.window_tokens() == 2000
        new.window_tokens = 500
        await models.set_current(promoted(new, revision="0002-00000000"))
        async with engines.of("C1") as model:
            assert await model.window_tokens() == 500


async def test_a_store_that_is_away_changes_nothing(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    async with choice(redis) as (engines, _, new):
        await ServedModels(redis).set_current(promoted(new))
        assert await said(engines) == "The new one."

        async def away(models: ServedModels) -> None:
            raise StoreUnavailable("It is away.")

        monkeypatch.setattr(ServedModels, "all", away)
        with capture_logs() as logs:
            assert await said(engines) == "The new one."
            assert (await engines.in_service()).model == "team-model@0001-3fa9c2d1"
        assert {entry["event"] for entry in logs} == {"models_not_read"}


@pytest.mark.parametrize(
    ("state", "holds", "is_held"),
    [
        ("wanted", 1, False),
        ("starting", 1, False),
        ("holding", 1, True),
        ("holding", 2, True),
        ("ready", 1, True),
        ("ready", 2, False),
        ("promoted", 1, False),
        ("refused", 1, False),
        ("failed", 1, False),
    ],
)
async def test_answers_wait_where_there_is_room_for_one_model(
    redis: Redis, state: Any, holds: int, is_held: bool
) -> None:
    async with choice(redis) as (engines, _, _):
        models = ServedModels(redis)
        await models.want(Candidate("attempt", state, ServedModel("0001-3fa9c2d1")))
        assert await said(engines) == "The old one.", "nobody owns the engine"
        await models.own(Owner(holds), 15)
        if is_held:
            with pytest.raises(ModelLoading):
                await said(engines)
        else:
            assert await said(engines) == "The old one."


async def test_an_engine_that_is_gone_is_told_of_as_any_other(redis: Redis) -> None:
    async with choice(redis) as (engines, _, new):
        await ServedModels(redis).set_current(promoted(new))
        await new.stop()
        with pytest.raises(EngineError):
            await engines.learn()
        assert (await engines.in_service()).model == "team-model@0001-3fa9c2d1"
        with pytest.raises(EngineError):
            await said(engines)
