"""The parts that Dolly runs for itself where the company has none of its own: a store and an engine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.local.engine import LocalEngine
from bot.local.model import default_model_path
from bot.local.store import LocalStore


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the store and the engine answer."""

    redis_url: str
    engine_url: str


@asynccontextmanager
async def running_parts(
    data: Path,
    *,
    redis_url: str | None,
    engine_url: str | None,
    model_path: Path | None,
    tell: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Addresses]:
    """Start, under `data`, whichever of store and engine has no address of its own; stop them at the end.

    `tell` hears a phrase as each is ready. Raises LocalPartError with a sentence when one cannot start.
    """
    async with AsyncExitStack() as parts:

        async def store() -> str:
            if redis_url is not None:
                return redis_url
            own = LocalStore(data / "store")
            parts.push_async_callback(own.stop)
            await own.start()
            tell("The store is ready.")
            return own.url

        async def engine() -> str:
            if engine_url is not None:
                return engine_url
            path = model_path or default_model_path()
            own = LocalEngine(path, data / "logs")
            parts.push_async_callback(own.stop)
            await own.start()
            tell(f"The engine is ready, with the model {path.stem}.")
            return own.url

        yield Addresses(*await asyncio.gather(store(), engine()))
