"""Promises about the machine that Dolly runs on: files, keys, ports, and what can be reached."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.preflight import Machine, check_egress, check_machine
from tests.bot.preflight.found import by_promise, verdicts

PROMISES = ("memory key", "retrain key", "secrets", "erasure log", "audit log", "metrics")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One that is well looked after."""
    (tmp_path / ".env").write_text("DOLLY_MEMORY_KEY=…")
    (tmp_path / ".env").chmod(0o600)
    return Machine(
        env_file=tmp_path / ".env",
        data=tmp_path / "data",
        is_encrypted=True,
        has_own_store=False,
        has_own_keys=False,
        has_retrain_key=True,
        erasure_log=tmp_path / "kept" / "erasures.jsonl",
        audit_log=tmp_path / "kept" / "audit.jsonl",
        admin_host="127.0.0.1",
        admin_port=9464,
        http=None,
        proxies=(),
    )


async def test_a_machine_that_is_safe(machine: Machine) -> None:
    assert verdicts(await check_machine(machine)) == dict.fromkeys(PROMISES, "safe")
    bare = replace(machine, env_file=machine.data / ".env", has_retrain_key=False, http=("127.0.0.1", 3000))
    assert verdicts(await check_machine(bare)) == dict.fromkeys((*PROMISES, "events"), "safe")


@pytest.mark.parametrize(
    ("promise", "changed", "verdict", "says"),
    [
        ("memory key", {"is_encrypted": False}, "unsafe", "DOLLY_MEMORY_PLAINTEXT"),
        ("memory key", {"has_own_keys": True}, "cannot tell", "has both"),
        ("erasure log", {"erasure_log": None}, "cannot tell", "a path that all share"),
        ("erasure log", {"erasure_log": None, "has_own_store": True}, "unsafe", "erased texts come back"),
        ("audit log", {"audit_log": None}, "unsafe", "set AUDIT_LOG"),
        ("metrics", {"admin_port": None}, "unsafe", "ADMIN_PORT"),
        ("metrics", {"admin_host": "0.0.0.0"}, "cannot tell", "every network"),
        ("metrics", {"admin_host": "8.8.8.8"}, "unsafe", "to the Internet"),
        ("metrics", {"admin_host": "no-such-host.invalid"}, "cannot tell", "ADMIN_HOST"),
        ("events", {"http": ("0.0.0.0", 3000)}, "cannot tell", "Socket Mode"),
    ],
)
async def test_each_promise_that_is_not_kept(
    machine: Machine, promise: str, changed: dict[str, object], verdict: str, says: str
) -> None:
    finding = by_promise(await check_machine(replace(machine, **changed)))[promise]  # type: ignore[arg-type]
    assert finding.verdict == verdict
    assert says in finding.sentence


async def test_logs_that_a_restore_takes_back(machine: Machine) -> None:
    inside = replace(machine, erasure_log=machine.data / "e.jsonl", audit_log=machine.data / "a.jsonl")
    for has_own_store, verdict in ((True, "unsafe"), (False, "safe")):
        found = verdicts(await check_machine(replace(inside, has_own_store=has_own_store)))
        assert (found["erasure log"], found["audit log"]) == (verdict, verdict)


async def test_secrets_that_everybody_may_read(machine: Machine) -> None:
    machine.data.mkdir()
    for path in (machine.env_file, machine.data / "memory.key"):
        path.write_text("secret")
        path.chmod(0o644)
        finding = by_promise(await check_machine(machine))["secrets"]
        assert finding.verdict == "unsafe"
        assert f"chmod 600 {path}" in finding.sentence
        path.chmod(0o600)


@pytest.fixture
async def listener() -> AsyncIterator[tuple[tuple[str, int], list[bytes]]]:
    """Where somebody listens, and all that was sent there."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.append(await reader.read())
        except ConnectionError:
            heard.append(b"")
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[:2], heard


async def test_a_machine_that_reaches_more_than_slack(listener: tuple[tuple[str, int], list[bytes]]) -> None:
    address, heard = listener
    nobody = ("127.0.0.1", 1)
    (finding,) = await check_egress([], [address, nobody])
    assert finding.verdict == "unsafe"
    assert f"reaches {address[0]}:{address[1]}:" in finding.sentence
    async with asyncio.timeout(5):
        while not heard:
            await asyncio.sleep(0.01)
    assert heard == [b""], "nothing is sent"
    (finding,) = await check_egress([], [nobody, ("no-such-host.invalid", 443)])
    assert finding.verdict == "safe"


async def test_proxies_are_named_and_not_quoted() -> None:
    egress, proxy = await check_egress(["HTTPS_PROXY"], [("127.0.0.1", 1)])
    assert (egress.verdict, proxy.verdict) == ("safe", "cannot tell")
    assert proxy.sentence.startswith("HTTPS_PROXY: ")


@pytest.mark.parametrize(
    ("endpoint", "verdict"),
    [
        ("http://127.0.0.1:4318", "safe"),
        ("http://10.1.2.3:4318", "safe"),
        ("https://8.8.8.8:4318", "unsafe"),
        ("http://no-such-collector.invalid:4318", "cannot tell"),
    ],
)
async def test_traces_go_to_a_collector_of_the_companys_own(machine: Machine, endpoint: str, verdict: str) -> None:
    (told,) = [found for found in await check_machine(replace(machine, traces=endpoint)) if found.promise == "traces"]
    assert told.verdict == verdict
