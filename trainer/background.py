"""A thread that does one small thing again and again beside the long one."""

import threading
from collections.abc import Callable
from types import TracebackType


class Every:
    """Calls `work` every `seconds`, first at once, until it is closed. A context manager.

    What `work` raises ends the thread: it sees to its own failures.
    """

    def __init__(self, seconds: float, work: Callable[[], object], name: str) -> None:
        self._seconds = seconds
        self._work = work
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> "Every":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        self._thread.start()

    def close(self, patience_seconds: float | None = 5.0) -> None:
        """No further call begins; one that is under way is waited for, so long; None = until it is done."""
        self._ended.set()
        self._thread.join(patience_seconds)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._work()
            self._ended.wait(self._seconds)
