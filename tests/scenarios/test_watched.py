"""Dolly as whoever runs it sees it: ready or not, what is counted, and who is refused."""

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.access import AdminPort, Bounds
from tests.scenarios.conftest import Team, Transport, running_team, until
from tests.scenarios.faults import Faults
from tests.scripted_engine import Script, ScriptedEngine


async def told(team: Team, path: str) -> tuple[int, str]:
    address = f"http://127.0.0.1:{team.service.admin_port}{path}"
    async with aiohttp.ClientSession() as http, http.get(address) as answer:
        return answer.status, await answer.text()


async def series(team: Team) -> dict[str, float]:
    """Every series on the admin port, by its name and labels."""
    _, text = await told(team, "/metrics")
    return {name: float(value) for name, value in re.findall(r"^(dolly_\S+) (\S+)$", text, re.MULTILINE)}


async def test_a_dolly_that_answers_is_ready_and_counts(store_url: str, transport: Transport) -> None:
    async with (
        ScriptedEngine() as engine,
        running_team(store_url, engine.url, transport, admin=AdminPort()) as team,
    ):
        assert (await told(team, "/readyz"))[0] == 200
        before = await series(team)
        await team.answered(await team.say("asha", "@dolly hello?"))
        async with aiohttp.ClientSession() as http:
            assert (await http.get(f"http://127.0.0.1:{team.service.admin_port}/healthz")).status == 200

        async def grown(name: str) -> float:
            return (await series(team))[name] - before.get(name, 0)

        for name in (
            "dolly_events_stored_total",
            "dolly_attempts_total",
            "dolly_ack_seconds_count",
            "dolly_first_text_seconds_count",
            "dolly_engine_first_token_seconds_count",
        ):
            assert await grown(name) >= 1, name
        assert await grown('dolly_engine_tokens_total{direction="completion"}') >= 5
        assert await grown('dolly_engine_tokens_total{direction="prompt"}') >= 5
        now = await series(team)
        assert (now["dolly_store_up"], now["dolly_store_safe"]) == (1, 1)


async def test_without_a_socket_it_is_not_ready_and_then_again(
    store_url: str, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.hearing.sockets.PING_SECONDS", 0.2)
    async with ScriptedEngine() as engine, running_team(store_url, engine.url, admin=AdminPort()) as team:
        faults.always("apps.connections.open", "internal_error")
        await team.workspace.delivery.disconnect("refresh_requested")
        await until(lambda: not team.service.hears())
        status, text = await told(team, "/readyz")
        assert status == 503
        assert "hear Slack" in text
        assert (await told(team, "/healthz"))[0] == 200
        faults.none()
        await until(team.service.hears)
        assert (await told(team, "/readyz"))[0] == 200


async def test_who_asks_too_often_is_told_privately_when_to_ask_again(store_url: str, transport: Transport) -> None:
    bounds = Bounds(questions_per_minute=2)
    async with ScriptedEngine() as engine, running_team(store_url, engine.url, transport, bounds=bounds) as team:
        roots = [await team.say("ben", "@dolly once more?") for _ in range(3)]
        await until(lambda: bool(told_privately(team, "ben")) and len(engine.requests) == 2)
        (sentence,) = told_privately(team, "ben")
        assert re.search(r"ask again at <!date\^\d+\^\{time_secs\}\|\d\d:\d\d:\d\d UTC>", sentence)
        await until(lambda: sum(bool(team.answers(root)) for root in roots) == 2)
        await team.answered(await team.say("chen", "@dolly and I?"))


async def test_admins_are_not_held_up(store_url: str, transport: Transport) -> None:
    bounds = Bounds(questions_per_minute=1, tokens_per_day=1)
    async with ScriptedEngine() as engine, running_team(store_url, engine.url, transport, bounds=bounds) as team:
        for _ in range(3):
            await team.answered(await team.say("asha", "@dolly once more?"))
        await team.say("ben", "@dolly and I?")
        await until(lambda: bool(told_privately(team, "ben")))
        assert "this workspace has used up" in told_privately(team, "ben")[0]
        assert not told_privately(team, "asha")
        assert len(engine.requests) == 3


async def test_how_each_turn_ended_is_in_the_audit_log(store_url: str, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    bounds = Bounds(questions_per_minute=1)
    refusing = Script(refusal=(422, {"error": "no", "error_type": "validation"}))

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    async with ScriptedEngine() as engine, running_team(store_url, engine.url, bounds=bounds, audit_log=path) as team:
        await team.answered(await team.say("ben", "@dolly pineapple?"))
        await until(lambda: len(lines()) == 1)
        await team.say("ben", "@dolly pineapple?")
        await until(lambda: len(lines()) == 2)
        engine.then(refusing)
        await team.say("chen", "@dolly pineapple?")
        await until(lambda: len(lines()) == 3)
        ben = team.person("ben")
    assert [(line["decision"], line["reason"]) for line in lines()] == [
        ("answered", ""),
        ("refused", "questions"),
        ("apologised", "engine_refused"),
    ]
    assert (lines()[0]["user"], lines()[0]["model"]) == (ben, engine.model)
    assert lines()[0]["tokens"] >= 10
    assert "pineapple" not in path.read_text()


def told_privately(team: Team, name: str) -> list[str]:
    """What only that person sees in #general."""
    shown = team.workspace.timeline.ephemerals(team.channel("general"), team.person(name))
    return [message["text"] for message in shown]
