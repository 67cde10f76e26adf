"""One budget of appends for all answers."""

import asyncio

import pytest

from bot.slack.pacing import APPENDS_PER_MINUTE, Cadence


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each turn had to wait."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(round(seconds, 6))

    monkeypatch.setattr("bot.slack.pacing.asyncio.sleep", sleep)
    return waits


async def test_appends_are_spread_evenly(waits: list[float]) -> None:
    cadence = Cadence(per_minute=100, clock=lambda: 1000.0)
    for _ in range(4):
        await cadence.turn()
    assert waits == [0, 0.6, 1.2, 1.8]


async def test_who_has_not_written_for_a_while_need_not_wait(waits: list[float]) -> None:
    now = [1000.0]
    cadence = Cadence(per_minute=100, clock=lambda: now[0])
    await cadence.turn()
    now[0] += 0.2
    await cadence.turn()
    now[0] += 60
    await cadence.turn()
    await cadence.turn()
    assert waits == [0, 0.4, 0, 0.6]


async def test_slacks_limit_holds_for_a_minute_of_many_answers(waits: list[float]) -> None:
    cadence = Cadence(clock=lambda: 0.0)
    for _ in range(300):
        await cadence.turn()
    assert sum(wait < 60 for wait in waits) <= APPENDS_PER_MINUTE


async def test_who_asks_first_goes_first() -> None:
    cadence, order = Cadence(per_minute=6000), []

    async def ask(number: int) -> None:
        await cadence.turn()
        order.append(number)

    await asyncio.gather(*(ask(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]
