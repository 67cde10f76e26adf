"""Traces: each step of a turn, to a collector that is really asked, and never a text, a person or a place in one."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bot import tracing
from bot.audit import hashed
from bot.errors import LocalPartError
from bot.settings import Settings
from tests.scenarios.conftest import Team, running_team, until
from tests.scripted_engine import Script, ScriptedEngine

SAID, WRITTEN = "pineapple comes first", "papaya is the answer"


@dataclass
class Collector:
    """An OpenTelemetry collector, as far as it takes spans by OTLP over HTTP."""

    url: str = ""
    status: int = 200
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        assert request.content_type == "application/x-protobuf"
        self.requests.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"} if self.status == 307 else {})

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@asynccontextmanager
async def collecting(status: int = 200) -> AsyncIterator[Collector]:
    collector = Collector(status=status)
    application = web.Application()
    application.router.add_post("/{anywhere:.*}", collector.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


@pytest.fixture
async def store_url(redis: Any, local_store: Any) -> str:
    return str(local_store.url)


async def asked(team: Team) -> str:
    root = await team.say("asha", f"@dolly {SAID}?")
    await team.answered(root)
    return root


def forbidden(team: Team, root: str) -> list[str]:
    identity = team.workspace.identity
    ids = [team.person("asha"), team.channel("general"), identity.team_id, root, identity.bot_token, identity.app_token]
    return ["pineapple", "papaya", *ids]


async def test_a_turn_is_traced_from_its_claim_to_its_commit(store_url: str) -> None:
    memory = InMemorySpanExporter()
    async with (
        tracing.tracing_to(SimpleSpanProcessor(memory)),
        ScriptedEngine(Script(text=WRITTEN)) as engine,
        running_team(store_url, engine.url) as team,
    ):
        root = await asked(team)
        await until(lambda: any(span.name == "turn" for span in memory.get_finished_spans()))
        spans: dict[str, ReadableSpan] = {span.name: span for span in memory.get_finished_spans()}
        conversation = f"{team.workspace.identity.team_id}/{team.channel('general')}/{root}"
        private = forbidden(team, root)
    turn, chat = spans["turn"], spans["chat tgi"]
    assert {"turn", "claim", "window", "chat tgi", "commit", "chat.postMessage"} <= set(spans)
    for name in ("claim", "window", "chat tgi", "commit", "chat.postMessage"):
        parent, own = spans[name].parent, spans[name].context
        assert parent is not None
        assert own is not None
        assert turn.context is not None
        assert (parent.span_id, own.trace_id) == (turn.context.span_id, turn.context.trace_id), name
    began = [spans[name].start_time for name in ("turn", "claim", "window", "chat tgi", "commit")]
    assert began == sorted(began, key=lambda nanoseconds: nanoseconds or 0)
    assert dict(turn.attributes or {}) == {
        "gen_ai.conversation.id": hashed(conversation),
        "dolly.attempt": 1,
        "dolly.claims": 1,
        "dolly.waited_seconds": pytest.approx(0, abs=5),
        "dolly.decision": "answered",
    }
    told = dict(chat.attributes or {})
    assert told.pop("gen_ai.response.time_to_first_chunk") > 0  # type: ignore[operator]
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "tgi",
        "gen_ai.request.model": "tgi",
        "gen_ai.request.max_tokens": 60,
        "gen_ai.request.temperature": 0,
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "team/dolly",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.output_tokens": 4,
        "server.address": "127.0.0.1",
        "server.port": engine.port if engine.url else 0,
    }
    shown = "".join(span.to_json() for span in memory.get_finished_spans())
    assert [text for text in private if text in shown] == []


async def test_what_fails_is_told_by_its_kind_and_no_sentence(store_url: str) -> None:
    memory = InMemorySpanExporter()
    broken = Script(text=WRITTEN, end="error", after=1, error=f"Server error: {SAID}")
    async with (
        tracing.tracing_to(SimpleSpanProcessor(memory)),
        ScriptedEngine(Script(text=WRITTEN)) as engine,
        running_team(store_url, engine.url) as team,
    ):
        engine.then(broken)
        root = await asked(team)
        await until(lambda: sum(span.name == "turn" for span in memory.get_finished_spans()) >= 2)
        private = forbidden(team, root)
    spans = memory.get_finished_spans()
    (failed,) = [span for span in spans if span.name == "chat tgi" and not span.status.is_ok]
    assert dict(failed.attributes or {})["error.type"] == "EngineBroke"
    assert failed.status.description is None
    assert not failed.events
    requeued = [dict(span.attributes or {}).get("dolly.requeued") for span in spans if span.name == "turn"]
    assert requeued == ["engine_broke", None]
    shown = "".join(span.to_json() for span in spans)
    assert [text for text in private if text in shown] == []


async def test_a_collector_gets_them_over_http(store_url: str) -> None:
    async with collecting() as collector:
        async with (
            tracing.tracing(f"{collector.url}/"),
            ScriptedEngine(Script(text=WRITTEN)) as engine,
            running_team(store_url, engine.url) as team,
        ):
            root = await asked(team)
            private = forbidden(team, root)
        assert set(collector.paths) == {"/v1/traces"}
        assert {"turn", "claim", "window", "chat tgi", "commit"} <= {span.name for span in collector.spans}
        (resource, *_) = [resource for request in collector.requests for resource in request.resource_spans]
        named = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
        assert named["service.name"] == "dolly"
        assert named["service.version"]
        sent = b"".join(request.SerializeToString() for request in collector.requests)
        assert [text for text in private if text.encode() in sent] == []


@pytest.mark.parametrize("status", [307, 400])
async def test_a_collector_that_refuses_or_sends_on_is_left_alone(
    store_url: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with collecting(status) as collector:
        async with tracing.tracing(collector.url):
            with tracing.turn({}, tracing.now()):
                pass
        assert set(collector.paths) == {"/v1/traces"}, "nowhere else"
    assert "Failed to export" in caplog.text


async def test_a_collector_that_is_away_holds_up_neither_answers_nor_the_end(
    store_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "EXPORT_SECONDS", 0.5)
    async with ScriptedEngine(Script(text=WRITTEN)) as engine, tracing.tracing("http://127.0.0.1:9"):
        async with running_team(store_url, engine.url) as team:
            await asked(team)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert "export" in caplog.text


async def test_nothing_is_traced_outside_of_a_turn() -> None:
    memory = InMemorySpanExporter()
    async with tracing.tracing_to(SimpleSpanProcessor(memory)):
        with tracing.call("chat.postMessage", {}), tracing.step("window") as window:
            window.note({tracing.PROMPT_TOKENS: 1})
            tracing.note({tracing.DECISION: "answered"})
    assert memory.get_finished_spans() == ()


async def test_off_it_imports_nothing_and_gives_one_span_that_does_nothing() -> None:
    async with tracing.tracing(None):
        first, second = tracing.turn({}, tracing.now()), tracing.call("chat", {})
        assert first is second is tracing.step("window")
        with first as span:
            span.note({tracing.PROMPT_TOKENS: 1}, name="window")
    # By itself: redis-py imports some of OpenTelemetry, too, where that is installed.
    code = "import sys, bot.tracing; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert await asyncio.to_thread(subprocess.call, [sys.executable, "-c", code]) == 0


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(LocalPartError, match=r"pip install 'dolly\[otel\]'"):
        async with tracing.tracing("http://127.0.0.1:4318"):
            pass


def test_the_setting_is_an_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    assert Settings.read(tmp_path / "none").otel_exporter_otlp_endpoint == "http://collector:4318"
