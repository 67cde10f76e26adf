"""Trigger ids: what a command, a click or a submission lets the app open a modal with, once, within 3 seconds."""

import secrets

from bot.local.workspace.clock import Clock
from bot.local.workspace.refusals import Refused

LIFETIME_SECONDS = 3.0
REMEMBERED_SECONDS = 600.0


class TriggerError(Refused):
    """Slack's reasons: invalid_trigger_id, expired_trigger_id, exchanged_trigger_id (used already)."""


class Triggers:
    """The trigger ids given out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._issued: dict[str, tuple[str, float]] = {}
        self._used: set[str] = set()

    def issue(self, user_id: str) -> str:
        """A new trigger id for what this person has just done."""
        self._forget_old()
        trigger_id = f"{secrets.randbelow(10**12)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self._issued[trigger_id] = (user_id, self._clock.now())
        return trigger_id

    def redeem(self, trigger_id: str) -> str:
        """Use it up; return the id of its person. Raises TriggerError."""
        if trigger_id not in self._issued:
            raise TriggerError("invalid_trigger_id")
        user_id, issued_at = self._issued[trigger_id]
        if self._clock.now() - issued_at > LIFETIME_SECONDS:
            raise TriggerError("expired_trigger_id")
        if trigger_id in self._used:
            raise TriggerError("exchanged_trigger_id")
        self._used.add(trigger_id)
        return user_id

    def _forget_old(self) -> None:
        oldest = self._clock.now() - REMEMBERED_SECONDS
        for trigger_id, (_, issued_at) in tuple(self._issued.items()):
            if issued_at < oldest:
                del self._issued[trigger_id]
                self._used.discard(trigger_id)
