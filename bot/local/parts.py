"""The parts that Dolly runs for itself where the company has none of its own: a store and an engine."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.errors import LocalPartError
from bot.local.engine import LocalEngine
from bot.local.model import default_model_path
from bot.local.store import LocalStore


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the store and the engine answer; either may hold a password."""

    redis_url: str = field(repr=False)
    engine_url: str = field(repr=False)


@asynccontextmanager
async def running_store(
    data: Path, *, redis_url: str | None, tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[str]:
    """The store's address: `redis_url`, or that of a store of its own under `data`, for as long as the body runs.

    Raises LocalPartError with a sentence where it cannot start.
    """
    if redis_url is not None:
        yield redis_url
        return
    store = LocalStore(data / "store")
    try:
        await store.start()
        tell("The store is ready.")
        yield store.url
    finally:
        await store.stop()


@asynccontextmanager
async def running_parts(
    data: Path,
    *,
    redis_url: str | None,
    engine_url: str | None,
    model_path: Path | None,
    context_tokens: int = 2048,
    tell: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Addresses]:
    """Start, under `data`, whichever of store and engine has no address of its own; stop them at the end.

    `context_tokens` is the engine's window for each of the answers that it writes at once. `tell` hears a
    phrase as each part is ready. Raises LocalPartError with a sentence when one cannot start.
    """
    async with AsyncExitStack() as parts:
        redis_url = await parts.enter_async_context(running_store(data, redis_url=redis_url, tell=tell))
        if engine_url is None:
            path = model_path or default_model_path()
            engine = LocalEngine(path, data / "logs", context_tokens_per_slot=context_tokens)
            parts.push_async_callback(engine.stop)
            await engine.start()
            engine_url = engine.url
            tell(f"The engine is ready, with the model {path.stem}.")
        yield Addresses(redis_url, engine_url)


@asynccontextmanager
async def reachable_store(data: Path) -> AsyncIterator[str]:
    """The address of the store that Dolly keeps under `data`: of the one that runs, or of one started for the body.

    Raises LocalPartError where there is none, or none can be started.
    """
    directory = data / "store"
    if not directory.is_dir():
        raise LocalPartError(f"There is no store in {data}; name Dolly's data folder with DOLLY_DATA.")
    store = LocalStore(directory)
    if await store.answers():
        yield store.url
        return
    try:
        await store.start()
        yield store.url
    finally:
        await store.stop()
