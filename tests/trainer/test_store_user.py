"""The trainer needs every right that deploy's file gives its user, and no other; it sees nothing of Dolly's own."""

import asyncio
import re
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from bot.store.connection import connect as connect_bot
from bot.store.retraining import Request, Retraining
from tests.bot.store.servers import Server, debians_redis, running
from tests.store_users import OF_CLUSTERS, as_trainer, rights, with_users
from trainer.connection import connect
from trainer.jobs import ACTS, LEASE, QUEUE, Jobs
from trainer.lease import Lease
from trainer.progress import Moment
from trainer.serving import Candidate, Served, Serving

KEY = bytes(range(1, 33))
MODEL = Served("0001-3fa9c2d1", path="/models/0001.gguf")


async def ask(url: str) -> tuple[str, str]:
    """The bot's part: a retrain with what it learns from, and a rollback."""
    client = connect_bot(url)
    try:
        retraining = Retraining(client, "T1/B1", KEY)
        job_id = await retraining.prepare(Request("retrain", "U1"), {"T1/a": "one line", "T1/b": "another"})
        await retraining.queue(job_id)
        await client.set("dolly:{T1/B1}:channel:C1", "sealed")
        return job_id, await retraining.ask(Request("rollback", "U1"))
    finally:
        await client.aclose()


async def heard(url: str, job_id: str) -> tuple[str, str, bytes | None]:
    """What the bot then knows: the job's state, what was told of it last, its picture."""
    client = connect_bot(url)
    try:
        retraining = Retraining(client, "T1/B1", KEY)
        job, told = await retraining.job(job_id), await retraining.latest(job_id)
        assert job is not None
        assert told is not None
        return job.state, told.sentence, await retraining.plot(job_id)
    finally:
        await client.aclose()


def work(client: Redis, retrain_id: str, act_id: str) -> None:
    """All that a trainer does with the store."""
    jobs, serving = Jobs(client, lambda: KEY), Serving(client)
    jobs.live("box", 1.0, "loop")
    with Lease(client, LEASE) as lease:
        assert lease.take()
        lease._renew()
        assert not lease.is_lost
        assert jobs.is_leased()
        job = jobs.oldest(QUEUE)
        assert job is not None
        assert (job.id, jobs.begin(job)) == (retrain_id, True)
        assert jobs.export(job) == ["one line", "another"]
        assert jobs.withdrawn(["none"], job) == {"none"}
        jobs.report(job.id, "tune", Moment(done=1, total=2, loss=1.5, seconds_left=9.0), "Tuning.")
        assert not jobs.is_cancelled(job.id)
        jobs.put_back(job, "The box is restarted.")
        jobs.show(job, b"\x89PNG")
        jobs.end(job, "done", "There is a new model.", revision=MODEL.revision, verdict="passed")
    act = jobs.oldest(ACTS)
    assert act is not None
    assert act.id == act_id
    candidate = Candidate("1", "promote", MODEL)
    assert serving.lease_seconds_left() < 0
    serving.want(candidate)
    serving.end(candidate, "promoted")
    serving.set_previous(serving.current())
    serving.set_current(MODEL)
    serving.set_canary(MODEL, ("C1",))
    serving.drop_canary()
    assert (serving.owner(), serving.withdrawn(), serving.in_use()) == (None, set(), {MODEL.revision})
    jobs.end(act, "done", "The model of before answers again.")
    jobs.gone()


def live(server: Server, url: str) -> None:
    retrain_id, act_id = asyncio.run(ask(server.url))
    with connect(url) as client:
        work(client, retrain_id, act_id)
    assert asyncio.run(heard(server.url, retrain_id)) == ("done", "There is a new model.", b"\x89PNG")


def test_with_no_more_rights_than_deploys_file_gives(tmp_path: Path) -> None:
    with with_users(tmp_path) as server:
        live(server, as_trainer(server))
        with connect(as_trainer(server)) as client:
            for beyond in ("GET dolly:{T1/B1}:channel:C1", "SCAN 0", "KEYS *", "FLUSHALL", "CONFIG GET save", "INFO"):
                with pytest.raises(NoPermissionError):
                    client.execute_command(*beyond.split())


def test_it_needs_every_one_of_them(tmp_path: Path) -> None:
    with running(debians_redis(), tmp_path / "redis") as server:
        retrain_id, act_id = asyncio.run(ask(server.url))
        server.ask("CONFIG", "RESETSTAT")
        with connect(server.url) as client:
            work(client, retrain_id, act_id)
        ran = set(re.findall("cmdstat_([a-z|]+):", server.ask("INFO", "commandstats")))
    assert rights("dolly-trainer") == ran - {"config|resetstat"} | OF_CLUSTERS
