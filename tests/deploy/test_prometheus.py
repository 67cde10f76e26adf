"""A real Prometheus watches a real Dolly: it scrapes it, understands the dashboard, and cries when the engine stops."""

import asyncio
import json
import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from bot.access import AdminPort
from bot.local.store import LocalStore
from tests.deploy.observed import ALERTS, names, questions
from tests.scenarios.conftest import running_team
from tests.scripted_engine import Script, ScriptedEngine

FAST = "500ms"


class Prometheus:
    """The server, asked by its own API."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def ask(self, path: str, **parameters: str) -> Any:
        async with self._http.get(f"{self._url}/api/v1/{path}", params=parameters) as answer:
            told = await answer.json()
        assert told["status"] == "success", (parameters, told)
        return told["data"]

    async def series(self, expr: str) -> list[Any]:
        found: list[Any] = (await self.ask("query", query=expr))["result"]
        return found

    async def firing(self) -> set[str]:
        told = (await self.ask("alerts"))["alerts"]
        return {alert["labels"]["alertname"] for alert in told if alert["state"] == "firing"}

    async def until(self, holds: Callable[[set[str]], bool], seconds: float = 15) -> set[str]:
        async with asyncio.timeout(seconds):
            while not holds(firing := await self.firing()):
                await asyncio.sleep(0.1)
        return firing


@asynccontextmanager
async def watching(port: int, folder: Path) -> AsyncIterator[Prometheus]:
    """Prometheus with Dolly's rules, in a hurry: it scrapes twice a second, and waits with no alert."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs prometheus (apt-get install prometheus)")
    rules = re.sub(r"^( +)for: .*$", r"\1for: 0s", ALERTS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (folder / "alerts.yaml").write_text(rules, encoding="utf-8")
    target = {"job_name": "dolly", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    settings = {
        "global": {"scrape_interval": FAST, "scrape_timeout": FAST, "evaluation_interval": FAST},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [target],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address=127.0.0.1:{own}",
            "--log.level=error",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as http:
            prometheus = Prometheus(f"http://127.0.0.1:{own}", http)
            async with asyncio.timeout(20):
                while True:
                    try:
                        if await prometheus.series("dolly_build_info"):
                            break
                    except (aiohttp.ClientError, json.JSONDecodeError, AssertionError):
                        assert process.returncode is None, (folder / "prometheus.log").read_text()
                    await asyncio.sleep(0.1)
            yield prometheus
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def test_it_scrapes_dolly_reads_the_dashboard_and_cries_when_the_engine_stops(
    redis: object, local_store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.turns.RETRY_SECONDS", 0.1)
    monkeypatch.setattr("bot.turns.LONGEST_RETRY_SECONDS", 0.2)
    async with (
        ScriptedEngine(Script(text="Below the printer.")) as engine,
        running_team(local_store.url, engine.url, admin=AdminPort()) as team,
    ):
        assert team.service.admin_port is not None
        async with watching(team.service.admin_port, tmp_path) as prometheus:
            await team.answered(await team.say("asha", "@dolly where are the badges?"))
            for expr in questions():
                await prometheus.series(expr)  # which fails where it means nothing to Prometheus
            asked = {name for expr in questions() for name in names(expr) if name.startswith("dolly_")}
            silent = [name for name in asked if not await prometheus.series(name)]
            assert len(silent) < 15, f"only figures that are told by a kind, which has not been yet: {sorted(silent)}"
            (built,) = await prometheus.series("dolly_build_info")
            assert built["metric"]["version"]
            async with asyncio.timeout(10):  # until a scrape that is younger than the first answer
                while not await prometheus.series('dolly_model_in_service_info{model="team/dolly"}'):
                    await asyncio.sleep(0.1)
            wrong = {"DollyEngineFails", "DollyNotScraped", "DollyHearsNobody", "DollyStoreAway", "DollyQuestionsWait"}
            assert wrong.isdisjoint(await prometheus.firing())

            await engine.stop()
            await team.say("ben", "@dolly and who has the keys?")
            firing = await prometheus.until(lambda firing: "DollyEngineFails" in firing)
            assert "DollyNotScraped" not in firing
            assert (await prometheus.series("max(dolly_turns_waiting)"))[0]["value"][1] == "1"
