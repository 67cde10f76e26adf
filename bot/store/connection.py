"""The connection to Redis or Valkey, and whether that server keeps what it is given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from bot.errors import StoreUnavailable


def key_prefix(owner: str) -> str:
    """What every key of `owner` starts with: one app in one team.

    Two Dollies may share a server, and neither may take the other's turns. The hash tag keeps the keys in
    one slot, so that a script may touch several.
    """
    return f"dolly:{{{owner}}}:"


def connect(url: str) -> Redis:
    """A client of the server at `url` that gives up quickly: whoever asks decides whether to ask again.

    Retrying inside the client would outlast Slack's three seconds. The client's own socket timeout is off:
    it waits with asyncio.wait_for, which before Python 3.12 swallows a cancellation now and then, so that a
    cancelled task would run on. Use it within `store_errors`, which has the deadline.
    """
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=2,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=15,
        client_name="dolly",
    )


@asynccontextmanager
async def store_errors(seconds: float = 5) -> AsyncIterator[None]:
    """Turn whatever goes wrong with the store in the body, or takes too long, into StoreUnavailable."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StoreUnavailable(f"The store did not answer within {seconds:g} s.") from None
    except (RedisError, OSError) as error:
        if isinstance(error.__cause__ or error, AuthenticationError):
            raise StoreUnavailable("The store refuses the user or password in REDIS_URL; correct it.") from None
        raise StoreUnavailable(f"The store does not answer ({type(error).__name__}); is it up?") from None


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What can be known of a server's promise to keep what it acknowledged."""

    version: str
    unsafe: tuple[str, ...]
    """What may lose a question, a sentence each, with what to do."""
    unknown: tuple[str, ...]
    """What the server did not tell, a sentence each."""

    @property
    def safe(self) -> bool:
        return not self.unsafe and not self.unknown


PROMISES = {
    "appendonly": (
        "yes",
        "its append-only file is off, so a restart loses what it was given; set appendonly yes",
    ),
    "appendfsync": (
        "always",
        "it acknowledges before it has written to disk, so a power cut loses up to a second; set appendfsync always",
    ),
    "maxmemory-policy": (
        "noeviction",
        "it deletes data when its memory is full; set maxmemory-policy noeviction",
    ),
}


async def inspect(redis: Redis) -> StoreReport:
    """Ask the server what it promises. Raises StoreUnavailable, with a sentence, when it does not answer."""
    async with store_errors():
        try:
            info: dict[str, Any] = await redis.info("server")
        except NoPermissionError:
            info = {}
        unsafe, unknown = [], []
        for name, (wanted, risk) in PROMISES.items():
            try:
                found = (await redis.config_get(name)).get(name)
            except ResponseError:
                found = None  # managed services and tight ACLs keep their configuration to themselves
            if found is None:
                unknown.append(f"The store does not say what its {name} is; it should be {wanted}.")
            elif found != wanted:
                unsafe.append(f"The store is unsafe: {risk}.")
    version = info.get("valkey_version") or info.get("redis_version") or "unknown"
    return StoreReport(str(version), tuple(unsafe), tuple(unknown))
