"""What a conversation remembers: a list of committed exchanges, written only by the mailbox's commit."""

import json
from collections.abc import Awaitable
from typing import cast

from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Message
from bot.store.connection import key_prefix, store_errors


def memory_key(conversation: str) -> str:
    """The key of a conversation's memory, without the prefix; `conversation` as str(ConversationId) gives it."""
    return f"memory:{conversation}"


def dump(exchange: Exchange) -> str:
    """An exchange as it is stored."""
    messages = [[message.role, message.content] for message in exchange.messages]
    return json.dumps({"tokens": exchange.tokens, "messages": messages}, ensure_ascii=False)


def load(stored: str) -> Exchange:
    """The inverse of `dump`."""
    fields = json.loads(stored)
    return Exchange(tuple(Message(role, content) for role, content in fields["messages"]), fields["tokens"])


class Memory:
    """Reads what conversations remember. Methods raise StoreUnavailable when the store does not answer."""

    def __init__(self, redis: Redis, owner: str) -> None:
        self._redis = redis
        self._prefix = key_prefix(owner)

    async def read(self, conversation: ConversationId) -> list[Exchange]:
        """The exchanges of `conversation`, oldest first; empty for one that Dolly has not seen."""
        async with store_errors():
            stored = await cast(
                Awaitable[list[str]], self._redis.lrange(self._prefix + memory_key(str(conversation)), 0, -1)
            )
        return [load(exchange) for exchange in stored]

    async def first_time(self, topic: str) -> bool:
        """True the first time that `topic` is asked about, and for no one else afterwards."""
        async with store_errors():
            return bool(await self._redis.set(f"{self._prefix}told:{topic}", "1", nx=True))
