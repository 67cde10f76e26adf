"""A retrain as it is followed: what the terminal and the admin's thread are told, and what may stop it."""

import threading
from collections import deque
from types import TracebackType

from rich.console import Console

from trainer.background import Every
from trainer.errors import StoreAway, TrainerError
from trainer.jobs import Jobs
from trainer.lease import Lease
from trainer.progress import Moment

REPORT_SECONDS = 1.0
MOST_WAITING = 100
"""Reports that are kept while the store is away."""

TITLES = {
    "export_feedback": "Reading the feedback",
    "import_base": "Importing the base",
    "mix": "Mixing the data set",
    "tune": "Tuning",
    "export": "Exporting",
    "gate": "Judging the candidate",
    "register": "Keeping the candidate",
}


class Stopped(TrainerError):
    """A retrain that ends before its time, with all that it needs to be gone on with."""


class Cancelled(Stopped):
    """Somebody asked for that; nobody goes on with it."""


class LeaseLost(Stopped):
    """Another may run by now."""


class Reporter:
    """Tells the store how far a job is, about once a second, and learns whether somebody asks to stop.

    It does so in a thread: who works never waits for the store, and goes on while it is away. A context manager.
    """

    def __init__(self, jobs: Jobs, job_id: str, *, seconds: float = REPORT_SECONDS) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._waiting: deque[tuple[str, Moment, str]] = deque(maxlen=MOST_WAITING)
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._every = Every(seconds, self._tell, "reporter")

    def put(self, stage: str, moment: Moment, sentence: str = "") -> None:
        """Of one stage, the newest that is not told yet takes the place of the one before it."""
        with self._lock:
            if self._waiting and self._waiting[-1][0] == stage and not self._waiting[-1][2]:
                self._waiting.pop()
            self._waiting.append((stage, moment, sentence))

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def __enter__(self) -> "Reporter":
        self._every.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._every.close()
        self._tell()

    def _tell(self) -> None:
        try:
            while report := self._next():
                self._jobs.report(self._job_id, *report)
            if self._jobs.is_cancelled(self._job_id):
                self._cancelled.set()
        except StoreAway:
            pass  # asked and told again in a second

    def _next(self) -> tuple[str, Moment, str] | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None


class Following:
    """Who follows a retrain: the terminal, and the admin's thread where a job in the store asked for it."""

    def __init__(self, console: Console, *, lease: Lease | None = None, reporter: Reporter | None = None) -> None:
        self._console = console
        self._lease = lease
        self._reporter = reporter
        self._stage = ""

    def begin(self, stage: str) -> None:
        """The stage of the retrain that begins now. Raises Stopped."""
        self.check()
        self._stage = stage
        self._console.print(f"[bold]{TITLES[stage]}[/]", highlight=False)
        self.told(Moment())

    def told(self, moment: Moment) -> None:
        """How far the stage is."""
        if self._reporter is not None:
            self._reporter.put(self._stage, moment)

    def say(self, sentence: str) -> None:
        """Something that people should know of the stage."""
        self._console.print(sentence, markup=False, highlight=False)
        if self._reporter is not None:
            self._reporter.put(self._stage, Moment(), sentence)

    def stops(self) -> bool:
        """Whether it is to end where it stands."""
        return self._is_lost or self._is_cancelled

    def check(self) -> None:
        """Raises Cancelled or LeaseLost where it is to end."""
        if self._is_cancelled:
            raise Cancelled("The retrain was cancelled; nothing in service has changed.")
        if self._is_lost:
            raise LeaseLost(
                "The lease of the retrain was lost, for the store could not be reached in time, or another took it: "
                "whoever holds it now goes on where this one stopped."
            )

    @property
    def _is_lost(self) -> bool:
        return self._lease is not None and self._lease.is_lost

    @property
    def _is_cancelled(self) -> bool:
        return self._reporter is not None and self._reporter.is_cancelled
