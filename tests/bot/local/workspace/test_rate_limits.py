"""Calls counted by method and tier, on a clock that is turned."""

import pytest

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.web_api.rate_limits import RATES, RateLimits
from bot.local.workspace.web_api.server import METHODS


@pytest.mark.parametrize(
    ("method", "per_minute"),
    [("chat.startStream", 20), ("chat.update", 50), ("chat.appendStream", 100), ("conversations.replies", 50)],
)
async def test_a_minutes_calls_at_once_then_as_time_passes(method: str, per_minute: int) -> None:
    clock = ManualClock()
    limits = RateLimits(clock)
    assert [limits.retry_after(method) for _ in range(per_minute)] == [None] * per_minute
    wait_seconds = limits.retry_after(method)
    assert wait_seconds == -(-60 // per_minute)
    await clock.advance(wait_seconds)
    assert limits.retry_after(method) is None
    await clock.advance(3600)
    assert [limits.retry_after(method) for _ in range(per_minute + 1)].count(None) == per_minute


async def test_posting_is_limited_in_each_channel_by_itself() -> None:
    clock = ManualClock()
    limits = RateLimits(clock)

    def posted(channel_id: str) -> bool:
        return limits.retry_after("chat.postMessage", channel_id) is None

    assert [posted("C1") for _ in range(6)] == [True] * 5 + [False]
    assert posted("C2")
    await clock.advance(1)
    assert [posted("C1") for _ in range(2)] == [True, False]


def test_methods_do_not_share_a_limit() -> None:
    limits = RateLimits(ManualClock())
    for _ in range(21):
        limits.retry_after("chat.startStream")
    assert limits.retry_after("chat.stopStream") is None


def test_only_methods_that_exist_have_a_tier() -> None:
    assert RATES.keys() <= METHODS.keys()
