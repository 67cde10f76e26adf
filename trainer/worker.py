"""`dolly-trainer worker`: waits on the machine that tunes, and does what admins ask for in Slack.

A retrain runs in a process of its own, one at a time in all; promotions and rollbacks are done at once, beside it. What
ends a worker loses nothing: a job stays in the store until it is done, and the next worker goes on with it.
"""

import multiprocessing
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.context import SpawnProcess
from types import FrameType

from rich.console import Console

from trainer.asked import BUSY, MOST_TRIES, WAITS, job_process, unforeseen
from trainer.background import Every
from trainer.errors import StoreAway, TrainerError
from trainer.jobs import ACTING, ACTS, QUEUE, Job, Jobs
from trainer.lease import Lease
from trainer.options import Options
from trainer.progress import Moment
from trainer.serving import Serving
from trainer.stages.promote import promote, rollback, settle

HEARTBEAT_SECONDS = 10.0
LOOK_SECONDS = 1.0
STORE_AWAY_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""What a retrain gets to save where it stands, when the worker is told to end."""

ACT_SECONDS = 10.0
"""And a promotion, to come to its end; one that does not is gone on with by the next worker."""


class Worker:
    """One worker. `once` ends it when nothing waits any more."""

    def __init__(self, options: Options, *, once: bool, console: Console) -> None:
        self._options = options
        self._once = once
        self._console = console
        self._ending = threading.Event()
        self._since = time.time()
        self._crashes: dict[str, int] = {}

    def run(self) -> None:
        """Until SIGTERM or Ctrl-C. Raises StoreAway where the store cannot be reached at all."""
        jobs = self._options.jobs()
        before = {number: signal.signal(number, self._end) for number in (signal.SIGTERM, signal.SIGINT)}
        settle(self._options.registry, Serving(jobs.client))  # what a killed promotion left
        acts = Every(LOOK_SECONDS, partial(self._unless_away, partial(self._act, jobs)), "acts")
        try:
            with Every(HEARTBEAT_SECONDS, partial(self._unless_away, partial(self._live, jobs)), "heartbeat"):
                acts.start()
                self._console.print(f"Waiting for retrains; the recipe is {self._options.recipe}.", highlight=False)
                while not self._ending.is_set():
                    is_idle = self._unless_away(lambda: self._retrain(jobs))
                    if self._once and is_idle:
                        break
                    self._ending.wait(LOOK_SECONDS)
                acts.close(ACT_SECONDS if self._ending.is_set() else None)
            if self._once:
                self._unless_away(lambda: self._act(jobs))
        finally:
            self._unless_away(jobs.gone)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ending.set()

    def _live(self, jobs: Jobs) -> None:
        jobs.live(socket.gethostname(), self._since, self._options.recipe)

    def _retrain(self, jobs: Jobs) -> bool:
        """Do the oldest retrain; whether there was nothing to do."""
        job = jobs.oldest(QUEUE)
        if job is None:
            return True
        if jobs.is_leased():
            return False  # another worker, or somebody at a terminal
        self._console.print(f"Retrain {job.id}, asked for by {job.asked_by}.", markup=False, highlight=False)
        process = multiprocessing.get_context("spawn").Process(target=job_process, args=(self._options, job.id))
        process.start()
        self._wait_for(process)
        if process.exitcode not in (0, BUSY, WAITS) and not self._ending.is_set():
            self._crashed(jobs, job, process.exitcode)
        return False

    def _wait_for(self, process: SpawnProcess) -> None:
        while process.is_alive():
            if self._ending.is_set():
                process.terminate()
                process.join(PATIENCE_SECONDS)
                process.kill()
            process.join(LOOK_SECONDS)

    def _crashed(self, jobs: Jobs, job: Job, status: int | None) -> None:
        """A process that ended without a word is begun again, some times; it goes on where it was."""
        times = self._crashes[job.id] = self._crashes.get(job.id, 0) + 1
        why = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
        self._console.print(f"The retrain's process ended by {why}, time {times} of {MOST_TRIES}.", highlight=False)
        if times >= MOST_TRIES:
            jobs.end(
                job,
                "failed",
                f"The process of the retrain ended {times} times before its time ({why}), most likely for want of "
                "memory; nothing in service has changed. The worker's log and the system's say more.",
            )
        self._ending.wait(STORE_AWAY_SECONDS)

    def _act(self, jobs: Jobs) -> None:
        """Do the promotions and rollbacks that wait, the oldest first."""
        while not self._ending.is_set() and (job := jobs.oldest(ACTS)):
            with Lease(jobs.client, ACTING) as lease:
                if not lease.take():
                    return  # another worker is at it
                if jobs.begin(job):
                    self._do(jobs, job)

    def _do(self, jobs: Jobs, job: Job) -> None:
        self._console.print(f"{job.kind} {job.revision}, asked for by {job.asked_by}.", markup=False, highlight=False)
        serving = Serving(jobs.client)
        try:
            sentence = self._done(jobs, job, serving)
        except StoreAway:
            raise  # it stays where it is, and is done again
        except TrainerError as error:
            jobs.end(job, "failed", str(error))
        except Exception as error:
            jobs.end(job, "failed", unforeseen(error, self._console))
        else:
            now = serving.current()
            jobs.end(job, "done", sentence, revision=job.revision or (now.revision if now else ""))

    def _done(self, jobs: Jobs, job: Job, serving: Serving) -> str:
        """What is in service then, as a sentence. Raises TrainerError."""

        def told(stage: str, sentence: str) -> None:
            jobs.report(job.id, stage, Moment(), sentence)

        registry, key = self._options.registry, self._options.engine_key
        if job.kind == "promote":
            return promote(
                registry,
                serving,
                job.revision,
                canary=job.canary,
                by=job.asked_by,
                yes=job.yes,
                engine_key=key,
                attempt_id=job.id,
                told=told,
            )
        return rollback(
            registry,
            serving,
            revision=job.revision or None,
            by=job.asked_by,
            engine_key=key,
            attempt_id=job.id,
            told=told,
        )

    def _unless_away(self, work: Callable[[], bool | None]) -> bool | None:
        """What `work` says; None while the store is away, which a worker waits for."""
        try:
            return work()
        except StoreAway:
            self._ending.wait(STORE_AWAY_SECONDS)
            return None
