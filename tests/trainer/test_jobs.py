"""The trainer's side of `retrain:*`, with the bot's side at the other end."""

import time
from collections.abc import Iterator

import pytest
from redis import Redis
from rich.console import Console

from bot.feedback import record_id as bots_record_id
from bot.local.store import LocalStore
from bot.store.retraining import Request
from tests.trainer.asking_bot import KEY, Bot, reports
from trainer.connection import connect
from trainer.errors import BadInput
from trainer.following import Cancelled, Following, LeaseLost, Reporter
from trainer.jobs import ACTS, QUEUE, Jobs, read_key, record_id
from trainer.lease import Lease
from trainer.progress import Moment

OTHER_KEY = b"s" * 32
LINES = {"T1/C1/1.1/1.2/U1/U2": '{"id": "…", "correction": "At nine, ça va? — नमस्ते"}', "T1/C1/1.1/1.3/U1/U2": "{}"}


@pytest.fixture
def client(local_store: LocalStore) -> Iterator[Redis]:
    with connect(local_store.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def bot(client: Redis, local_store: LocalStore) -> Bot:
    return Bot(local_store.url)


@pytest.fixture
def jobs(client: Redis) -> Jobs:
    return Jobs(client, lambda: KEY)


def test_the_oldest_job_is_next_until_it_has_ended(bot: Bot, jobs: Jobs, client: Redis) -> None:
    first, second = bot.retrain(LINES, recipe="tiny"), bot.retrain(LINES)
    client.lpush(QUEUE, "of a job that is long over")
    for _ in range(2):  # a kill in between loses nothing
        job = jobs.oldest(QUEUE)
        assert job is not None
        assert (job.id, job.kind, job.asked_by, job.recipe, job.yes) == (first, "retrain", "U9", "tiny", False)
        assert jobs.begin(job)
    assert job is not None
    jobs.end(job, "done", "It went well.", revision="0001-00000000", verdict="passed")
    told = bot(lambda retraining: retraining.job(first))
    assert told is not None
    assert (told.state, told.sentence, told.result, told.verdict) == (
        "done",
        "It went well.",
        "0001-00000000",
        "passed",
    )
    assert not client.exists(f"retrain:export:{first}")
    assert client.zrange("retrain:exports", 0, -1) == [second]
    assert 29 * 86_400 < client.ttl(f"retrain:job:{first}") <= 30 * 86_400
    job = jobs.oldest(QUEUE)
    assert job is not None
    assert job.id == second
    jobs.end(job, "failed", "It did not.")
    assert jobs.oldest(QUEUE) is None
    assert client.llen(QUEUE) == 0


def test_an_act_names_its_revision_and_channels(bot: Bot, jobs: Jobs) -> None:
    asked = Request("promote", "U9", revision="0001-00000000", canary=("C1", "C2"))
    bot(lambda retraining: retraining.ask(asked))
    job = jobs.oldest(ACTS)
    assert job is not None
    assert (job.kind, job.revision, job.canary) == ("promote", "0001-00000000", ("C1", "C2"))
    assert jobs.oldest(QUEUE) is None


def test_what_the_bot_sealed_is_opened_with_its_key_alone(bot: Bot, jobs: Jobs, client: Redis) -> None:
    job_id = bot.retrain(LINES)
    job = jobs.job(job_id)
    assert job is not None
    assert jobs.export(job) == [LINES[name] for name in sorted(LINES)]
    with pytest.raises(BadInput, match="sealed it with another key"):
        Jobs(client, lambda: OTHER_KEY).export(job)
    sealed = client.hgetall(f"retrain:export:{job_id}")
    for said in ("2.AAAA", "1.not base64", "1.AAAA"):
        client.hset(f"retrain:export:{job_id}", min(sealed), said)
        with pytest.raises(BadInput):
            jobs.export(job)
    names = list(sealed)
    client.hset(f"retrain:export:{job_id}", mapping={names[0]: sealed[names[1]]})  # a line under another's name
    with pytest.raises(BadInput, match="another key"):
        jobs.export(job)
    client.delete(f"retrain:export:{job_id}")
    with pytest.raises(BadInput, match="No feedback lies with this retrain"):
        jobs.export(job)


def test_what_was_withdrawn_is_known(bot: Bot, jobs: Jobs) -> None:
    job_id = bot.retrain(LINES)
    job = jobs.job(job_id)
    assert job is not None
    ids = [record_id(name) for name in LINES]
    assert ids == [bots_record_id(name) for name in LINES]
    assert jobs.withdrawn(ids, job) == jobs.withdrawn(ids) == frozenset()
    gone = min(LINES)
    bot(lambda retraining: retraining.exported.take_out(lambda name: name == gone))
    assert jobs.withdrawn(ids, job) == jobs.withdrawn(ids) == {record_id(gone)}
    assert jobs.withdrawn([record_id("another")]) == frozenset()
    assert jobs.withdrawn([record_id("another")], job) == {record_id("another")}  # not among what the job has


def test_the_bot_reads_how_far_it_is(bot: Bot, jobs: Jobs) -> None:
    job_id = bot.retrain(LINES)
    job = jobs.job(job_id)
    assert job is not None
    jobs.report(job_id, "tune", Moment(3, 60, 1.23456789, 41.7))
    told = bot(lambda retraining: retraining.latest(job_id))
    assert told is not None
    assert (told.stage, told.done, told.total, told.loss, told.seconds_left) == ("tune", 3, 60, 1.23457, 42.0)
    jobs.report(job_id, "gate", Moment(), "It takes a while.")
    told = bot(lambda retraining: retraining.latest(job_id))
    assert told is not None
    assert (told.stage, told.done, told.loss, told.sentence) == ("gate", None, None, "It takes a while.")
    asked = bot(lambda retraining: retraining.job(job_id))
    assert asked is not None
    assert (asked.stage, asked.sentence) == ("gate", "It takes a while.")
    jobs.show(job, b"\x89PNG")
    assert bot(lambda retraining: retraining.plot(job_id)) == b"\x89PNG"


def test_a_worker_is_heard_of(bot: Bot, jobs: Jobs, client: Redis) -> None:
    jobs.live("gpu-1", 1700000000.0, "tiny")
    told = bot(lambda retraining: retraining.worker())
    assert told is not None
    assert (told.host, told.since, told.recipe) == ("gpu-1", 1700000000.0, "tiny")
    assert 0 < client.ttl("retrain:worker") <= 30
    jobs.gone()
    assert bot(lambda retraining: retraining.worker()) is None


def test_a_job_that_is_cancelled_before_it_began_is_passed_over(bot: Bot, jobs: Jobs) -> None:
    job_id = bot.retrain(LINES)
    job = jobs.job(job_id)
    assert job is not None
    bot(lambda retraining: retraining.cancel(job_id))
    assert not jobs.begin(job)
    assert jobs.oldest(QUEUE) is None


def test_who_reports_hears_that_it_is_cancelled(bot: Bot, jobs: Jobs, client: Redis) -> None:
    job_id = bot.retrain(LINES)
    job = jobs.job(job_id)
    assert job is not None
    assert jobs.begin(job)
    with Reporter(jobs, job_id, seconds=0.05) as reporter:
        following = Following(Console(quiet=True), reporter=reporter)
        following.begin("tune")
        for step in range(500):
            following.told(Moment(step, 500))
        bot(lambda retraining: retraining.cancel(job_id))
        deadline = time.monotonic() + 5
        while not following.stops():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(Cancelled, match="was cancelled"):
            following.check()
    told = reports(client, job_id)
    assert (told[-1]["stage"], told[-1]["done"]) == ("tune", "499")
    assert len(told) < 20  # of 500


def test_a_lost_lease_stops_the_work(client: Redis) -> None:
    with Lease(client, "retrain:lease", clock=lambda: clock[0]) as lease:
        clock = [0.0]
        assert lease.take()
        following = Following(Console(quiet=True), lease=lease)
        following.begin("mix")
        clock[0] = 100.0
        assert following.stops()
        with pytest.raises(LeaseLost):
            following.check()


@pytest.mark.parametrize("text", ["", "AAAA", "not base64", "é"])
def test_what_is_no_key_is_said_to_be_none(text: str) -> None:
    with pytest.raises(BadInput, match="the setting is not 32 bytes in base64"):
        read_key(text, "the setting")
