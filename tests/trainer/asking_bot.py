"""The bot's side of `retrain:*`, a call at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from bot.store.connection import connect
from bot.store.retraining import Request, Retraining

T = TypeVar("T")
KEY = b"r" * 32


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
