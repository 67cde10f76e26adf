"""The store is Valkey on one machine; it may as well be Redis, behind TLS, with a user of few rights."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.errors import StoreUnavailable
from bot.store.connection import connect
from bot.store.inspection import inspect
from bot.store.layout import Layout, agree
from tests.bot.store.certificates import TLS, Authority, running_behind_tls
from tests.bot.store.life import OWNER, SEALING, live
from tests.bot.store.servers import HOST, Server, debians_redis, running
from tests.store_users import with_users


async def test_on_valkey(redis: Redis) -> None:
    await live(redis, Layout(OWNER))


@pytest.mark.parametrize("partitions", [1, 3])
async def test_on_debians_redis(tmp_path: Path, partitions: int) -> None:
    with running(debians_redis(), tmp_path / "redis") as server:
        async with connect(server.url) as client:
            report = await inspect(client)
            assert report.safe
            await live(client, Layout(OWNER, partitions))


@pytest.fixture
def behind_tls(tmp_path: Path) -> Iterator[Server]:
    with running_behind_tls(tmp_path) as server:
        yield server


async def test_behind_tls(behind_tls: Server) -> None:
    async with connect(behind_tls.url) as client:
        await live(client, Layout(OWNER))


async def test_a_server_that_somebody_else_certified_is_not_trusted(behind_tls: Server, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other").ca
    async with connect((TLS + str(other)).format(host=HOST, port=behind_tls.port)) as client:
        with pytest.raises(StoreUnavailable, match="certificate is not trusted"):
            await agree(client, Layout(OWNER), SEALING)


async def test_nor_is_one_that_was_certified_for_another_host(behind_tls: Server) -> None:
    async with connect(behind_tls.url.replace(HOST, "localhost", 1)) as client:
        with pytest.raises(StoreUnavailable, match="certificate is not trusted"):
            await agree(client, Layout(OWNER), SEALING)


async def test_whoever_speaks_plainly_to_a_server_behind_tls_gets_no_answer(behind_tls: Server) -> None:
    async with connect(f"redis://dolly:PLANTED@{HOST}:{behind_tls.port}") as client:
        with pytest.raises(StoreUnavailable, match="does not answer") as refused:
            await agree(client, Layout(OWNER), SEALING)
        assert "PLANTED" not in str(refused.value)


async def test_with_no_more_rights_than_deploys_file_gives(tmp_path: Path) -> None:
    with with_users(tmp_path) as server:
        async with connect(server.url) as client:
            report = await inspect(client)
            assert report.safe
            await live(client, Layout(OWNER))
            for beyond in (("GET", "others"), ("FLUSHALL",), ("CONFIG", "SET", "appendonly", "no"), ("KEYS", "*")):
                with pytest.raises(Exception, match="permissions"):
                    await client.execute_command(*beyond)


async def test_a_right_that_is_missing_is_said_plainly(tmp_path: Path) -> None:
    with with_users(tmp_path, without="+hsetnx ") as server:
        async with connect(server.url) as client:
            with pytest.raises(StoreUnavailable, match=r"store-users\.acl"):
                await agree(client, Layout(OWNER), SEALING)


async def test_a_replica_and_a_full_store_are_said_plainly(tmp_path: Path) -> None:
    with running(debians_redis(), tmp_path / "redis") as server:
        async with connect(server.url) as client:
            server.ask("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(StoreUnavailable, match="memory is full"):
                await agree(client, Layout(OWNER), SEALING)
            server.ask("CONFIG", "SET", "maxmemory", "0")
            server.ask("REPLICAOF", HOST, "1")
            with pytest.raises(StoreUnavailable, match="name the primary"):
                await agree(client, Layout(OWNER), SEALING)
