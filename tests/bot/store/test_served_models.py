"""Which model is in service: what is written is read again, whoever wrote it, and nobody writes over another's step."""

from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.store.served_models import Canary, Candidate, Owner, ServedModel, ServedModels

MODEL = ServedModel(
    "0003-3fa9c2d1",
    name="team-model",
    path="/models/0003-3fa9c2d1/model-q8_0.gguf",
    sha256="ab" * 32,
    manifest="/models/0003-3fa9c2d1/manifest.json",
    keys=("<|im_start|>", "### Ende:"),
    url="http://127.0.0.1:8081",
    since=1_796_000_000.25,
    trained_on={"corrections": 3, "replay": 48},
    by="U0ASHA00001",
    attempt="attempt-0",
)
WANTED = Candidate("attempt-1", "wanted", MODEL)


@pytest.fixture
def models(redis: Redis) -> ServedModels:
    return ServedModels(redis)


async def test_nothing_is_there_at_first(models: ServedModels) -> None:
    assert await models.current() is None
    assert await models.previous() is None
    assert await models.candidate() is None
    assert await models.canary() is None
    assert await models.owner() is None


async def test_what_is_written_is_read_again(models: ServedModels, redis: Redis) -> None:
    await models.set_current(MODEL)
    await models.want(WANTED)
    assert await models.current() == MODEL
    assert await models.candidate() == WANTED
    written: dict[Any, Any] = dict(await redis.hgetall("model:current"))
    await redis.hset("model:canary", mapping={**written, "channels": '["C1", "C2"]'})
    assert await models.canary() == Canary(MODEL, frozenset({"C1", "C2"}))
    await models.drop_canary()
    assert await models.canary() is None


async def test_a_shorter_one_leaves_nothing_of_a_longer_one(models: ServedModels) -> None:
    await models.set_current(MODEL)
    await models.set_current(ServedModel("shipped"))
    assert await models.current() == ServedModel("shipped")


async def test_what_others_leave_out_is_empty(models: ServedModels, redis: Redis) -> None:
    await redis.hset("model:current", mapping={"revision": "7", "url": "http://gpu:8080"})
    assert await models.current() == ServedModel("7", url="http://gpu:8080")


@pytest.mark.parametrize(
    "spoilt",
    [{"trained_on": "[1]"}, {"since": "yesterday"}, {"url": "gpu:8080"}, {"url": "http://"}, {"revision": ""}],
)
async def test_what_nobody_can_read_counts_as_absent(
    models: ServedModels, redis: Redis, spoilt: dict[Any, Any]
) -> None:
    await models.set_current(MODEL)
    await redis.hset("model:current", mapping=spoilt)
    assert await models.current() is None


@pytest.mark.parametrize("spoilt", ["", "{}", "[1]", '"<|im_end|>"', "<|im_end|>"])
async def test_keys_that_nobody_can_read_are_none(models: ServedModels, redis: Redis, spoilt: str) -> None:
    await models.set_current(MODEL)
    await redis.hset("model:current", "keys", spoilt)
    assert await models.current() == replace(MODEL, keys=())


async def test_an_address_is_written_to_the_model_that_it_is_of(models: ServedModels) -> None:
    await models.set_current(MODEL)
    assert not await models.move_current("0002-00000000", "http://127.0.0.1:1")
    assert await models.current() == MODEL
    assert await models.move_current(MODEL.revision, "")
    assert await models.current() == replace(MODEL, url="")
    assert not await models.move_canary(MODEL.revision, "http://127.0.0.1:1")
    assert await models.canary() is None


async def test_a_step_is_written_where_the_last_one_was_read(models: ServedModels) -> None:
    await models.want(WANTED)
    starting = await models.note(WANTED, "starting")
    assert starting == replace(WANTED, state="starting", model=replace(MODEL, url=""))
    assert await models.note(WANTED, "failed", reason="late") is None
    ready = await models.note(starting, "ready", url="http://127.0.0.1:2")
    assert await models.candidate() == ready

    another = replace(WANTED, id="attempt-2")
    await models.want(another)
    assert ready is not None
    assert await models.note(ready, "failed", reason="of the attempt before") is None
    assert await models.candidate() == another


async def test_each_admin_approves_once(models: ServedModels) -> None:
    assert await models.approve("7", "U1") == ["U1"]
    assert await models.approve("7", "U1") == ["U1"]
    assert await models.approve("8 C1", "U3") == ["U3"]
    assert await models.approve("7", "U2") == ["U1", "U2"]
    await models.drop_approvals("7")
    assert await models.approve("7", "U2") == ["U2"]


async def test_one_owns_the_engine_at_a_time(models: ServedModels, redis: Redis) -> None:
    one, other = Owner(2, "box", 1), Owner(2, "box", 2)
    assert await models.own(one, 15)
    assert 0 < await redis.ttl("model:owner") <= 15
    assert not await models.own(other, 15)
    assert await models.owner() == one
    assert await models.own(replace(one, holds=1), 15, instead_of=[one])
    assert not await models.own(one, 15)
    assert await models.own(other, 15, instead_of=[replace(one, holds=1)])
    assert await models.owner() == other


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('{"holds": 2}', Owner(2)),
        ('{"holds": 1, "host": "gpu"}', Owner(1, "gpu")),
        ("alive", Owner(1)),
        ("3", Owner(1)),
    ],
)
async def test_an_owner_of_another_kind_lives(models: ServedModels, redis: Redis, written: str, read: Owner) -> None:
    await redis.set("model:owner", written, ex=15)
    assert await models.owner() == read
