"""The admin port as Prometheus and a supervisor use it: over HTTP, with a real store that can go away."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from bot.admin import Health, admin_server
from bot.conversation import ConversationId, Turn
from bot.engines import InService
from bot.errors import LocalPartError, StoreUnavailable
from bot.store.claims import QueueReport
from bot.store.connection import connect
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.retraining import Retraining, TrainerReport
from bot.store.sealing import Sealing

Report = Callable[[], Awaitable[QueueReport]]


@dataclass
class Admin:
    """The port as its readers see it."""

    url: str
    http: aiohttp.ClientSession
    health: Health

    async def get(self, path: str) -> tuple[int, str]:
        async with self.http.get(self.url + path) as answer:
            return answer.status, await answer.text()

    async def ready(self) -> tuple[int, Any]:
        async with self.http.get(self.url + "/readyz") as answer:
            return answer.status, await answer.json()

    async def gauges(self) -> dict[str, float]:
        """Each series without labels, as Prometheus' own parser reads it."""
        _, text = await self.get("/metrics")
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {sample.name: sample.value for sample in samples if not sample.labels}


async def empty_queue() -> QueueReport:
    return QueueReport(0, 0, 0, 0.0)


@asynccontextmanager
async def serving(queue_report: Report = empty_queue, store_seconds: float = 2) -> AsyncIterator[Admin]:
    """The port of a Dolly that hears and answers."""
    workers = asyncio.create_task(asyncio.Event().wait(), name="workers")
    health = Health(lambda: True, workers, queue_report)  # type: ignore[arg-type]
    async with (
        admin_server("127.0.0.1", 0, health, store_seconds=store_seconds) as port,
        aiohttp.ClientSession() as http,
    ):
        yield Admin(f"http://127.0.0.1:{port}", http, health)
    workers.cancel()


def mailbox(redis: Any) -> Mailbox:
    return Mailbox(redis, Layout("T1/B1"), Sealing(()))


def turn(ts: str) -> Turn:
    return Turn(ConversationId("T1", "C1", ts), ts=ts, user_id="U1", text="hi")


async def test_it_is_alive_and_ready() -> None:
    async with serving() as admin:
        assert await admin.get("/healthz") == (200, "ok")
        assert await admin.ready() == (200, {"ready": True, "reasons": []})


async def test_what_keeps_it_from_answering_is_said() -> None:
    async with serving() as admin:
        admin.health.hears = lambda: False
        status, body = await admin.ready()
        assert (status, body["ready"]) == (503, False)
        assert "hear Slack" in body["reasons"][0]
        assert admin.health.workers is not None
        admin.health.workers.cancel()
        assert len((await admin.ready())[1]["reasons"]) == 2
        admin.health.hears = lambda: True
        status, body = await admin.ready()
        assert status == 503
        assert "stopping" in body["reasons"][0]


async def test_whether_it_hears_slack_who_answers_and_who_trains_is_counted(redis: Redis) -> None:
    async def in_service() -> InService:
        return InService("team/dolly@abc")

    async def away() -> TrainerReport:
        raise StoreUnavailable("It is away.")

    async with serving() as admin:
        admin.health.in_service, admin.health.trainer_report = in_service, Retraining(redis, "T1/B1", None).report
        told = await admin.gauges()
        assert (told["dolly_slack_up"], told["dolly_trainer_up"], told["dolly_retrains_waiting"]) == (1, 0, 0)
        assert 'dolly_model_in_service_info{model="team/dolly@abc"} 1.0' in (await admin.get("/metrics"))[1]

        await redis.set("retrain:worker", '{"host": "gpu", "since": 1.0}')
        await redis.hset("retrain:job:1", mapping={"kind": "retrain", "state": "queued"})
        await redis.lpush("retrain:queue", "1")
        admin.health.hears = lambda: False
        told = await admin.gauges()
        assert (told["dolly_slack_up"], told["dolly_trainer_up"], told["dolly_retrains_waiting"]) == (0, 1, 1)

        admin.health.trainer_report = away
        assert (await admin.gauges())["dolly_trainer_up"] == 1, "what was known stays"


async def test_workers_that_ended_by_a_mistake_are_noticed() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    async with serving() as admin:
        assert (await admin.ready())[0] == 200
        admin.health.workers = asyncio.create_task(broken())
        await asyncio.wait({admin.health.workers})
        status, body = await admin.ready()
        assert status == 503
        assert "workers have stopped" in body["reasons"][0]
        admin.health.workers.exception()


async def test_while_it_starts_it_is_alive_and_not_ready() -> None:
    async with admin_server("127.0.0.1", 0, Health()) as port, aiohttp.ClientSession() as http:
        admin = Admin(f"http://127.0.0.1:{port}", http, Health())
        assert await admin.get("/healthz") == (200, "ok")
        status, body = await admin.ready()
        assert status == 503
        assert "starting" in body["reasons"][0]
        assert (await admin.gauges())["dolly_store_up"] == 0


async def test_the_queue_is_what_the_store_holds_now(redis: Redis) -> None:
    box = mailbox(redis)
    async with serving(box.report) as admin:
        assert (await admin.gauges())["dolly_oldest_unanswered_seconds"] == 0
        for ts in ("100.000100", "200.000100", "300.000100"):
            await box.enqueue(turn(ts))
        claim = await box.claim()
        assert claim is not None
        await asyncio.sleep(0.05)
        gauges = await admin.gauges()
        assert (gauges["dolly_turns_waiting"], gauges["dolly_turns_leased"], gauges["dolly_turns_dead"]) == (3, 1, 0)
        assert 0.05 <= gauges["dolly_oldest_unanswered_seconds"] < 5
        assert gauges["dolly_store_up"] == 1
        await box.commit(claim, None, buried="apology")
        gauges = await admin.gauges()
        assert (gauges["dolly_turns_waiting"], gauges["dolly_turns_leased"], gauges["dolly_turns_dead"]) == (2, 0, 1)


async def test_a_store_that_is_gone_is_said_and_no_old_number_stays(redis: Redis) -> None:
    await mailbox(redis).enqueue(turn("100.000100"))
    nowhere = connect("redis://127.0.0.1:1/0")
    async with serving(mailbox(redis).report) as admin:
        assert (await admin.gauges())["dolly_turns_waiting"] == 1
    async with serving(mailbox(nowhere).report) as admin:
        gauges = await admin.gauges()
        assert gauges["dolly_store_up"] == 0
        for name in (
            "dolly_oldest_unanswered_seconds",
            "dolly_turns_waiting",
            "dolly_turns_leased",
            "dolly_turns_dead",
        ):
            assert gauges[name] != gauges[name], f"{name} is not a number"
        status, body = await admin.ready()
        assert status == 503
        assert "store" in body["reasons"][0]
        assert (await admin.get("/healthz"))[0] == 200, "a restart of Dolly would not help"
    await nowhere.aclose()


async def test_a_store_that_hangs_holds_nobody_up() -> None:
    async def never() -> QueueReport:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(never, store_seconds=0.05) as admin:
        began = time.monotonic()
        assert (await admin.gauges())["dolly_store_up"] == 0
        assert (await admin.ready())[0] == 503
        assert time.monotonic() - began < 2


async def test_prometheus_gets_its_format_and_the_process_itself() -> None:
    async with serving() as admin, admin.http.get(admin.url + "/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.text()
    assert "process_resident_memory_bytes" in text
    assert 'dolly_ack_seconds_bucket{le="3.0"}' in text, "Slack's limit is one of the borders"


async def test_a_taken_port_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LocalPartError, match="ADMIN_PORT"):
            async with admin_server("127.0.0.1", taken.getsockname()[1], Health()):
                pass


async def test_a_part_of_the_store_that_is_away_is_said_and_the_rest_is_shown() -> None:
    async def two_away() -> QueueReport:
        return QueueReport(waiting=3, leased=1, dead=0, oldest_seconds=7.5, partitions_away=2)

    async with serving(two_away) as admin:
        assert await admin.ready() == (200, {"ready": True, "reasons": []}), "it answers what lies on the others"
        gauges = await admin.gauges()
        assert (gauges["dolly_store_up"], gauges["dolly_store_partitions_away"]) == (0, 2)
        assert (gauges["dolly_turns_waiting"], gauges["dolly_oldest_unanswered_seconds"]) == (3, 7.5)
