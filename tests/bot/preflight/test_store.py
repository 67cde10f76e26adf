"""Promises about the store, asked of real servers."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis

from bot.local.store import LocalStore
from bot.preflight import check_store
from bot.preflight.store import judge_transport, judge_version
from bot.store.standing import Standing
from tests.bot.preflight.found import by_promise, verdicts
from tests.bot.store.certificates import running_behind_tls
from tests.bot.store.servers import Server, debians_redis, replica_of, running
from tests.store_users import with_users

PROMISES = (
    *("answers", "persistence", "eviction", "replicas", "transport"),
    *("user", "keys", "commands", "version", "clock"),
)


async def test_the_user_of_deploys_file_is_safe(tmp_path: Path) -> None:
    with with_users(tmp_path) as server:
        findings = await check_store(server.url, production=True)
    assert verdicts(findings) == dict.fromkeys(PROMISES, "safe") | {"version": "cannot tell"}
    assert "Of five harmless commands" in by_promise(findings)["commands"].sentence
    assert "secret" not in str(findings), "a password is told nobody"


async def test_a_user_who_may_do_everything(redis: Redis, local_store: LocalStore) -> None:
    await redis.set("somebody-elses", "1")
    await redis.config_resetstat()
    findings = by_promise(await check_store(local_store.url, production=True))
    assert [promise for promise in PROMISES if findings[promise].verdict == "unsafe"] == ["user", "keys", "commands"]
    assert "FLUSHALL, KEYS, CONFIG SET, ACL SETUSER" in findings["commands"].sentence
    ran = await redis.info("commandstats")
    assert {"cmdstat_flushall", "cmdstat_keys", "cmdstat_config|set", "cmdstat_shutdown"}.isdisjoint(ran)
    assert await redis.get("somebody-elses") == "1"


@pytest.mark.parametrize(
    ("rights", "keys", "commands", "says"),
    [
        (["+@all", "-@admin", "-@dangerous"], "*", "unsafe", "DBSIZE"),
        (["+@read", "+acl|whoami", "+acl|dryrun", "-keys", "+config|get", "+info"], "dolly:*", "safe", "not sent"),
        (["+@all"], "dolly:*", "unsafe", "MONITOR"),
    ],
)
async def test_rights_beyond_deploys_file(
    redis: Redis, local_store: LocalStore, rights: list[str], keys: str, commands: str, says: str
) -> None:
    more = [*rights, "+ping", "+client|setname", "+time", "+info"]
    await redis.acl_setuser("narrow", enabled=True, passwords=["+secret"], keys=[keys], commands=more)
    url = local_store.url.replace("//", "//narrow:secret@")
    try:
        findings = by_promise(await check_store(url, production=True))
    finally:
        await redis.acl_deluser("narrow")
    assert findings["user"].verdict == "safe"
    assert findings["keys"].verdict == ("unsafe" if keys == "*" else "safe")
    assert findings["commands"].verdict == commands
    assert says in findings["commands"].sentence


async def test_what_a_server_keeps_to_itself_an_operator_can_see(tmp_path: Path) -> None:
    with with_users(tmp_path, without="+config|get ") as server:
        findings = await check_store(server.url, production=True)
    told = {finding.sentence for finding in findings if finding.verdict == "cannot tell"}
    for name in ("appendonly", "appendfsync", "maxmemory-policy"):
        assert any(f"`redis-cli CONFIG GET {name}`" in sentence for sentence in told)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """A primary, and a replica of it."""
    folder = tmp_path_factory.mktemp("pair")
    with ExitStack() as stack:
        primary = stack.enter_context(running(debians_redis(), folder / "primary"))
        yield primary, stack.enter_context(replica_of(primary, debians_redis(), folder / "replica"))


@pytest.mark.parametrize(
    ("wait", "minimum", "verdict", "says"),
    [
        (0, 1, "unsafe", "Set REDIS_WAIT_REPLICAS=1"),
        (1, 0, "unsafe", "set min-replicas-to-write 1"),
        (1, 1, "safe", "1 of 1 confirm"),
        (2, 1, "wrong", "a primary has 1"),
    ],
)
async def test_replicas(pair: tuple[Server, Server], wait: int, minimum: int, verdict: str, says: str) -> None:
    primary, _ = pair
    primary.ask("CONFIG", "SET", "min-replicas-to-write", minimum)
    finding = by_promise(await check_store(primary.url, wait_replicas=wait, production=True))["replicas"]
    assert finding.verdict == verdict
    assert says in finding.sentence


async def test_replicas_that_are_not_told_of_or_are_no_primary(pair: tuple[Server, Server]) -> None:
    primary, replica = pair
    finding = by_promise(await check_store(replica.url, production=True))["replicas"]
    assert (finding.verdict, "name the primary" in finding.sentence) == ("wrong", True)
    primary.ask("ACL", "SETUSER", "mute", "on", ">secret", "+@all", "-info", "-config", "~*")
    url = primary.url.replace("//", "//mute:secret@")
    assert verdicts(await check_store(url, production=True))["replicas"] == "cannot tell"


async def test_tls_and_whose_certificate(tmp_path: Path) -> None:
    with running_behind_tls(tmp_path) as server:
        assert verdicts(await check_store(server.url, production=True))["transport"] == "safe"
        careless = server.url.partition("?")[0] + "?ssl_cert_reqs=none"
        finding = by_promise(await check_store(careless, production=True))["transport"]
    assert finding.verdict == "unsafe"
    assert "ssl_ca_certs" in finding.sentence


@pytest.mark.parametrize(
    ("url", "verdict"),
    [
        ("unix:///run/redis.sock", "safe"),
        ("redis://localhost", "safe"),
        ("rediss://u:p@redis.example:6380?ssl_ca_certs=/ca.crt", "safe"),
        ("rediss://redis.example?ssl_check_hostname=False", "unsafe"),
        ("redis://8.8.8.8:6379", "unsafe"),
        ("redis://10.1.2.3:6379", "cannot tell"),
        ("redis://[fd00::1]:6379", "cannot tell"),
        ("redis://a.name.that.nobody.resolves", "cannot tell"),
    ],
)
async def test_who_can_read_along(url: str, verdict: str) -> None:
    assert (await judge_transport(url)).verdict == verdict


@pytest.mark.parametrize(
    ("software", "version", "verdict"),
    [
        ("Redis", "7.2.10", "unsafe"),
        ("Redis", "7.2.11", "safe"),
        ("Redis", "8.6.3", "safe"),
        ("Redis", "7.0.15", "cannot tell"),
        ("Valkey", "8.1.3", "unsafe"),
        ("Valkey", "9.1.2", "safe"),
        ("Redis", "", "cannot tell"),
    ],
)
def test_a_release_with_a_known_hole(software: str, version: str, verdict: str) -> None:
    standing = Standing(software, version, "master", 0, 0, 0.0)
    newest = Standing("Valkey", "9.1.2", "master", 0, 0, 0.0)
    assert judge_version([newest, standing]).verdict == verdict


async def test_a_clock_that_is_off(redis: Redis, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.standing.time", SimpleNamespace(time=lambda: time.time() - 90))
    finding = by_promise(await check_store(local_store.url, production=True))["clock"]
    assert finding.verdict == "unsafe"
    assert "90 s behind The store's" not in finding.sentence
    assert "90 s behind the store's" in finding.sentence


async def test_a_store_that_is_away() -> None:
    assert verdicts(await check_store("redis://127.0.0.1:1/0", production=True)) == {"answers": "wrong"}
