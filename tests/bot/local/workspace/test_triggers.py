"""Trigger ids: three seconds, once."""

import pytest

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.delivery.triggers import TriggerError, Triggers


async def test_a_trigger_id_is_good_for_three_seconds_and_once() -> None:
    clock = ManualClock()
    triggers = Triggers(clock)
    first, second = triggers.issue("U1"), triggers.issue("U2")
    await clock.advance(3)
    assert triggers.redeem(first) == "U1"
    with pytest.raises(TriggerError, match="exchanged_trigger_id"):
        triggers.redeem(first)
    await clock.advance(0.1)
    with pytest.raises(TriggerError, match="expired_trigger_id"):
        triggers.redeem(second)
    with pytest.raises(TriggerError, match="invalid_trigger_id"):
        triggers.redeem("12345.98765.abcd")


async def test_old_ones_are_forgotten() -> None:
    clock = ManualClock()
    triggers = Triggers(clock)
    old = triggers.issue("U1")
    await clock.advance(700)
    triggers.issue("U1")
    with pytest.raises(TriggerError, match="invalid_trigger_id"):
        triggers.redeem(old)
