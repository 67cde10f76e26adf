"""What lies in Dolly's data folder, got at as `dolly local` does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from bot.local.store import LocalStore
from bot.store.connection import connect
from bot.store.sealing import Sealing, own_key


@asynccontextmanager
async def store_of(data: Path) -> AsyncIterator[tuple[Redis, Sealing]]:
    """The store of a data folder, as `dolly local` runs it."""
    store = LocalStore(data / "store")
    await store.start()
    client = connect(store.url)
    assert isinstance(client, Redis)
    try:
        yield client, Sealing([own_key(data / "memory.key")])
    finally:
        await client.aclose()
        await store.stop()
