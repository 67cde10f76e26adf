"""What Dolly asks of the trainer, and what it hears: jobs in the store, which `dolly-trainer worker` takes.

    retrain:queue             list: ids of retrains; the newest is the first, the worker takes the last
    retrain:acts              list: ids of promotions and rollbacks, which are done beside a retrain
    retrain:job:<id>          hash: the fields of Job, as text; 30 days
    retrain:cancel:<id>       string: the job is to be stopped
    retrain:progress:<id>     stream: the fields of Progress, as text
    retrain:plot:<id>         string: a PNG in base64
    retrain:worker            string: JSON of Worker; it ends 30 seconds after the worker does
    retrain:export:<id> …     what a retrain learns from (exported.py)

Lines of an export are sealed for one job: "1." and what `sealing.encrypted` makes of one under RETRAIN_KEY, for the
purpose "retrain <job id>", about the feedback's name. The trainer has that key, and never the key of Dolly's memory.
"""

import base64
import binascii
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from bot.errors import RetrainKeyMissing
from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.exported import Exported
from bot.store.sealing import encrypted

JobKind = Literal["retrain", "promote", "rollback"]
JobState = Literal["queued", "running", "done", "refused", "failed", "cancelled"]

JOB_SECONDS = 30 * 86_400
STORE_SECONDS = 1.5
CANCELLED = "Cancelled before it began."


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a worker."""

    kind: JobKind
    asked_by: str
    """A person's id in Slack."""
    recipe: str = ""
    """Name or path of a recipe at the worker; "" for the worker's own."""
    revision: str = ""
    """What to promote or to go back to; "" for what the trainer finds itself."""
    canary: tuple[str, ...] = ()
    """The channels that alone get the revision."""
    yes: bool = False
    """Whether somebody said yes to `revision`, of which the gate said that there was not enough evidence."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request, and what became of it."""

    id: str
    request: Request
    owner: str
    """Whose it is: one app in one team (bot/store/layout.py)."""
    asked_at: float
    state: JobState
    stage: str = ""
    sentence: str = ""
    """The worker's last word for people, in English."""
    result: str = ""
    """The revision that came of it."""
    verdict: str = ""
    """The gate's: passed, refused, not_enough_evidence."""

    @property
    def has_ended(self) -> bool:
        return self.state not in ("queued", "running")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a retrain was at one moment; None for what is not known."""

    stage: str
    done: int | None
    total: int | None
    loss: float | None
    seconds_left: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that lives."""

    host: str
    since: float
    """Seconds since 1970."""
    recipe: str


@dataclass(frozen=True, slots=True)
class TrainerReport:
    """Whether somebody trains, and how much there is to do."""

    lives: bool
    waiting: int
    """Retrains that wait or run."""


class Retraining:
    """The bot's side of `retrain:*`. Every method raises StoreUnavailable."""

    def __init__(self, client: Client, owner: str, key: bytes | None) -> None:
        """`owner` as in Layout; `key` of 32 bytes is RETRAIN_KEY, without which no retrain can be asked for."""
        self._client = client
        self._owner = owner
        self._key = key
        self.exported = Exported(client)
        self._hold, self._cancel = load_script("hold"), load_script("cancel")

    async def prepare(self, request: Request, lines: Mapping[str, str]) -> str:
        """Write a retrain down with what it learns from, lines by their feedback's names; its id. `queue` has it done.

        Raises RetrainKeyMissing, with what to set.
        """
        if self._key is None:
            raise RetrainKeyMissing
        job_id = await self._write(request)
        purpose = f"retrain {job_id}"
        sealed = {name: f"1.{encrypted(self._key, purpose, name, line)}" for name, line in lines.items()}
        await self.exported.put(job_id, sealed)
        return job_id

    async def queue(self, job_id: str) -> None:
        """Have a worker do it, after what was queued before."""
        async with store_errors():
            await self._client.lpush("retrain:queue", job_id)

    async def ask(self, request: Request) -> str:
        """Have a worker do what learns from nothing: a promotion, a rollback, a yes to a revision. The job's id."""
        job_id = await self._write(request)
        async with store_errors():
            await self._client.lpush("retrain:queue" if request.kind == "retrain" else "retrain:acts", job_id)
        return job_id

    async def job(self, job_id: str) -> Job | None:
        """How it stands; None where it is long over."""
        async with store_errors(STORE_SECONDS):
            stored: Any = await self._client.hgetall(f"retrain:job:{job_id}")
        return _job(job_id, stored) if stored else None

    async def waiting(self) -> list[Job]:
        """The retrains that wait or run, the next to be done first: what runs stands in front."""
        async with store_errors(STORE_SECONDS):
            job_ids: Any = await self._client.lrange("retrain:queue", 0, -1)
        jobs = [await self.job(job_id) for job_id in reversed(job_ids)]
        return [job for job in jobs if job and not job.has_ended]

    async def cancel(self, job_id: str) -> None:
        """Have it stopped: at once where nobody has begun it, else by its worker, soon."""
        async with store_errors():
            await self._client.set(f"retrain:cancel:{job_id}", "1", ex=JOB_SECONDS)
            if not await run_script(self._client, self._cancel, [f"retrain:job:{job_id}"], [CANCELLED]):
                return
            await self._client.lrem("retrain:queue", 0, job_id)
            await self._client.lrem("retrain:acts", 0, job_id)
        await self.exported.drop(job_id)

    async def latest(self, job_id: str) -> Progress | None:
        """What its worker has told last; None where it has told nothing."""
        async with store_errors(STORE_SECONDS):
            entries: Any = await self._client.xrevrange(f"retrain:progress:{job_id}", count=1)
        return next((_progress(told) for _, told in entries), None)

    async def plot(self, job_id: str) -> bytes | None:
        """Its picture, a PNG; None where there is none."""
        async with store_errors(STORE_SECONDS):
            stored: Any = await self._client.get(f"retrain:plot:{job_id}")
        try:
            return base64.b64decode(stored, validate=True) if stored else None
        except (binascii.Error, ValueError):
            return None

    async def worker(self) -> Worker | None:
        """The worker that lives; None where none does."""
        async with store_errors(STORE_SECONDS):
            stored: Any = await self._client.get("retrain:worker")
        try:
            told = json.loads(stored or "{}")
            return Worker(str(told["host"]), float(told["since"]), str(told.get("recipe", "")))
        except (ValueError, KeyError, TypeError):
            return None

    async def report(self) -> TrainerReport:
        """How the trainer stands just now."""
        return TrainerReport(await self.worker() is not None, len(await self.waiting()))

    async def _write(self, request: Request) -> str:
        now = datetime.now(UTC)
        job_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        fields: Sequence[str] = [
            *("kind", request.kind, "asked_by", request.asked_by, "owner", self._owner),
            *("asked_at", repr(now.timestamp()), "recipe", request.recipe, "revision", request.revision),
            *("canary", json.dumps(request.canary), "yes", "1" if request.yes else ""),
            *("state", "queued", "stage", "", "sentence", "", "result", "", "verdict", ""),
        ]
        async with store_errors():
            await run_script(self._client, self._hold, [f"retrain:job:{job_id}"], [JOB_SECONDS, *fields])
        return job_id


def _job(job_id: str, stored: Mapping[str, str]) -> Job:
    """What is stored of a job; anything that is missing is as if nothing had been said."""
    kind: Any = stored.get("kind")
    state: Any = stored.get("state")
    request = Request(
        kind if kind in get_args(JobKind) else "retrain",
        stored.get("asked_by", ""),
        stored.get("recipe", ""),
        stored.get("revision", ""),
        tuple(json.loads(stored.get("canary") or "[]")),
        stored.get("yes") == "1",
    )
    told = {name: stored.get(name, "") for name in ("stage", "sentence", "result", "verdict")}
    asked_at = float(stored.get("asked_at") or 0)
    state = state if state in get_args(JobState) else "running"
    return Job(job_id, request, stored.get("owner", ""), asked_at, state, **told)


def _progress(told: Mapping[str, str]) -> Progress:
    return Progress(
        told.get("stage", ""),
        _whole(told.get("done", "")),
        _whole(told.get("total", "")),
        _real(told.get("loss", "")),
        _real(told.get("seconds_left", "")),
        told.get("sentence", ""),
    )


def _whole(text: str) -> int | None:
    number = _real(text)
    return None if number is None else round(number)


def _real(text: str) -> float | None:
    """A number that is one; None for anything else, such as nan."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
