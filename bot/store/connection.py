"""The connection to Redis or Valkey, and whether that server keeps what it is given."""

import asyncio
import hashlib
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import AbstractBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from bot import metrics
from bot.errors import StoreUnavailable

Client = Redis | RedisCluster


class Losses:
    """When connections to the store were last lost: what it confirmed shortly before may be lost with it."""

    def __init__(self) -> None:
        self.last = 0.0
        """Seconds since 1970; 0 where none was."""

    def note(self) -> None:
        """One is lost now."""
        self.last = time.time()


losses = Losses()
"""Those of this process."""


class AtOnce(AbstractBackoff):
    """redis-py's way to connect anew: at once, and it is noted."""

    def compute(self, failures: int) -> float:
        losses.note()
        return 0.0


REASONS: dict[type[Exception], str] = {
    AuthenticationError: "The store refuses the user or password in REDIS_URL; correct it.",
    NoPermissionError: "The store's user may not do all that Dolly needs; deploy/store-users.acl lists it.",
    OutOfMemoryError: "The store's memory is full; raise its maxmemory, or forget what is no longer needed.",
    ReadOnlyError: "The store is a read-only replica; let REDIS_URL name the primary.",
    BusyLoadingError: "The store is still reading its files; it will answer soon.",
    MovedError: "The store is one node of a cluster; set REDIS_CLUSTER=1.",
    ssl.SSLError: "The store's certificate is not trusted; name its CA in REDIS_URL, as ?ssl_ca_certs=<file>.",
}
"""By what a server or a connection says, a sentence with what to do."""

LOST = (RedisConnectionError, BusyLoadingError, ReadOnlyError, RedisClusterException, OSError)
"""After these the store may be another server, or the same one without its last writes."""

REPLICA_SECONDS = 1.0
"""How long replicas may take to confirm: Slack waits three seconds for all of it."""


def connect(url: str, *, cluster: bool = False) -> Client:
    """A client of the server at `url` that gives up quickly: whoever asks decides whether to ask again.

    With `cluster`, `url` names one of the cluster's nodes. Raises StoreUnavailable where `url` cannot be one.

    Retrying inside the client would outlast Slack's three seconds. The client's own socket timeout is off:
    it waits with asyncio.wait_for, which before Python 3.12 swallows a cancellation now and then, so that a
    cancelled task would run on. Use it within `store_errors`, which has the deadline.
    """
    options: dict[str, Any] = {
        "decode_responses": True,
        "encoding_errors": "surrogatepass",  # half a character in a question must not make it unstorable
        "socket_connect_timeout": 2,
        "socket_timeout": None,
        "retry": Retry(AtOnce(), 1),
        "health_check_interval": 15,
        "client_name": "dolly",
        "protocol": 2,  # the client tries commands of later servers under protocol 3,
        "driver_info": None,  # and with this
    }
    try:
        return RedisCluster.from_url(url, **options) if cluster else Redis.from_url(url, **options)
    except RedisClusterException as error:
        raise StoreUnavailable(f"REDIS_URL does not fit REDIS_CLUSTER=1: {error}.") from None


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, which the server runs whole or not at all."""

    text: str
    sha: str
    """By which a server that has seen it knows it."""


def load_script(name: str) -> Script:
    """`name`.lua of this folder."""
    text = files("bot.store").joinpath(f"{name}.lua").read_text()
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


async def run_script(
    client: Client, script: Script, keys: Sequence[str], args: Sequence[Any], *, wait_replicas: int = 0
) -> Any:
    """What `script` returns, on the node that has `keys`. To be called within `store_errors`.

    With `wait_replicas`, raises StoreUnavailable when fewer replicas confirm what it wrote; it has been written then.
    """
    rest = (len(keys), *keys, *args)
    try:
        return await _call(client, ("EVALSHA", script.sha, *rest), keys[0], wait_replicas)
    except NoScriptError:
        return await _call(client, ("EVAL", script.text, *rest), keys[0], wait_replicas)


async def _call(client: Client, command: tuple[Any, ...], key: str, wait_replicas: int) -> Any:
    if not wait_replicas:
        return await client.execute_command(*command)
    wait = ("WAIT", wait_replicas, round(REPLICA_SECONDS * 1000))
    # WAIT speaks of its own connection's writes only, hence one pipeline.
    if isinstance(client, RedisCluster):
        reply, confirmed = await _on_one_node(client, command, wait, key)
    else:
        async with client.pipeline(transaction=False) as pipe:
            pipe.execute_command(*command)
            pipe.execute_command(*wait)
            reply, confirmed = await pipe.execute(raise_on_error=False)
    for answer in (reply, confirmed):
        if isinstance(answer, Exception):
            raise answer
    if confirmed < wait_replicas:
        raise StoreUnavailable(
            f"The store has {confirmed} replicas that confirm what is written, and REDIS_WAIT_REPLICAS wants "
            f"{wait_replicas}; is one down?"
        )
    return reply


async def _on_one_node(client: RedisCluster, command: tuple[Any, ...], wait: tuple[Any, ...], key: str) -> list[Any]:
    """Both commands on one connection to the node that has `key`."""
    for _ in range(2):
        await client.initialize()
        node = client.get_node_from_key(key)
        async with client.pipeline() as pipe:
            pipe.execute_command(*command, target_nodes=node)
            pipe.execute_command(*wait, target_nodes=node)
            replies = await pipe.execute(raise_on_error=False, allow_redirections=False)
        if not isinstance(replies[0], MovedError):
            break
        await client.exists(key)  # redis-py follows, and knows the key's node from now on
    return list(replies)


@asynccontextmanager
async def store_errors(seconds: float = 5) -> AsyncIterator[None]:
    """Turn whatever goes wrong with the store in the body, or takes too long, into StoreUnavailable."""
    try:
        with metrics.store_seconds.time():
            async with asyncio.timeout(seconds):
                yield
    except TimeoutError:
        losses.note()
        raise StoreUnavailable(f"The store did not answer within {seconds:g} s.") from None
    except (RedisError, RedisClusterException, OSError) as error:
        if isinstance(error, LOST):
            losses.note()
        raise StoreUnavailable(_sentence(error)) from None


def _sentence(error: Exception) -> str:
    """What is wrong with the store. The server's own words are left out: they may quote what was to be stored."""
    reason: BaseException | None = error
    while reason is not None:
        for kind, sentence in REASONS.items():
            if isinstance(reason, kind):
                return sentence
        reason = reason.__cause__ or reason.__context__
    if "Cluster mode is not enabled" in str(error):
        return "The store is no cluster; leave REDIS_CLUSTER out."
    return f"The store does not answer ({type(error).__name__}); is it up?"
