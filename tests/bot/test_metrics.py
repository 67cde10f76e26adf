"""What is counted, by real clients of scripted servers; and that each figure has somebody who counts it."""

import re
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Histogram
from prometheus_client.metrics import MetricWrapperBase

from bot import metrics
from bot.conversation import Message
from bot.local.workspace import Workspace
from bot.model_client import ModelClient
from bot.slack.client import authenticate, web_client
from tests.scenarios.faults import Faults
from tests.scripted_engine import Script, ScriptedEngine

ROOT = Path(__file__).resolve().parents[2]
ASKED = [Message("user", "Who are you?")]


class Growth:
    """How much a series has grown since this was made."""

    def __init__(self) -> None:
        self._before = dict(self._all())

    def __call__(self, name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return dict(self._all()).get(key, 0) - self._before.get(key, 0)

    @staticmethod
    def _all() -> Iterator[tuple[tuple[str, tuple[tuple[str, str], ...]], float]]:
        for family in REGISTRY.collect():
            for sample in family.samples:
                yield (sample.name, tuple(sorted(sample.labels.items()))), sample.value


async def test_an_answers_tokens_and_speed_are_counted() -> None:
    script = Script(text="one two three four five six", first_token_seconds=0.1, tokens_per_second=50)
    async with ScriptedEngine(script) as engine:
        client = ModelClient(engine.url)
        grown = Growth()
        assert "".join([delta async for delta in client.stream(ASKED, max_tokens=50)]) == script.text
        await client.close()
        sent = engine.requests[0].tokens_sent
    assert grown("dolly_engine_tokens_total", direction="completion") == sent > 5
    assert grown("dolly_engine_first_token_seconds_count") == 1
    assert 0.1 <= grown("dolly_engine_first_token_seconds_sum") < 2
    assert grown("dolly_engine_tokens_per_second_count") == 1
    assert 5 < grown("dolly_engine_tokens_per_second_sum") <= 60


async def test_an_answer_that_nobody_wants_any_more_counts_as_far_as_it_came() -> None:
    async with ScriptedEngine(Script(text="and so on " * 100, tokens_per_second=100)) as engine:
        client = ModelClient(engine.url)
        grown = Growth()
        async with aclosing(client.stream(ASKED, max_tokens=500)) as deltas:
            for _ in range(3):
                await anext(deltas)
        await client.close()
    assert grown("dolly_engine_tokens_total", direction="completion") == 3


async def test_calls_of_slack_are_counted_by_how_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.slack.client.FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr("random.random", lambda: 0.0)
    faults = Faults(monkeypatch)
    workspace = Workspace()
    await workspace.start()
    try:
        grown = Growth()
        faults.next("auth.test", "internal_error", ("ratelimited", 0), "cut")
        await authenticate(web_client(workspace.identity.bot_token, workspace.api_url))
    finally:
        await workspace.stop()
    for outcome in ("internal_error", "rate_limited", "unreachable", "ok"):
        assert grown("dolly_slack_calls_total", method="auth.test", outcome=outcome) == 1, outcome


def declared() -> dict[str, MetricWrapperBase]:
    found = {name: metric for name, metric in vars(metrics).items() if isinstance(metric, MetricWrapperBase)}
    assert len(found) > 25
    return found


def test_every_figure_has_somebody_who_counts_it() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "bot").rglob("*.py"))
    counted = set(re.findall(r"metrics\.(\w+)", sources))
    assert set(declared()) <= counted, f"nobody counts {sorted(set(declared()) - counted)}"


def test_every_figure_is_explained_to_whoever_watches() -> None:
    explained = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    names = {family.name for metric in declared().values() for family in metric.collect()}
    missing = sorted(name for name in names if f"`{name}" not in explained)
    assert not missing, f"docs/operations.md does not say when to worry about {missing}"


def test_no_label_is_made_for_a_person_a_place_or_a_text() -> None:
    labels = {label for metric in declared().values() for label in metric._labelnames}
    assert labels == {"reason", "outcome", "direction", "kind", "method", "quota", "rating"}


def test_the_median_is_evened_out_inside_its_bucket() -> None:
    seconds = Histogram("test_median_seconds", "Of this test", buckets=(1, 2, 4), registry=CollectorRegistry())
    assert metrics.median(seconds) is None
    for value in (0.5, 1.5, 3, 3):
        seconds.observe(value)
    assert metrics.median(seconds) == 2
    seconds.observe(3)
    assert metrics.median(seconds) == pytest.approx(2 + 2 * 0.5 / 3)
    for _ in range(9):
        seconds.observe(100)
    assert metrics.median(seconds) == 4, "beyond the last limit nothing finer is known"
