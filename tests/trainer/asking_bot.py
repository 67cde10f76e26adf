"""The bot's side of `retrain:*`, a call at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from redis import Redis

from bot.store.connection import connect
from bot.store.retraining import Request, Retraining

T = TypeVar("T")
KEY = b"r" * 32


def reports(client: Redis, job_id: str) -> list[dict[str, str]]:
    """All that was told of a job, the oldest first; the bot reads the newest alone."""
    entries: Any = client.xrange(f"retrain:progress:{job_id}")
    return [told for _, told in entries]


class Bot:
    """Asks a worker, as admins do in Slack."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, ask: Callable[[Retraining], Awaitable[T]]) -> T:
        async def asked() -> T:
            client = connect(self._url)
            try:
                return await ask(Retraining(client, "T1/B1", KEY))
            finally:
                await client.aclose()

        return asyncio.run(asked())

    def retrain(self, lines: Mapping[str, str], recipe: str = "") -> str:
        async def queued(retraining: Retraining) -> str:
            job_id = await retraining.prepare(Request("retrain", "U9", recipe), lines)
            await retraining.queue(job_id)
            return job_id

        return self(queued)
