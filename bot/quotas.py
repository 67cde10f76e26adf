"""Quotas: questions of a person per minute, tokens of the workspace per day; counted in the store, for all replicas.

An admin may give a person a quota of their own (bot/store/own_quotas.py), and have what was used count no more.

Counted by the library `limits`, under the owner's prefix and nothing but ids and numbers:

    quota:questions/<user>/…    list: when that person asked in the last minute (moving window)
    quota:tokens/…              number: tokens used in a day that begins with the first of them (fixed window)

Tokens are known only after they were used, and must count all the same. A moving or sliding window refuses to count
what goes over its limit, so that a question that needs more than what is left would be free for ever; a fixed one
counts it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from limits import RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from bot.store.connection import Client, store_errors
from bot.store.layout import Layout
from bot.store.own_quotas import OwnQuotas


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which quota is used up, and until when."""

    quota: Literal["questions", "tokens"]
    opens_at: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class QuotaReport:
    """What may be used, and what is used. 0 is no limit."""

    questions_per_minute: int
    own: Mapping[str, int]
    """By the ids of those who have one of their own, their questions per minute."""
    tokens_per_day: int
    tokens_used: int
    """Of the day that is under way; not counted where there is no limit."""
    day_ends_at: int
    """Seconds since 1970; 0 where no day is under way."""


class Quotas:
    """What a person, and the workspace, may still ask. A quota of 0 is none.

    All methods raise StoreUnavailable when the store does not answer: whoever cannot count does not admit.
    """

    def __init__(self, client: Client, layout: Layout, *, questions_per_minute: int, tokens_per_day: int) -> None:
        self._own = OwnQuotas(client, layout)
        self._storage = _OpenedStorage(client, layout)
        self._moving = MovingWindowRateLimiter(self._storage)
        self._fixed = FixedWindowRateLimiter(self._storage)
        self._questions = RateLimitItemPerMinute(questions_per_minute, namespace="questions")
        self._tokens = RateLimitItemPerDay(tokens_per_day, namespace="tokens")

    async def admit(self, user_id: str) -> Refusal | None:
        """Count one question of `user_id`, and let it pass (None) or say why not. A refused one does not count."""
        async with store_errors():
            if self._tokens.amount and not await self._fixed.test(self._tokens):
                return Refusal("tokens", _next_second((await self._fixed.get_window_stats(self._tokens)).reset_time))
            questions = await self._questions_of(user_id)
            if questions.amount and not await self._moving.hit(questions, user_id):
                window = await self._moving.get_window_stats(questions, user_id)
                return Refusal("questions", _next_second(window.reset_time))
        return None

    async def spend(self, tokens: int) -> None:
        """Count `tokens` that were read and written, even where they are more than were left."""
        if tokens > 0 and self._tokens.amount:
            async with store_errors():
                await self._fixed.hit(self._tokens, cost=tokens)

    # --- what admins do ---------------------------------------------------------------------------------------------

    async def report(self) -> QuotaReport:
        """What holds now."""
        async with store_errors():
            own, key = await self._own.all(), self._tokens.key_for()
            used = await self._storage.get(key) if self._tokens.amount else 0
            ends_at = _next_second(await self._storage.get_expiry(key)) if used else 0
        return QuotaReport(self._questions.amount, own, self._tokens.amount, used, ends_at)

    async def set_own(self, user_id: str, per_minute: int | None) -> None:
        """Give a person a quota of their own; None takes it away."""
        await self._own.set(user_id, per_minute)

    async def reset_person(self, user_id: str) -> None:
        """What the person asked in the last minute counts no more."""
        async with store_errors():
            await self._moving.clear(await self._questions_of(user_id), user_id)

    async def reset_tokens(self) -> None:
        """The day begins anew, with the next token."""
        async with store_errors():
            await self._fixed.clear(self._tokens)

    async def _questions_of(self, user_id: str) -> RateLimitItemPerMinute:
        own = await self._own.of(user_id)
        return self._questions if own is None else RateLimitItemPerMinute(own, namespace="questions")


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
