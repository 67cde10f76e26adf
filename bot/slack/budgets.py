"""Slack's rate limits as budgets: counted in the store for all replicas, and by each process where that is away."""

import time
from collections.abc import Callable

import structlog

from bot.errors import StoreUnavailable
from bot.store.rates import Rate, SharedRates, Taken

log = structlog.get_logger(__name__)

UNDER_WAY_SECONDS = 0.5
"""So much longer than others some calls are on their way: that much less is done at once than Slack lets through."""
AWAY_SECONDS = 2.0
"""How long a store that did not answer is not asked again."""
KEPT = 1_000
"""So many budgets of its own a process looks after before it drops the full ones."""


def _tier(per_minute: int, burst: int | None = None) -> Rate:
    return Rate(per_minute, at_once=(burst or per_minute) - UNDER_WAY_SECONDS * per_minute / 60)


POSTS = _tier(60, burst=5)
"""chat.postMessage, in each channel: one a second, and short bursts."""

_METHODS = {
    _tier(20): "chat.startStream chat.stopStream conversations.list reactions.remove users.list",
    _tier(
        50
    ): """agents.sessions.rename agents.sessions.setStatus bots.info chat.delete chat.update conversations.history
        conversations.info conversations.open conversations.replies reactions.add reactions.get team.info
        users.conversations""",
    _tier(100): """assistant.threads.setSuggestedPrompts assistant.threads.setTitle chat.postEphemeral
        conversations.members files.info users.info views.open views.publish views.push views.update""",
    Rate(100, at_once=2): "chat.appendStream",
    POSTS: "chat.postMessage",
}
RATES = {method: rate for rate, methods in _METHODS.items() for method in methods.split()}
"""By method what Slack publishes for its tier (docs.slack.dev/apis/web-api/rate-limits); others are not counted. Of
appends, all streams together get one in turn instead of a burst."""


class OwnRates:
    """The budgets of a process by itself, as bot/store/rates.py counts them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full: dict[str, float] = {}
        """By name, when the budget would be full again."""

    def take(self, name: str, rate: Rate, wanted: int, *, spare: float = 0.0) -> Taken:
        """Take what may be had now of `wanted` calls, and leave the share `spare` of those `at_once` to others."""
        now = self._clock()
        full = max(self._full.get(name, now), now)
        room = now + rate.early_seconds * (1 - spare) - full
        calls = max(0, min(wanted, int((room + 1e-9) // rate.each_seconds) + 1))
        self.spend(name, rate, calls)
        return Taken(calls, max(0.0, calls * rate.each_seconds - room), self._full[name] - now)

    def spend(self, name: str, rate: Rate, calls: int) -> None:
        """So many calls were taken; negative: given back."""
        self._fill(name, max(self._full.get(name, 0.0), self._clock()) + calls * rate.each_seconds)

    def follow(self, name: str, shared: Taken) -> None:
        """Stand as the shared budget stands."""
        self._fill(name, self._clock() + shared.full_seconds)

    def _fill(self, name: str, when: float) -> None:
        if len(self._full) >= KEPT:
            now = self._clock()
            self._full = {each: full for each, full in self._full.items() if full > now}
        self._full[name] = when

    def hold(self, name: str, rate: Rate, seconds: float) -> None:
        """No call for so long."""
        self._fill(name, max(self._full.get(name, 0.0), self._clock() + seconds + rate.early_seconds))


class Budgets:
    """The shared budgets while the store answers; else, for a while, those of this process. No method fails."""

    def __init__(self, shared: SharedRates | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._clock = clock
        self._own = OwnRates(clock)
        """Follow the shared ones, so as to go on from there."""
        self._away_until = 0.0

    async def take(self, name: str, rate: Rate, wanted: int, *, spare: float = 0.0) -> Taken:
        """As bot.store.rates.SharedRates.take."""
        if (shared := self._reachable) is not None:
            try:
                taken = await shared.take(name, rate, wanted, spare=spare)
            except StoreUnavailable as error:
                self._away(error)
            else:
                self._own.follow(name, taken)
                return taken
        return self._own.take(name, rate, wanted, spare=spare)

    async def give_back(self, name: str, rate: Rate) -> None:
        """A call that was taken is not made."""
        self._own.spend(name, rate, -1)
        if (shared := self._reachable) is not None:
            try:
                await shared.give_back(name, rate)
            except StoreUnavailable as error:
                self._away(error)

    async def hold(self, name: str, rate: Rate, seconds: float) -> None:
        """Slack wants no call of anybody for so long."""
        self._own.hold(name, rate, seconds)
        if (shared := self._reachable) is not None:
            try:
                await shared.hold(name, rate, seconds)
            except StoreUnavailable as error:
                self._away(error)

    @property
    def _reachable(self) -> SharedRates | None:
        return self._shared if self._clock() >= self._away_until else None

    def _away(self, error: StoreUnavailable) -> None:
        self._away_until = self._clock() + AWAY_SECONDS
        log.warning("paced_alone", reason=str(error))
