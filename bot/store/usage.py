"""Who uses how much: counted for each person and day (UTC), in the store, for all replicas; ids and numbers only.

usage:<YYYY-MM-DD>    hash: <user>/questions and <user>/tokens → how many; kept 35 days
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bot.store.connection import Client, store_errors
from bot.store.layout import Layout

DAYS_KEPT = 35
STORE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Used:
    """What one person has used."""

    questions: int = 0
    tokens: int = 0
    """Read and written by the engine for them."""

    def __add__(self, other: "Used") -> "Used":
        return Used(self.questions + other.questions, self.tokens + other.tokens)


KINDS = frozenset(field.name for field in fields(Used))


def _today() -> date:
    return datetime.now(UTC).date()


class Usage:
    """Every method raises StoreUnavailable."""

    def __init__(self, client: Client, layout: Layout, today: Callable[[], date] = _today) -> None:
        self._client = client
        self._prefix = layout.prefix
        self._today = today

    async def count(self, user_id: str, tokens: int) -> None:
        """One question of `user_id` has ended, for which so many tokens were read and written."""
        key = self._key(0)
        async with store_errors(STORE_SECONDS), self._client.pipeline(transaction=False) as pipe:
            pipe.hincrby(key, f"{user_id}/questions", 1)
            pipe.hincrby(key, f"{user_id}/tokens", tokens)
            pipe.expire(key, DAYS_KEPT * 86_400)
            await pipe.execute()

    async def of_days(self, days: int) -> dict[str, Used]:
        """What each person has used today (1), or on the last `days` days, by their ids."""
        async with store_errors(STORE_SECONDS), self._client.pipeline(transaction=False) as pipe:
            for ago in range(days):
                pipe.hgetall(self._key(ago))
            stored: list[dict[str, Any]] = await pipe.execute()
        found: dict[str, Used] = {}
        for day in stored:
            for name, count in day.items():
                user_id, _, kind = name.partition("/")
                if kind in KINDS:
                    found[user_id] = found.get(user_id, Used()) + Used(**{kind: int(count)})
        return found

    async def forget(self, user_id: str) -> None:
        """What one person has used is known no more."""
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            for ago in range(DAYS_KEPT + 1):
                pipe.hdel(self._key(ago), f"{user_id}/questions", f"{user_id}/tokens")
            await pipe.execute()

    async def forget_all(self) -> None:
        """Of nobody, then."""
        async with store_errors():
            await self._client.delete(*(self._key(ago) for ago in range(DAYS_KEPT + 1)))

    def _key(self, days_ago: int) -> str:
        return f"{self._prefix}usage:{self._today() - timedelta(days=days_ago)}"
