"""A lease is one holder's while it is renewed, and nobody's soon after."""

import time
from collections.abc import Iterator

import pytest
from redis import Redis

from bot.local.store import LocalStore
from trainer.connection import connect
from trainer.lease import Lease


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def client(local_store: LocalStore) -> Iterator[Redis]:
    with connect(local_store.url) as client:
        client.flushall()
        yield client


def test_one_holds_it_at_a_time(client: Redis) -> None:
    one, other = Lease(client, "retrain:lease"), Lease(client, "retrain:lease")
    assert one.take()
    assert not other.take()
    one.give_back()
    with other:
        assert other.take()
        assert not one.take()
    assert client.get("retrain:lease") is None


def test_it_lasts_while_it_is_renewed(client: Redis) -> None:
    with Lease(client, "retrain:lease", seconds=0.4) as lease:
        assert lease.take()
        time.sleep(1.0)
        assert not lease.is_lost
        assert not Lease(client, "retrain:lease").take()


def test_a_holder_that_is_killed_keeps_nobody_waiting_for_long(client: Redis) -> None:
    client.set("retrain:lease", "of one who was killed", px=300)
    lease = Lease(client, "retrain:lease")
    assert not lease.take()
    time.sleep(0.4)
    with lease:
        assert lease.take()


def test_who_lost_it_knows_and_takes_it_from_nobody(client: Redis) -> None:
    with Lease(client, "retrain:lease", seconds=0.4) as lease:
        assert lease.take()
        client.set("retrain:lease", "another's")
        deadline = time.monotonic() + 5
        while not lease.is_lost:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert client.get("retrain:lease") == "another's"


def test_without_the_store_it_is_lost_when_its_time_is_over(client: Redis) -> None:
    clock = Clock()
    with Lease(client, "retrain:lease", seconds=60.0, clock=clock) as lease:
        assert lease.take()
        clock.now = 59.0
        assert not lease.is_lost
        clock.now = 61.0
        assert lease.is_lost
