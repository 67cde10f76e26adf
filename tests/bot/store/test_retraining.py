"""What the trainer is asked for, what it tells, and that what is taken back leaves what it may read."""

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from redis.asyncio import Redis

from bot.conversation import ConversationId
from bot.errors import RetrainKeyMissing
from bot.feedback import Feedback, name_of, record_id
from bot.store.exported import Exported
from bot.store.feedback import FeedbackStore
from bot.store.forgetting import Forgetting
from bot.store.layout import Layout
from bot.store.retraining import Job, Progress, Request, Retraining, Worker
from bot.store.sealing import Sealing

LAYOUT, SEALING, KEY = Layout("T1/B1", 4), Sealing([bytes(range(32))]), bytes(range(1, 33))
ASHA, BEN, CHANDRA = "U0ASHA", "U0BEN", "U0CHANDRA"
THREAD, OTHER = ConversationId("T1", "C1", "100.000100"), ConversationId("T1", "C2", "200.000100")
FIRST = Feedback("100.000100", ASHA, BEN, "down", "What is a loom?", "A pot.", "m", "h", True, 1.0, "A frame.")
SECOND = replace(FIRST, ts="200.000100", asker_id=CHANDRA)
REQUEST = Request("retrain", ASHA, "loop", canary=("C1", "C2"))


@pytest.fixture
def retraining(redis: Redis) -> Retraining:
    return Retraining(redis, LAYOUT.owner, KEY)


@pytest.fixture
def store(redis: Redis) -> FeedbackStore:
    return FeedbackStore(redis, LAYOUT, SEALING)


@pytest.fixture
def forgetting(redis: Redis) -> Forgetting:
    return Forgetting(redis, LAYOUT, SEALING)


async def hash_of(redis: Redis, key: str) -> dict[str, str]:
    reading: Any = redis.hgetall(key)
    return dict(await reading)


async def set_of(redis: Redis, key: str) -> set[str]:
    reading: Any = redis.smembers(key)
    return set(await reading)


def opened(sealed: str, job_id: str, name: str, key: bytes = KEY) -> str:
    """As a trainer opens a line, by what is written down of it alone."""
    version, _, body = sealed.partition(".")
    assert version == "1"
    derived = HKDF(SHA256(), 32, salt=None, info=f"dolly retrain {job_id}".encode()).derive(key)
    stored = base64.b64decode(body)
    return AESGCM(derived).decrypt(stored[:12], stored[12:], name.encode()).decode()


async def test_a_retrain_takes_what_it_learns_from_sealed_for_it_alone(retraining: Retraining, redis: Redis) -> None:
    job_id = await retraining.prepare(REQUEST, {"T1/a": "words of one", "T1/b": "words of another"})
    assert await retraining.waiting() == [], "not before it is queued"
    await retraining.queue(job_id)
    export = await hash_of(redis, f"retrain:export:{job_id}")
    assert {name: opened(sealed, job_id, name) for name, sealed in export.items()} == {
        "T1/a": "words of one",
        "T1/b": "words of another",
    }
    assert "words" not in repr(export)
    for wrong in ({"job_id": "other"}, {"name": "T1/b"}, {"key": bytes(32)}):
        with pytest.raises(InvalidTag):
            opened(export["T1/a"], **{"job_id": job_id, "name": "T1/a", **wrong})  # type: ignore[arg-type]
    assert await set_of(redis, "retrain:exported") == {record_id("T1/a"), record_id("T1/b")}
    assert 0 < await redis.ttl(f"retrain:export:{job_id}") <= 7 * 86_400
    assert 0 < await redis.ttl(f"retrain:job:{job_id}") <= 30 * 86_400
    [job] = await retraining.waiting()
    assert job == Job(job_id, REQUEST, "T1/B1", job.asked_at, "queued")
    assert await retraining.job(job_id) == job
    assert not job.has_ended


async def test_many_lines_are_written_in_parts(retraining: Retraining, redis: Redis) -> None:
    lines = {f"T1/{number}": "line" for number in range(1_201)}
    job_id = await retraining.prepare(REQUEST, lines)
    assert len(await hash_of(redis, f"retrain:export:{job_id}")) == 1_201
    await retraining.exported.take_out(lambda name: True)
    assert await hash_of(redis, f"retrain:export:{job_id}") == {}
    assert len(await set_of(redis, "retrain:withdrawn")) == 1_201


async def test_without_a_key_nothing_is_written(redis: Redis) -> None:
    with pytest.raises(RetrainKeyMissing, match="RETRAIN_KEY"):
        await Retraining(redis, LAYOUT.owner, None).prepare(REQUEST, {"T1/a": "words"})
    assert [key async for key in redis.scan_iter()] == []
    job_id = await Retraining(redis, LAYOUT.owner, None).ask(Request("rollback", ASHA))
    assert job_id, "what learns from nothing needs no key"


async def test_promotions_wait_beside_retrains(retraining: Retraining, redis: Redis) -> None:
    act = await retraining.ask(Request("promote", ASHA, revision="0002-abc", canary=("C1",)))
    yes = await retraining.ask(Request("retrain", ASHA, revision="0002-abc", yes=True))
    lists: list[Any] = [redis.lrange("retrain:acts", 0, -1), redis.lrange("retrain:queue", 0, -1)]
    assert [await each for each in lists] == [[act], [yes]]
    job = await retraining.job(act)
    assert job is not None
    assert job.request == Request("promote", ASHA, revision="0002-abc", canary=("C1",))
    assert (await hash_of(redis, f"retrain:job:{yes}"))["yes"] == "1"
    assert await retraining.job("unknown") is None


async def test_the_first_to_be_done_stands_in_front(retraining: Retraining, redis: Redis) -> None:
    first, second = [await retraining.ask(Request("retrain", ASHA, yes=True)) for _ in range(2)]
    writing: Any = redis.hset(f"retrain:job:{first}", "state", "running")
    await writing
    assert [(job.id, job.state) for job in await retraining.waiting()] == [(first, "running"), (second, "queued")]
    writing = redis.hset(
        f"retrain:job:{first}", mapping={"state": "refused", "verdict": "refused", "result": "0002-abc"}
    )
    await writing
    assert [job.id for job in await retraining.waiting()] == [second]
    ended = await retraining.job(first)
    assert ended is not None
    assert (ended.has_ended, ended.verdict, ended.result) == (True, "refused", "0002-abc")


async def test_what_nobody_has_begun_is_cancelled_at_once(retraining: Retraining, redis: Redis) -> None:
    job_id = await retraining.prepare(REQUEST, {"T1/a": "words"})
    await retraining.queue(job_id)
    await retraining.cancel(job_id)
    job = await retraining.job(job_id)
    assert job is not None
    assert (job.state, job.has_ended, bool(job.sentence)) == ("cancelled", True, True)
    assert await retraining.waiting() == []
    assert not await redis.exists(f"retrain:export:{job_id}", "retrain:exports", "retrain:queue")


async def test_what_runs_is_asked_to_stop(retraining: Retraining, redis: Redis) -> None:
    job_id = await retraining.prepare(REQUEST, {"T1/a": "words"})
    await retraining.queue(job_id)
    writing: Any = redis.hset(f"retrain:job:{job_id}", "state", "running")
    await writing
    await retraining.cancel(job_id)
    assert await redis.get(f"retrain:cancel:{job_id}") == "1"
    assert [job.state for job in await retraining.waiting()] == ["running"]
    assert await redis.exists(f"retrain:export:{job_id}")


async def test_how_far_it_is_is_what_was_told_last(retraining: Retraining, redis: Redis) -> None:
    assert await retraining.latest("j") is None
    told = {"stage": "tune", "done": "3", "total": "10", "loss": "1.25", "seconds_left": "40.5", "sentence": "Tuning."}
    await redis.xadd("retrain:progress:j", told)  # type: ignore[arg-type]
    assert await retraining.latest("j") == Progress("tune", 3, 10, 1.25, 40.5, "Tuning.")
    await redis.xadd("retrain:progress:j", dict.fromkeys(told, ""))
    assert await retraining.latest("j") == Progress("", None, None, None, None, "")
    await redis.xadd("retrain:progress:j", {"stage": "tune", "done": "1.25e+06", "total": "inf", "loss": "nan"})
    assert await retraining.latest("j") == Progress("tune", 1_250_000, None, None, None, "")


async def test_the_plot_and_the_worker_are_there_or_not(retraining: Retraining, redis: Redis) -> None:
    assert await retraining.plot("j") is None
    assert await retraining.worker() is None
    await redis.set("retrain:plot:j", base64.b64encode(b"\x89PNG"))
    await redis.set("retrain:worker", json.dumps({"host": "box", "since": 5, "recipe": "loop"}))
    assert await retraining.plot("j") == b"\x89PNG"
    assert await retraining.worker() == Worker("box", 5.0, "loop")
    for odd in ("no json", "[]", '{"host": "box"}'):
        await redis.set("retrain:worker", odd)
        await redis.set("retrain:plot:j", odd)
        assert (await retraining.worker(), await retraining.plot("j")) == (None, None)


Act = Callable[[FeedbackStore, Forgetting], Awaitable[Any]]
TAKEN_BACK: dict[str, tuple[Act, set[str]]] = {
    "withdrawn": (lambda store, _: store.withdraw(THREAD, FIRST.ts, BEN), {"second"}),
    "answer deleted": (lambda store, _: store.drop(OTHER, SECOND.ts), {"first"}),
    "changed": (lambda store, _: store.put(THREAD, replace(FIRST, correction="Else.")), {"second"}),
    "conversation": (lambda _, forgetting: forgetting.conversation(OTHER), {"first"}),
    "channel": (lambda _, forgetting: forgetting.channel("C1"), {"second"}),
    "asker": (lambda _, forgetting: forgetting.user(ASHA), {"second"}),
    "asker there": (lambda _, forgetting: forgetting.user(ASHA, THREAD), {"second"}),
    "asker elsewhere": (lambda _, forgetting: forgetting.user(ASHA, OTHER), {"first", "second"}),
    "rater": (lambda _, forgetting: forgetting.user(BEN), set()),
    "nobody in it": (lambda _, forgetting: forgetting.user("U0DEV"), {"first", "second"}),
    "team": (lambda _, forgetting: forgetting.team(), set()),
}


@pytest.mark.parametrize(("act", "left"), TAKEN_BACK.values(), ids=TAKEN_BACK.keys())
async def test_what_is_taken_back_leaves_what_a_trainer_may_read(
    retraining: Retraining, store: FeedbackStore, forgetting: Forgetting, redis: Redis, act: Act, left: set[str]
) -> None:
    names = {"first": name_of(THREAD, FIRST), "second": name_of(OTHER, SECOND)}
    others = {"T2/C1/1.0/1.0/U0ASHA/U0BEN": "another team's"}
    await store.put(THREAD, FIRST)
    await store.put(OTHER, SECOND)
    jobs = [await retraining.prepare(REQUEST, dict.fromkeys(names.values(), "line") | others) for _ in range(2)]
    await act(store, forgetting)
    for job_id in jobs:
        assert set(await hash_of(redis, f"retrain:export:{job_id}")) == {names[name] for name in left} | set(others)
    gone = {record_id(name) for key, name in names.items() if key not in left}
    assert await set_of(redis, "retrain:withdrawn") == gone


async def test_what_was_read_long_ago_is_noted_as_withdrawn(
    retraining: Retraining, store: FeedbackStore, forgetting: Forgetting, redis: Redis
) -> None:
    """Its export has ended, and a model may have learned from it."""
    await store.put(THREAD, FIRST)
    await store.put(OTHER, SECOND)
    job_id = await retraining.prepare(REQUEST, {name_of(THREAD, FIRST): "line"})
    await retraining.exported.drop(job_id)
    await forgetting.user(BEN)
    assert await set_of(redis, "retrain:withdrawn") == {record_id(name_of(THREAD, FIRST))}, (
        "and not what none was given"
    )
    await store.put(THREAD, FIRST)
    await retraining.prepare(REQUEST, {name_of(THREAD, FIRST): "line"})
    assert await set_of(redis, "retrain:withdrawn") == set(), "said again, it may be learned again"


async def test_a_store_that_lost_the_feedback_still_finds_it_in_exports(
    retraining: Retraining, forgetting: Forgetting, redis: Redis
) -> None:
    """As one that was forgotten halfway, or restored from a backup."""
    job_id = await retraining.prepare(REQUEST, {name_of(THREAD, FIRST): "line", "T2/C1/1.0/1.0/U1/U2": "line"})
    assert await forgetting.conversations() == [str(THREAD)]
    assert await forgetting.exported() == {name_of(THREAD, FIRST)}
    await forgetting.conversation(THREAD)
    assert set(await hash_of(redis, f"retrain:export:{job_id}")) == {"T2/C1/1.0/1.0/U1/U2"}


async def test_exports_that_have_ended_are_not_looked_at(redis: Redis) -> None:
    now = 1_000.0
    exported = Exported(redis, clock=lambda: now)
    await exported.put("j", {"T1/a": "sealed"})
    assert await exported.names() == {"T1/a"}
    now += 8 * 86_400
    assert await exported.names() == frozenset()
    await exported.put("k", {"T1/b": "sealed"})
    assert await redis.zrange("retrain:exports", 0, -1) == ["k"]
