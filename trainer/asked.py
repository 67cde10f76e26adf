"""A retrain as it is asked for: by hand, of a file, or by a job in the store; never two at a time."""

import hashlib
import json
import multiprocessing
import os
import signal
import sys
import traceback
import warnings
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from trainer.background import Every
from trainer.errors import BadInput, StoreAway, TrainerError
from trainer.following import Cancelled, Following, LeaseLost, Reporter
from trainer.jobs import LEASE, QUEUE, Ended, Job, Jobs, Verdict
from trainer.lease import Lease
from trainer.options import Options
from trainer.recipe import Recipe, load_recipe
from trainer.serving import Serving
from trainer.workplace import discard

if TYPE_CHECKING:
    from trainer.retrain import Outcome  # which loads torch

BUSY, WAITS = 75, 76
"""Exit statuses of a job's process: another retrain runs; or a signal or the store ended it, and the job waits."""
MOST_TRIES = 5
PARENT_SECONDS = 1.0


def share_processors() -> None:
    """Threads of torch wait for each other asleep. Has to be said before torch is loaded.

    By default they spin, which is a little faster on an idle machine, and 4 times slower where a bot answers people on
    the same processors.
    """
    os.putenv("OMP_WAIT_POLICY", "PASSIVE")  # read by the C library that torch brings along


def retrain_file(options: Options, feedback: Path, *, yes: bool, console: Console) -> "tuple[Outcome, Path]":
    """Retrain from an exported file: the outcome, and the folder that holds its picture.

    The lease of the store is taken where there is one. Raises TrainerError, KeyboardInterrupt.
    """
    lines = _lines(feedback)
    recipe = load_recipe(options.recipe, options.overrides)
    with ExitStack() as stack:
        lease, jobs = None, _jobs(options, console)
        if jobs is not None:
            lease = stack.enter_context(Lease(jobs.client, LEASE))
            if not lease.take():
                raise BadInput("Another retrain runs. Wait until it has ended, or cancel it.")
        share_processors()
        from trainer.retrain import Order, retrain  # torch takes seconds

        order = Order(
            id=f"hand-{_same(options, recipe, lines)}",
            recipe=recipe,
            lines=lambda: lines,
            withdrawn=lambda records: jobs.withdrawn(records) if jobs else frozenset(),
            serving=Serving(jobs.client) if jobs else None,
            replay=options.replay,
            base=options.base,
            yes=yes,
        )
        following = Following(console, lease=lease)
        work = options.work_folder
        outcome, _ = retrain(order, work=work, registry=options.registry, following=following, console=console)
        if jobs is not None:
            options.registry.prune(Serving(jobs.client).in_use())
        return outcome, work / order.id


def retrain_job(options: Options, job_id: str | None, *, console: Console) -> int:
    """Do a job of the store, or the oldest that waits, and say there what came of it.

    Returns 0 where it has ended, however it did, else BUSY or WAITS. Raises StoreAway, and BadInput for a job that does
    not wait.
    """
    jobs = options.jobs()
    job = jobs.job(job_id) if job_id else jobs.oldest(QUEUE)
    if job is None or job.kind != "retrain":
        raise BadInput(f"No retrain {job_id} waits." if job_id else "No retrain waits.")
    with Lease(jobs.client, LEASE) as lease:
        if not lease.take():
            return BUSY
        if jobs.begin(job):
            return _do(options, jobs, job, lease, console)
    return 0


def _do(options: Options, jobs: Jobs, job: Job, lease: Lease, console: Console) -> int:
    try:
        ending = _done(options, jobs, job, lease, console)
    except KeyboardInterrupt:
        jobs.put_back(job, "The worker was stopped; the retrain goes on where it was with the next.")
        return WAITS
    except LeaseLost as error:
        console.print(str(error), markup=False)
        return BUSY
    console.print(ending.sentence, markup=False, highlight=False)
    if ending.picture is not None:
        jobs.show(job, ending.picture)
    jobs.end(job, ending.state, ending.sentence, revision=ending.revision, verdict=ending.verdict)
    if ending.state == "failed":
        discard(options.work_folder, job.id)  # nobody goes on with it: who wants it again asks again
    return 0


def job_process(options: Options, job_id: str) -> None:
    """A process of its own for a job: what it takes of memory is free when it has ended. Ends with its parent."""
    warnings.simplefilter("ignore", FutureWarning)  # of libraries, to each other's authors
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal comes to the worker, which asks by SIGTERM
    console = Console(stderr=True, soft_wrap=True)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None and not parent.is_alive():
            os.kill(os.getpid(), signal.SIGTERM)

    with Every(PARENT_SECONDS, watch, "parent"):
        try:
            status = retrain_job(options, job_id, console=console)
        except TrainerError as error:
            console.print(str(error), markup=False)
            status = WAITS if isinstance(error, StoreAway) else error.exit_code
        except KeyboardInterrupt:  # before it had begun, or after it had ended
            status = WAITS
    sys.exit(status)


def unforeseen(error: Exception, console: Console) -> str:
    """What people are told of a fault of Dolly's own; the log gets the lines of code, and nobody's words."""
    where = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
    console.print(f"{type(error).__name__}\n{where}", markup=False, highlight=False)
    return (
        f"This met something that nobody foresaw ({type(error).__name__}) and has stopped; what answers people has "
        "not changed. The log of dolly-trainer says where."
    )


@dataclass(frozen=True, slots=True)
class _Ending:
    state: Ended
    sentence: str
    revision: str = ""
    verdict: Verdict = ""
    picture: bytes | None = None


def _done(options: Options, jobs: Jobs, job: Job, lease: Lease, console: Console) -> _Ending:
    """How the job ended. Raises StoreAway, KeyboardInterrupt, LeaseLost: it has not, then."""
    try:
        if jobs.is_cancelled(job.id):
            return _Ending("cancelled", "The retrain was cancelled before it began.")
        if job.yes and job.revision:
            options.registry.allow(job.revision, by=job.asked_by)
            return _Ending("done", f"Revision {job.revision} may be promoted.", job.revision, "passed")
        recipe = load_recipe(job.recipe or options.recipe, options.overrides)
        with Reporter(jobs, job.id) as reporter:
            share_processors()
            from trainer.retrain import Order, retrain  # torch takes seconds

            order = Order(
                id=job.id,
                recipe=recipe,
                lines=lambda: jobs.export(job),
                withdrawn=lambda records: jobs.withdrawn(records, job),
                serving=Serving(jobs.client),
                by=job.asked_by,
                replay=options.replay,
                base=options.base,
                yes=job.yes,
                most_tries=MOST_TRIES,
            )
            following = Following(console, lease=lease, reporter=reporter)
            work = options.work_folder
            outcome, picture = retrain(
                order, work=work, registry=options.registry, following=following, console=console
            )
            options.registry.prune(Serving(jobs.client).in_use())
        state: Ended = "done" if outcome.verdict == "passed" else "refused"
        return _Ending(state, outcome.sentence, outcome.revision, outcome.verdict, picture)
    except LeaseLost:
        raise
    except Cancelled as error:
        return _Ending("cancelled", str(error))
    except StoreAway:
        raise
    except TrainerError as error:
        return _Ending("failed", str(error))
    except Exception as error:
        return _Ending("failed", unforeseen(error, console))


def _jobs(options: Options, console: Console) -> Jobs | None:
    """None where there is no store, unless one was named. Raises StoreAway."""
    try:
        return options.jobs()
    except StoreAway as error:
        if options.redis_url is not None:
            raise
        console.print(f"{error}\nSo nobody knows here what was withdrawn, or what answers people.", markup=False)
        return None


def _lines(feedback: Path) -> list[str]:
    try:
        return [line for line in feedback.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadInput(f"{feedback} cannot be read: {said}.") from None


def _same(options: Options, recipe: Recipe, lines: list[str]) -> str:
    """Equal for what gives equal candidates: the same command goes on with what an earlier one began."""
    asked = [asdict(recipe), lines, options.replay, options.base, options.registry.current()]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
