"""The quotas that an admin has given to single people, in place of the one that holds for all.

    own_quotas    hash: <user> → questions per minute, 0 for no limit

They stay where a person is forgotten: nobody shakes off a limit by being forgotten. They go with the team.
"""

from typing import Any

from bot.store.connection import Client, store_errors
from bot.store.layout import Layout


class OwnQuotas:
    """Every method raises StoreUnavailable."""

    def __init__(self, client: Client, layout: Layout) -> None:
        self._client = client
        self._key = layout.prefix + "own_quotas"

    async def of(self, user_id: str) -> int | None:
        """The person's own quota; None where they have none."""
        async with store_errors():
            stored = await self._client.hget(self._key, user_id)
        return None if stored is None else int(stored)

    async def all(self) -> dict[str, int]:
        """Everybody's who has one, by their ids."""
        async with store_errors():
            stored: Any = await self._client.hgetall(self._key)
        return {user_id: int(per_minute) for user_id, per_minute in sorted(stored.items())}

    async def set(self, user_id: str, per_minute: int | None) -> None:
        """Give the person a quota of their own; None takes it away."""
        async with store_errors():
            if per_minute is None:
                await self._client.hdel(self._key, user_id)
            else:
                await self._client.hset(self._key, user_id, str(per_minute))

    async def forget_all(self) -> None:
        """Nobody has one, then."""
        async with store_errors():
            await self._client.delete(self._key)
