"""Quotas: questions of a person per minute, tokens of the workspace per day; counted in the store, for all replicas.

Counted by the library `limits`, under the owner's prefix and nothing but ids and numbers:

    quota:questions/<user>/…    list: when that person asked in the last minute (moving window)
    quota:tokens/…              number: tokens used in a day that begins with the first of them (fixed window)

Tokens are known only after they were used, and must count all the same. A moving or sliding window refuses to count
what goes over its limit, so that a question that needs more than what is left would be free for ever; a fixed one
counts it.
"""

import math
from dataclasses import dataclass
from typing import Literal

from limits import RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from bot.store.connection import Client, store_errors
from bot.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which quota is used up, and until when."""

    quota: Literal["questions", "tokens"]
    opens_at: int
    """Seconds since 1970."""


class Quotas:
    """What a person, and the workspace, may still ask. A quota of 0 is none.

    Both methods raise StoreUnavailable when the store does not answer: whoever cannot count does not admit.
    """

    def __init__(self, client: Client, layout: Layout, *, questions_per_minute: int, tokens_per_day: int) -> None:
        storage = _OpenedStorage(client, layout)
        self._moving = MovingWindowRateLimiter(storage)
        self._fixed = FixedWindowRateLimiter(storage)
        self._questions = RateLimitItemPerMinute(questions_per_minute, namespace="questions")
        self._tokens = RateLimitItemPerDay(tokens_per_day, namespace="tokens")

    async def admit(self, user_id: str) -> Refusal | None:
        """Count one question of `user_id`, and let it pass (None) or say why not. A refused one does not count."""
        async with store_errors():
            if self._tokens.amount and not await self._fixed.test(self._tokens):
                return Refusal("tokens", _next_second((await self._fixed.get_window_stats(self._tokens)).reset_time))
            if self._questions.amount and not await self._moving.hit(self._questions, user_id):
                window = await self._moving.get_window_stats(self._questions, user_id)
                return Refusal("questions", _next_second(window.reset_time))
        return None

    async def spend(self, tokens: int) -> None:
        """Count `tokens` that were read and written, even where they are more than were left."""
        if tokens > 0 and self._tokens.amount:
            async with store_errors():
                await self._fixed.hit(self._tokens, cost=tokens)


class _OpenedStorage(RedisStorage):
    """Storage of `limits` on a client that is open already, be it of one server or of a cluster.

    By itself the library opens connections of its own, with another client library where it is not told otherwise,
    and without TLS, node addresses and deadlines as our own have them.
    """

    def __init__(self, client: Client, layout: Layout) -> None:
        self._client = client
        super().__init__("redis://", implementation="redispy", key_prefix=f"{layout.prefix}quota")

    def configure_bridge(self) -> None:
        self.bridge.connection_getter = lambda readonly: self._client  # type: ignore[attr-defined]


def _next_second(epoch: float) -> int:
    """A whole second that is certainly after `epoch`."""
    return math.floor(epoch) + 1
