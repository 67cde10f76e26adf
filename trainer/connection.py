"""The store that bot and trainer meet in: Redis or Valkey, at an address or at the socket of Dolly's own."""

import hashlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

from redis import Redis, RedisCluster
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    AuthenticationError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
)
from redis.retry import Retry

from trainer.errors import BadInput, StoreAway

LONGEST_SOCKET_PATH_BYTES = 100
"""What bot/local/store.py allows: beyond that, its socket lies in the system's temporary folder."""
TRIES = 12
"""Of a command, in some 15 seconds: a store that is started anew is back by then."""

REASONS: dict[type[Exception], str] = {
    AuthenticationError: "The store refuses the user or password in REDIS_URL; correct it.",
    NoPermissionError: "The store's user may not do all that the trainer needs; deploy/store-users.acl lists it.",
    OutOfMemoryError: "The store's memory is full; raise its maxmemory.",
    ReadOnlyError: "The store is a read-only replica; let REDIS_URL name the primary.",
    MovedError: "The store is one node of a cluster; set REDIS_CLUSTER=1.",
    ssl.SSLError: "The store's certificate is not trusted; name its CA in REDIS_URL, as ?ssl_ca_certs=<file>.",
}
"""By what a server or a connection says, a sentence with what to do."""


def default_url(data: Path) -> str:
    """The socket of the store that Dolly runs in its data folder."""
    directory = (data / "store").absolute()
    path = directory / "store.sock"
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH_BYTES:
        name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"dolly-{name}" / "store.sock"
    return f"unix://{quote(str(path))}"


def connect(url: str, *, cluster: bool = False) -> Redis:
    """A client of a server that answers now, and that is waited for where it is started anew.

    With `cluster`, `url` names one of a cluster's nodes. Raises BadInput where `url` is none, StoreAway where nobody
    answers there, or not to us.
    """
    try:
        with _client(url, Retry(NoBackoff(), 1), cluster=cluster) as probe, store_errors(url):
            probe.ping()
    except ValueError:  # its words may be a piece of the password
        raise BadInput(
            "REDIS_URL is no address of a store: it begins with redis://, rediss:// or unix://, and in a password / is "
            "written %2F, # %23 and ? %3F."
        ) from None
    return _client(url, Retry(ExponentialBackoff(cap=2.0, base=0.05), TRIES), cluster=cluster)


def _client(url: str, retry: Retry, *, cluster: bool) -> Redis:
    options: dict[str, Any] = {
        "decode_responses": True,
        "encoding_errors": "surrogatepass",
        "socket_connect_timeout": 5,
        "socket_timeout": 15,
        "retry": retry,
        "client_name": "dolly-trainer",
        "protocol": 2,  # the client tries commands of later servers under protocol 3,
        "driver_info": None,  # and with this
    }
    with store_errors(url):
        # A cluster's client has the same commands, and all that are sent touch one key.
        return cast(Redis, RedisCluster.from_url(url, **options)) if cluster else Redis.from_url(url, **options)


@contextmanager
def store_errors(url: str = "") -> Iterator[None]:
    """Turn whatever goes wrong with the store in the body into StoreAway; `url` is named without its password."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:
        raise StoreAway(_sentence(error, url)) from None


def _sentence(error: Exception, url: str) -> str:
    """The server's own words are left out: they may quote what was to be stored."""
    reason: BaseException | None = error
    while reason is not None:
        for kind, sentence in REASONS.items():
            if isinstance(reason, kind):
                return sentence
        reason = reason.__cause__ or reason.__context__
    return (
        f"No store answers{_where(url)} ({type(error).__name__}). Is Dolly running? --redis-url or REDIS_URL names its "
        "store; without them, it is that of the data folder (--data)."
    )


def _where(url: str) -> str:
    parts = urlsplit(url)
    if parts.hostname:
        return f" at {parts.hostname}:{parts.port or 6379}"
    return f" at {parts.path}" if parts.path else ""
