"""One budget of calls for all answers."""

import asyncio

import pytest

from bot.slack.pacing import APPENDS_PER_MINUTE, STREAMS_PER_MINUTE, STREAMS_REFUSED_SECONDS, Budget, Pacer


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each turn had to wait."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(round(seconds, 6))

    monkeypatch.setattr("bot.slack.pacing.asyncio.sleep", sleep)
    return waits


async def test_calls_are_spread_evenly(waits: list[float]) -> None:
    budget = Budget(100, clock=lambda: 1000.0)
    for _ in range(4):
        await budget.turn()
    assert waits == [0, 0.6, 1.2, 1.8]


async def test_who_has_not_written_for_a_while_need_not_wait(waits: list[float]) -> None:
    now = [1000.0]
    budget = Budget(100, clock=lambda: now[0])
    await budget.turn()
    now[0] += 0.2
    await budget.turn()
    now[0] += 60
    await budget.turn()
    await budget.turn()
    assert waits == [0, 0.4, 0, 0.6]


async def test_a_few_at_once_need_not_wait(waits: list[float]) -> None:
    budget = Budget(60, at_once=3, clock=lambda: 1000.0)
    for _ in range(5):
        await budget.turn()
    assert waits == [0, 0, 0, 1, 2]


async def test_slacks_limit_holds_for_a_minute_of_many_answers(waits: list[float]) -> None:
    pacer = Pacer(clock=lambda: 0.0)
    for _ in range(300):
        await pacer.appends.turn()
    assert sum(wait < 60 for wait in waits) <= APPENDS_PER_MINUTE


async def test_who_asks_first_goes_first() -> None:
    budget, order = Budget(6000), []

    async def ask(number: int) -> None:
        await budget.turn()
        order.append(number)

    await asyncio.gather(*(ask(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_who_stops_waiting_has_used_nothing() -> None:
    budget = Budget(600)
    await budget.turn()
    waiting = [asyncio.create_task(budget.turn()) for _ in range(50)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(1):
        await budget.turn()


def test_streams_are_started_as_often_as_slack_allows() -> None:
    now = [1000.0]
    pacer = Pacer(clock=lambda: now[0])
    assert [pacer.take_stream() for _ in range(STREAMS_PER_MINUTE + 2)] == [True] * STREAMS_PER_MINUTE + [False] * 2
    now[0] += 60 / STREAMS_PER_MINUTE
    assert [pacer.take_stream() for _ in range(2)] == [True, False]
    pacer.give_back_stream()
    assert [pacer.take_stream() for _ in range(2)] == [True, False]


def test_after_a_refusal_no_stream_is_tried_for_a_while() -> None:
    now = [1000.0]
    pacer = Pacer(clock=lambda: now[0])
    pacer.streams_refused()
    now[0] += STREAMS_REFUSED_SECONDS - 1
    assert not pacer.take_stream()
    now[0] += 1
    assert pacer.take_stream()


async def test_posts_are_counted_by_channel(waits: list[float]) -> None:
    now = [1000.0]
    pacer = Pacer(clock=lambda: now[0])
    for channel in ["C1"] * 4 + ["C2"] * 4:
        await pacer.post_turn(channel)
    assert waits == [0, 0, 0, 1] * 2
    now[0] += 100
    await pacer.post_turn("C3")
    assert set(pacer._posts) == {"C3"}, "channels in which nobody writes are not kept"
