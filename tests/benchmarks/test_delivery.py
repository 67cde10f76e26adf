"""The parts of make bench-delivery: its numbers, its crowd, and a plain bot that really answers."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId
from bot.local.workspace.records import new_identity
from bot.store.layout import Layout
from bot.store.memory import Memory
from bot.store.sealing import Sealing
from tests.benchmarks.delivery.contestants import engine, plain_bot
from tests.benchmarks.delivery.figures import Spread, percentile, report
from tests.benchmarks.delivery.stored import store_conversations


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, share) for share in (0, 0.5, 0.95, 1)] == [1, 50, 95, 100]
    assert percentile([7.0], 0.5) == 7


def test_a_figure_is_the_median_and_is_judged_by_its_goal(capsys: pytest.CaptureFixture[str]) -> None:
    report("delivery.some", Spread.of([9, 1, 2]), "ms", goal=2)
    report("delivery.other", Spread.of([9, 3, 2]), "ms", goal=2)
    lines = capsys.readouterr().out.splitlines()
    assert "figure: delivery.some 2 ms goal 2 ok" in lines
    assert "figure: delivery.other 3 ms goal 2 short" in lines


async def test_conversations_are_stored_as_dolly_stores_them(redis: Redis) -> None:
    identity, key = new_identity(), bytes(32)
    await store_conversations(redis, identity, key, 70)
    layout = Layout(f"{identity.team_id}/{identity.bot_id}")
    stored = await redis.zrange(layout.prefixes[0] + "threads", 0, -1)
    assert len(stored) == 70
    memory = Memory(redis, layout, Sealing([key]))
    for conversation in stored:
        assert len(await memory.read(ConversationId.parse(str(conversation)))) == 1
    assert await redis.zcard(layout.prefixes[0] + "waiting") == 0


async def test_the_plain_bot_answers_with_the_appends_that_it_is_told(tmp_path: Path) -> None:
    async with (
        engine(tmp_path / "engine", tokens_per_second=0, first_token_seconds=0.05) as url,
        plain_bot(url, tmp_path / "plain", appends=1.5) as bot,
    ):
        run = await bot.run(4, 1, over_seconds=0)
    assert run.seen.answers == len(run.seen.first_text_seconds) == 4
    assert min(run.seen.first_text_seconds) >= 0.05
    assert run.seen.appends == 6
    assert run.cpu_seconds > 0
