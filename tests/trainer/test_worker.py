"""A worker does what the bot's side asks for, one retrain at a time, and loses none of it when it is ended."""

import base64
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from redis import Redis
from rich.console import Console

from bot.local.store import LocalStore
from bot.store.retraining import Job, Request
from tests.trainer import tiny_loop
from tests.trainer.asking_bot import KEY, Bot, reports
from tests.trainer.team_feedback import correction_line
from trainer.asked import retrain_file, retrain_job
from trainer.connection import connect
from trainer.errors import BadInput, StoreAway
from trainer.jobs import QUEUE, record_id
from trainer.lease import Lease
from trainer.options import Options
from trainer.worker import Worker

QUIET = Console(quiet=True)


@pytest.fixture
def client(local_store: LocalStore) -> Iterator[Redis]:
    with connect(local_store.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def bot(client: Redis, local_store: LocalStore) -> Bot:
    return Bot(local_store.url)


@pytest.fixture
def options(made_loop: Path, tmp_path: Path, local_store: LocalStore) -> Options:
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "retrain.key").write_bytes(base64.b64encode(KEY) + b"\n")
    return tiny_loop.options(tmp_path / "loop", made_loop, redis_url=local_store.url)


def feedback() -> dict[str, str]:
    """Sealed for a job: lines by their names."""
    lines = {}
    for number, (question, correction, neighbours) in enumerate(tiny_loop.FACTS):
        name = f"T1/C1/17.0/17.{number}/U1/U2"
        lines[name] = json.dumps(correction_line(question, correction, neighbours, id=record_id(name)))
    return lines


def job(bot: Bot, job_id: str) -> Job:
    told = bot(lambda retraining: retraining.job(job_id))
    assert told is not None
    return told


def work(options: Options) -> None:
    Worker(options, once=True, console=QUIET).run()


def work_here(options: Options) -> None:
    """The retrains that wait, in this process: torch is there already."""
    jobs = options.jobs()
    while waiting := jobs.oldest(QUEUE):
        assert retrain_job(options, waiting.id, console=QUIET) == 0


def work_alone(options: Options) -> None:
    """Runs in a process of its own."""
    torch.set_num_threads(1)
    with (options.data / "log").open("a") as log:
        os.dup2(log.fileno(), 2)
        Worker(options, once=False, console=Console(file=log)).run()


def started(options: Options) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=work_alone, args=(options,))
    process.start()
    return process


def until(seen: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def stages(client: Redis, job_id: str) -> list[str]:
    return [told["stage"] for told in reports(client, job_id)]


@pytest.mark.timeout(240)
def test_a_job_becomes_a_candidate_and_the_admin_is_told(bot: Bot, options: Options, client: Redis) -> None:
    lines = feedback()
    job_id = bot.retrain(lines)
    work(options)
    told = job(bot, job_id)
    (revision,) = options.registry.revisions()
    assert (told.state, told.verdict, told.result) == ("done", "passed", revision)
    assert told.sentence == f"Revision {revision}: The smoke gate is passed."
    seen = list(dict.fromkeys(stages(client, job_id)))
    assert set(seen) <= {"export_feedback", "import_base", "mix", "tune", "export", "gate", "register", ""}
    assert {"mix", "tune", "gate"} <= set(seen)
    picture = bot(lambda retraining: retraining.plot(job_id))
    assert picture is not None
    assert picture.startswith(b"\x89PNG")
    manifest = options.registry.manifest(revision)["registry"]
    assert (manifest["job"], manifest["by"]) == (job_id, "U9")
    assert manifest["dataset"]["feedback"] == sorted(map(record_id, lines))
    assert not client.exists(f"retrain:export:{job_id}", "retrain:worker", "retrain:lease", "retrain:queue")
    assert {path.name for path in (options.work_folder / job_id).iterdir()} == {"state.json", "plot.png"}


@pytest.mark.timeout(240)
def test_what_is_taken_out_of_the_export_is_not_learned(bot: Bot, options: Options) -> None:
    kept, gone = feedback()
    job_id = bot.retrain(feedback())
    bot(lambda retraining: retraining.exported.take_out(lambda name: name == gone))
    work_here(options)
    manifest = options.registry.manifest(job(bot, job_id).result)["registry"]
    assert manifest["dataset"]["feedback"] == [record_id(kept)]


@pytest.mark.slow_trainer
@pytest.mark.timeout(400)
def test_a_worker_that_is_killed_or_ended_is_followed_by_one_that_goes_on(
    bot: Bot, options: Options, client: Redis
) -> None:
    job_id = bot.retrain(feedback())
    first = started(options)
    until(lambda: "tune" in stages(client, job_id))
    first.kill()
    first.join()
    until(lambda: job(bot, job_id).state == "queued")  # its retrain ends with it, and puts the job back
    assert client.llen("retrain:queue") == 1

    second = started(options)
    until(lambda: job(bot, job_id).state == "running")
    os.kill(second.pid or 0, signal.SIGTERM)
    second.join(90)
    assert second.exitcode == 0
    assert not client.exists("retrain:worker", "retrain:lease")
    if job(bot, job_id).state != "done":  # it may have been that far
        assert "goes on where it was" in job(bot, job_id).sentence

    work(options)
    assert job(bot, job_id).state == "done"
    alone = tiny_loop.options(options.data.parent / "whole", Path(options.base or "").parent)
    lines = options.data.parent / "feedback.jsonl"
    lines.write_text("".join(line + "\n" for line in feedback().values()))
    whole, _ = retrain_file(alone, lines, yes=False, console=QUIET)
    assert job(bot, job_id).result.partition("-")[2] == whole.revision.partition("-")[2]


@pytest.mark.timeout(240)
def test_a_retrain_is_cancelled_while_it_runs(bot: Bot, options: Options, client: Redis) -> None:
    job_id = bot.retrain(feedback())

    def cancel() -> None:
        until(lambda: "tune" in stages(client, job_id))
        bot(lambda retraining: retraining.cancel(job_id))

    cancelling = threading.Thread(target=cancel)
    cancelling.start()
    work_here(replace(options, overrides=("tune.epochs=4000", "tune.learning_rate=1e-6")))
    cancelling.join()
    assert (job(bot, job_id).state, job(bot, job_id).sentence) == (
        "cancelled",
        "The retrain was cancelled; nothing in service has changed.",
    )
    assert {path.name for path in (options.work_folder / job_id).iterdir()} == {"state.json"}
    assert options.registry.revisions() == []
    assert not client.exists(f"retrain:export:{job_id}", "retrain:queue")


def test_what_cannot_be_done_is_said(bot: Bot, options: Options, tmp_path: Path) -> None:
    nothing = {
        name: json.dumps(json.loads(line) | {"review": {"state": "waiting"}}) for name, line in feedback().items()
    }
    unreviewed, unknown, other = (
        bot.retrain(nothing),
        bot.retrain(feedback(), "no-such-recipe"),
        bot.retrain(feedback()),
    )
    work_here(options)
    assert (job(bot, unreviewed).state, job(bot, other).state) == ("failed", "done")
    assert "corrections wait for a review" in job(bot, unreviewed).sentence
    assert "There is no recipe no-such-recipe" in job(bot, unknown).sentence
    assert {path.name for path in (options.work_folder / unreviewed).iterdir()} == {"state.json"}

    sealed_otherwise = bot.retrain(feedback())
    work_here(replace(options, retrain_key=base64.b64encode(b"s" * 32).decode()))
    assert "sealed it with another key" in job(bot, sealed_otherwise).sentence
    without_key = bot.retrain(feedback())
    work_here(replace(options, retrain_key_file=tmp_path / "nowhere.key"))
    assert "nowhere.key" in job(bot, without_key).sentence


@pytest.mark.timeout(240)
def test_a_yes_makes_a_revision_promotable(bot: Bot, options: Options) -> None:
    revision = job(bot, _done(bot, options)).result
    asked = Request("retrain", "U9", revision=revision, yes=True)
    job_id = bot(lambda retraining: retraining.ask(asked))
    work(options)
    assert (job(bot, job_id).state, job(bot, job_id).verdict, job(bot, job_id).result) == ("done", "passed", revision)
    assert options.registry.is_allowed(revision)


def test_promotions_and_rollbacks_say_what_stands_in_their_way(bot: Bot, options: Options) -> None:
    promotion = bot(lambda retraining: retraining.ask(Request("promote", "U9", revision="0001-00000000")))
    back = bot(lambda retraining: retraining.ask(Request("rollback", "U9")))
    work(options)
    assert job(bot, promotion).state == job(bot, back).state == "failed"
    assert job(bot, promotion).sentence
    assert job(bot, back).sentence


def test_one_retrain_at_a_time(options: Options, client: Redis, tmp_path: Path) -> None:
    with Lease(client, "retrain:lease") as lease:
        assert lease.take()
        with pytest.raises(BadInput, match="Another retrain runs"):
            retrain_file(options, tiny_loop.feedback(tmp_path / "feedback.jsonl"), yes=False, console=QUIET)


def test_a_worker_without_a_store_says_so(options: Options, tmp_path: Path) -> None:
    with pytest.raises(StoreAway, match="No store answers"):
        work(replace(options, redis_url=f"unix://{tmp_path}/nowhere.sock"))


def _done(bot: Bot, options: Options) -> str:
    job_id = bot.retrain(feedback())
    work_here(options)
    return job_id
