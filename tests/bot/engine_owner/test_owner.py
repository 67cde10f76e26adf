"""What comes into service, what does not, and what runs meanwhile."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.engine_owner.owner import ABANDONED, CANARY_RUNS, INTERRUPTED
from bot.engine_owner.ownership import Ownership, leave_own_engine
from bot.errors import LocalPartError
from bot.store.served_models import ServedModels
from tests.bot.engine_owner.conftest import Place
from tests.promotion import Hash


async def test_what_is_configured_is_in_service_and_is_said_to_be(place: Place) -> None:
    async with place.owned():
        assert place.machine.running == ["small"]
        await place.settled("shipped", "small")
        current = await place.current()
        assert (current["name"], current["path"], current["url"]) == ("small", str(place.shipped), "")
        assert json.loads(current["keys"]) == ["### End"]
        assert (await place.owner()) == {
            "holds": 2,
            "host": os.uname().nodename,
            "pid": os.getpid(),
        }
    assert place.machine.running == []
    assert await place.redis.ttl("model:owner") <= 1, "whoever is stopped owns nothing any more"


async def test_a_model_comes_into_service_beside_the_old_one_which_then_ends(place: Place) -> None:
    async with place.owned():
        await place.settled("shipped", "small")
        done = await place.promoter.promote(place.model("first", "0001-00000000"))
        assert (done["state"], place.promoter.states[-1]) == ("promoted", "ready")
        assert place.machine.running == ["small", "first"], "the old one is drained first"
        assert done["url"] == place.machine.of("first").url != place.urls[0]
        await place.settled("0001-00000000", "first")
        assert (await place.redis.hgetall("model:previous"))["revision"] == "shipped"


async def test_a_running_answer_is_waited_for(place: Place) -> None:
    async with place.owned():
        await place.settled("shipped", "small")
        old = place.machine.of("small")
        answering = asyncio.create_task(place.promoter.answers(old.url))
        await old.scripted.asked.wait()
        await place.promoter.promote(place.model("first", "0001-00000000"))
        assert await answering
        assert old.scripted.requests[0].finished
        await place.settled("0001-00000000", "first")


async def test_back_to_what_was_before(place: Place) -> None:
    async with place.owned():
        await place.settled("shipped", "small")
        await place.promoter.promote(place.model("first", "0001-00000000"))
        back = await place.promoter.roll_back()
        assert back["state"] == "promoted"
        assert place.machine.of("small").starts == 1, "it was being drained, and is used again"
        await place.settled("shipped", "small")
        again = await place.promoter.roll_back()
        assert (again["state"], again["revision"]) == ("promoted", "0001-00000000")
        await place.settled("0001-00000000", "first")
        await place.promoter.roll_back()
        await place.settled("shipped", "small")


def without_a_file(model: Hash) -> None:
    Path(model["path"]).unlink()


def a_directory(model: Hash) -> None:
    model["path"] = str(Path(model["path"]).parent)


def no_gguf(model: Hash) -> None:
    Path(model["path"]).write_bytes(b"safetensors")


def another_hash(model: Hash) -> None:
    Path(model["path"]).write_bytes(Path(model["path"]).read_bytes() + b"!")


def nowhere(model: Hash) -> None:
    model["path"] = ""


@pytest.mark.parametrize(
    ("name", "spoil", "sentence"),
    [
        ("first", without_a_file, "There is no model file"),
        ("first", a_directory, "is a directory, and llama.cpp reads GGUF files"),
        ("first", no_gguf, "is not a GGUF file"),
        ("first", another_hash, "another SHA-256 than 0001-00000000"),
        ("first", nowhere, "Where 0001-00000000 lies is not said"),
        ("broken", lambda _: None, "The engine ended at once"),
    ],
)
@pytest.mark.parametrize("has_room", [True, False])
async def test_what_cannot_be_served_changes_nothing(
    place: Place, name: str, spoil: Callable[[Hash], None], sentence: str, has_room: bool
) -> None:
    place.has_room = has_room
    async with place.owned():
        await place.settled("shipped", "small")
        before = await place.current()
        model = place.model(name, "0001-00000000")
        spoil(model)
        candidate = await place.promoter.promote(model)
        assert candidate["state"] == "failed"
        assert sentence in candidate["reason"]
        await place.settled("shipped", "small")
        now = await place.current()
        if name == "first" or has_room:
            assert now == before
            assert place.machine.of("small").starts == 1
        assert await place.promoter.answers(now["url"] or place.urls[0])


async def test_where_there_is_room_for_one_the_other_goes_first(place: Place) -> None:
    place.has_room = False
    async with place.owned():
        await place.settled("shipped", "small")
        assert (await place.owner())["holds"] == 1
        attempt = await place.promoter.want(place.model("first", "0001-00000000"))
        candidate = await place.promoter.settled(attempt)
        assert place.promoter.states[-2:] == ["holding", "ready"]
        assert place.machine.running == ["first"]
        assert candidate["url"] != place.urls[0], (
            "nobody who asks for the old one finds the new one before it is promoted"
        )
        await place.promoter.refuse("It said nothing.")
        await place.settled("shipped", "small")
        assert await place.promoter.answers((await place.current())["url"])

        await place.promoter.promote(place.model("first", "0001-00000000"))
        await place.settled("0001-00000000", "first")
        await place.promoter.roll_back()
        await place.settled("shipped", "small")


async def test_a_refused_model_ends(place: Place) -> None:
    async with place.owned():
        await place.settled("shipped", "small")
        await place.promoter.settled(await place.promoter.want(place.model("first", "0001-00000000")))
        await place.promoter.refuse("It said nothing.")
        await place.settled("shipped", "small")


async def test_a_model_that_nobody_promotes_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine_owner.owner.READY_SECONDS", 0.3)
    async with place.owned():
        await place.settled("shipped", "small")
        await place.promoter.settled(await place.promoter.want(place.model("first", "0001-00000000")))
        await place.settled("shipped", "small")
        candidate = await place.redis.hgetall("model:candidate")
        assert candidate["state"] == "failed"
        assert "Nobody promoted" in candidate["reason"]


@pytest.mark.parametrize("has_room", [True, False])
async def test_a_model_whose_promoter_is_gone_ends(
    place: Place, monkeypatch: pytest.MonkeyPatch, has_room: bool
) -> None:
    monkeypatch.setattr("bot.engine_owner.owner.ABANDONED_SECONDS", 0.3)
    place.has_room = has_room
    async with place.owned():
        await place.settled("shipped", "small")
        await place.promoter.settled(await place.promoter.want(place.model("first", "0001-00000000")))
        await asyncio.sleep(0.5)
        assert "first" in place.machine.running, "who lives may take their time"
        await place.redis.delete("model:promoting")
        await place.settled("shipped", "small")
        candidate = await place.redis.hgetall("model:candidate")
        assert (candidate["state"], candidate["reason"]) == ("refused", ABANDONED)


async def test_a_promoter_that_died_when_all_but_one_word_was_said_has_promoted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engine_owner.owner.ABANDONED_SECONDS", 0.3)
    async with place.owned():
        await place.settled("shipped", "small")
        model = place.model("first", "0001-00000000")
        candidate = await place.promoter.settled(await place.promoter.want(model))
        served: Hash = {**model, "url": candidate["url"], "attempt": candidate["id"]}
        await place.redis.hset("model:current", mapping=served)
        await place.redis.delete("model:promoting")
        await place.settled("0001-00000000", "first")
        await asyncio.sleep(0.5)
        assert (await place.redis.hgetall("model:candidate"))["state"] == "ready", "it is the promoters' to say"
    async with place.owned():
        await place.settled("0001-00000000", "first")
        assert (await place.redis.hgetall("model:candidate"))["state"] == "ready"


async def test_a_canary_stays_beside_and_goes_or_comes_into_service(place: Place) -> None:
    first, second = place.model("first", "0001-00000000"), place.model("second", "0002-00000000")
    async with place.owned():
        await place.settled("shipped", "small")
        await place.promoter.promote(first, canary=["C1"])
        await asyncio.sleep(1)
        await place.settled("shipped", "small", "first")

        refused = await place.promoter.promote(second)
        assert (refused["state"], refused["reason"]) == ("failed", CANARY_RUNS)

        await place.promoter.promote(first)
        await place.redis.delete("model:canary")
        await place.settled("0001-00000000", "first")
        assert place.machine.of("first").starts == 1

        await place.promoter.promote(second, canary=["C1"])
        await place.redis.delete("model:canary")
        await place.settled("0001-00000000", "first")


async def test_a_second_owner_of_containers_waits_for_the_firsts_end(redis: Redis) -> None:
    elsewhere = json.dumps({"holds": 2, "host": "elsewhere", "pid": 1, "serves": "directory"})
    await redis.set("model:owner", elsewhere, ex=2)
    await redis.set("model:own_engine", "1")
    second = Ownership(ServedModels(redis), lambda: 1, serves="directory")
    waiting = asyncio.create_task(second.wait())
    await asyncio.sleep(1)
    assert (waiting.done(), await redis.get("model:owner")) == (False, elsewhere)
    await asyncio.wait_for(waiting, 5)
    assert json.loads(await redis.get("model:owner") or "{}")["serves"] == "directory"
    assert not await redis.exists("model:own_engine"), "a Dolly that starts without an owner changes nothing then"


async def test_a_new_model_waits_for_one_that_is_drained(place: Place) -> None:
    async with place.owned():
        await place.settled("shipped", "small")
        await place.promoter.promote(place.model("first", "0001-00000000"))
        done = await place.promoter.promote(place.model("second", "0002-00000000"))
        assert done["state"] == "promoted"
        await place.settled("0002-00000000", "second")
        assert max(engine.number for engine in place.machine.engines) == 2


# --- started anew ---------------------------------------------------------------------------------------------------


async def test_what_is_in_service_is_served_after_a_restart(place: Place) -> None:
    async with place.owned():
        await place.settled("shipped", "small")
        await place.promoter.promote(place.model("first", "0001-00000000"))
        await place.promoter.promote(place.model("second", "0002-00000000"), canary=["C1"])
    served = await place.current()
    async with place.owned():
        assert place.machine.running == ["first"]
        assert await place.current() == {**served, "url": ""}, "each Dolly's own engine has it"
        await place.settled("0001-00000000", "first", "second")
        canary = await place.redis.hgetall("model:canary")
        assert (canary["url"], canary["channels"]) == (place.machine.of("second").url, '["C1"]')
        assert place.told[-1] == "The engine is ready, with the model team-model 0001-00000000."
        await place.redis.delete("model:canary")
        await place.promoter.roll_back()
        await place.settled("shipped", "small")


@pytest.mark.parametrize("spoil", [without_a_file, no_gguf, another_hash])
async def test_what_can_be_served_no_more_gives_way_to_what_is_configured(
    place: Place, spoil: Callable[[Hash], None]
) -> None:
    model = place.model("first", "0001-00000000")
    async with place.owned():
        await place.settled("shipped", "small")
        await place.promoter.promote(model)
    spoil(model)
    async with place.owned():
        assert place.machine.running == ["small"]
        current = await place.current()
        assert (current["revision"], current["url"], current["path"]) == ("shipped", "", str(place.shipped))
        assert "The model 0001-00000000 cannot be served, so small answers in its place." in place.told[-2]
        await asyncio.sleep(0.3)
        assert place.machine.running == ["small"]


async def test_a_canary_that_can_be_served_no_more_goes(place: Place) -> None:
    model = place.model("first", "0001-00000000")
    async with place.owned():
        await place.settled("shipped", "small")
        await place.promoter.promote(model, canary=["C1"])
    another_hash(model)
    async with place.owned():
        await place.until(lambda: gone(place.redis, "model:canary"))
        assert place.machine.running == ["small"]


async def gone(redis: Redis, key: str) -> bool:
    return not await redis.exists(key)


async def test_another_model_that_is_configured_takes_the_place_of_the_one_before(place: Place) -> None:
    async with place.owned():
        await place.settled("shipped", "small")
    larger = Path(place.model("larger", "")["path"])
    async with place.owned(larger):
        current = await place.current()
        assert (current["revision"], current["name"], current["path"]) == ("shipped", "larger", str(larger))


@pytest.mark.parametrize("state", ["wanted", "starting", "holding", "ready"])
@pytest.mark.parametrize("has_room", [True, False])
async def test_an_owner_that_was_killed_leaves_nothing_half_done(place: Place, state: str, has_room: bool) -> None:
    """What is in service stays; what was only about to be is given up, or begun anew."""
    place.has_room = has_room
    async with place.owned():
        await place.settled("shipped", "small")
    model = place.model("first", "0001-00000000")
    attempt = await place.promoter.want(model)
    left: Hash = {"state": state, "url": "http://127.0.0.1:9" if state == "ready" else ""}
    await place.redis.hset("model:candidate", mapping=left)
    await place.redis.set(
        "model:owner", json.dumps({"holds": 2, "host": os.uname().nodename, "pid": os.getpid()}), ex=15
    )
    async with place.owned():
        if state == "wanted":
            assert (await place.promoter.settled(attempt))["state"] == "ready"
            await place.promoter.refuse("It is not wanted any more.")
        else:

            async def is_given_up() -> bool:
                return (await place.redis.hgetall("model:candidate"))["reason"] == INTERRUPTED

            await place.until(is_given_up)
        await place.settled("shipped", "small")


async def test_what_was_promoted_in_the_moment_of_its_owners_death_is_served(place: Place) -> None:
    async with place.owned():
        await place.settled("shipped", "small")
        model = place.model("first", "0001-00000000")
        candidate = await place.promoter.settled(await place.promoter.want(model))
    await place.redis.hset("model:current", mapping={**model, "url": candidate["url"]})  # and no more
    async with place.owned():
        assert place.machine.running == ["first"]
        await place.settled("0001-00000000", "first")


# --- two Dollies, and a store that forgets --------------------------------------------------------------------------


async def test_one_dolly_owns_the_engine_and_the_other_changes_nothing(place: Place) -> None:
    await place.redis.set("model:owner", json.dumps({"holds": 2, "host": "another", "pid": 7}), ex=15)
    async with place.owned():
        assert place.machine.running == ["small"]
        await place.promoter.want(place.model("first", "0001-00000000"))
        await asyncio.sleep(0.5)
        assert (await place.redis.hgetall("model:candidate"))["state"] == "wanted"
        assert await gone(place.redis, "model:current")
        assert (await place.owner())["host"] == "another"


async def test_a_dolly_that_died_on_this_machine_owns_nothing(place: Place) -> None:
    host = os.uname().nodename
    await place.redis.set("model:owner", json.dumps({"holds": 2, "host": host, "pid": 4_194_304}), ex=15)
    async with place.owned():
        await place.settled("shipped", "small")


async def test_what_a_store_forgets_is_written_down_again(place: Place) -> None:
    async with place.owned():
        await place.settled("shipped", "small")
        await place.promoter.promote(place.model("first", "0001-00000000"))
        await place.settled("0001-00000000", "first")
        before = await place.current()
        await place.redis.delete("model:current")
        await place.settled("0001-00000000", "first")
        assert await place.current() == before


async def test_without_an_engine_dolly_does_not_start(place: Place) -> None:
    with pytest.raises(LocalPartError, match="ended at once"):
        async with place.owned(Path(place.model("broken", "")["path"])):
            pytest.fail("it came up without an engine")


async def test_who_is_given_an_engine_leaves_what_dollys_own_served(place: Place) -> None:
    models = ServedModels(place.redis)
    async with place.owned():
        await place.settled("shipped", "small")
        await place.promoter.promote(place.model("first", "0001-00000000"))
        await place.settled("0001-00000000", "first")
        await place.redis.set("model:owner", json.dumps({"holds": 2, "host": "elsewhere", "pid": 1}))
        assert await leave_own_engine(models) is None, "its owner lives"
        assert await models.current() is not None
    await place.redis.delete("model:owner")
    left = await leave_own_engine(models)
    assert left is not None
    assert left.revision == "0001-00000000"
    assert await place.redis.keys("model:*") == []


async def test_what_another_owner_has_in_service_stays(place: Place) -> None:
    await place.redis.hset("model:current", mapping=place.model("first", "0001-00000000"))
    models = ServedModels(place.redis)
    assert await leave_own_engine(models) is None
    assert await models.current() is not None
