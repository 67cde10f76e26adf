"""A lease: a lock in the store that only lasts while its holder renews it, so that nobody waits for the dead."""

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from redis import Redis
from redis.exceptions import LockError
from redis.lock import Lock

from trainer.background import Every
from trainer.connection import store_errors
from trainer.errors import StoreAway

SECONDS = 60.0
"""How long a lease lasts that nobody renews."""
RENEWALS = 4
"""In that time: a store may be away for most of it."""


class Lease:
    """One name, held by one process at a time. Renewed by a thread; a context manager that gives it back."""

    def __init__(
        self, client: Redis, name: str, *, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = Lock(client, name, timeout=seconds, blocking=False, thread_local=False)
        self._seconds = seconds
        self._clock = clock
        self._renewed = 0.0
        self._is_lost = False
        self._renewing: Every | None = None

    @store_errors()
    def take(self) -> bool:
        """Whether it is ours now; False where another holds it. Raises StoreAway."""
        asked = self._clock()
        token = uuid.uuid4().hex  # of itself redis-py takes uuid1, for which the C library asks a daemon of the system
        if not self._lock.acquire(token=token):
            return False
        self._renewed, self._is_lost = asked, False
        self._renewing = Every(self._seconds / RENEWALS, self._renew, "lease")
        self._renewing.start()
        return True

    @property
    def is_lost(self) -> bool:
        """Whether another may hold it by now: it was taken away, or could not be renewed in time."""
        return self._is_lost or self._clock() > self._renewed + self._seconds

    def give_back(self) -> None:
        """Harmless where it is lost, or the store is away: it ends by itself."""
        if self._renewing is not None:
            self._renewing.close()
            self._renewing = None
        with suppress(LockError, StoreAway), store_errors():
            self._lock.release()

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.give_back()

    def _renew(self) -> None:
        asked = self._clock()
        with suppress(StoreAway), store_errors():  # asked again soon; is_lost tells by the clock
            try:
                self._lock.reacquire()
                self._renewed = asked
            except LockError:
                self._is_lost = True
