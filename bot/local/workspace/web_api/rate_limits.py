"""Slack's rate limits: how many calls of a method the app may make, by the method's tier.

A bucket per method (chat.postMessage: per channel) holds the calls of one minute and fills as time passes.
Source: docs.slack.dev/apis/web-api/rate-limits and each method's page.
"""

import math
from dataclasses import dataclass

from bot.local.workspace.clock import Clock


@dataclass(frozen=True)
class Rate:
    """`per_minute` calls in the long run, `burst` at once."""

    per_minute: int
    burst: int


def _tier(per_minute: int) -> Rate:
    return Rate(per_minute, burst=per_minute)


TIER_1, TIER_2, TIER_3, TIER_4, SPECIAL = _tier(1), _tier(20), _tier(50), _tier(100), _tier(600)

POST_MESSAGE = Rate(60, burst=5)
"""About one a second in each channel; short bursts are let through."""

_METHODS_OF_TIERS = {
    TIER_2: "chat.startStream chat.stopStream conversations.list reactions.remove users.list",
    TIER_3: """agents.sessions.rename agents.sessions.setStatus apps.connections.open bots.info chat.delete
        chat.update conversations.history conversations.info conversations.join conversations.open
        conversations.replies reactions.add reactions.get team.info users.conversations""",
    TIER_4: """assistant.threads.setSuggestedPrompts assistant.threads.setTitle chat.appendStream
        chat.postEphemeral conversations.members files.completeUploadExternal files.getUploadURLExternal
        files.info users.info views.open views.publish views.push views.update""",
}
RATES = {method: rate for rate, methods in _METHODS_OF_TIERS.items() for method in methods.split()}


class RateLimits:
    """Counts the app's calls on the workspace's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}
        """(calls left, as of when) by (method, channel or nothing)."""

    def retry_after(self, method: str, channel_id: str = "") -> int | None:
        """Count a call. None lets it through; else the whole seconds after which the next one may be."""
        if method == "chat.postMessage":
            rate, key = POST_MESSAGE, (method, channel_id)
        else:
            rate, key = RATES.get(method, SPECIAL), (method, "")
        now = self._clock.now()
        left, since = self._buckets.get(key, (float(rate.burst), now))
        left = min(rate.burst, left + (now - since) * rate.per_minute / 60)
        is_let_through = left >= 1
        self._buckets[key] = (left - 1 if is_let_through else left, now)
        return None if is_let_through else max(1, math.ceil((1 - left) * 60 / rate.per_minute))
