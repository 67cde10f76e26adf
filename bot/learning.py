"""What admins ask of the trainer: to train with what is approved, and to change which model answers.

The trainer works elsewhere and takes its time. What is asked for is written down for it (bot/store/retraining.py), and
whoever follows the jobs in Slack tells what comes of them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.errors import EngineUnowned, NothingToAllow, NoTrainer
from bot.exports import Exports
from bot.store.followed import Followed
from bot.store.retraining import Job, Progress, Request, Retraining
from bot.store.served_models import Canary, Candidate, ServedModel, ServedModels

LISTED = 5


@dataclass(frozen=True, slots=True)
class Queued:
    """A retrain waits for the trainer."""

    job_id: str
    corrections: int
    """That are approved, and learned from."""
    liked: int


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A retrain that waits or runs, and how far it is, where its worker has said."""

    job: Job
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Models:
    """What answers, and what could."""

    current: ServedModel | None
    previous: ServedModel | None
    candidate: Candidate | None
    canary: Canary | None
    retrains: tuple[Job, ...]
    """The newest that were asked for here, the newest first."""


class LearningLoop:
    """Asks. Who may has been seen to; `admin_id` is theirs. Every method raises StoreUnavailable."""

    def __init__(
        self,
        exports: Exports,
        retraining: Retraining,
        models: ServedModels,
        followed: Followed,
        *,
        approvals: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`approvals` is how many admins have to say that a revision is to answer."""
        self._exports = exports
        self._retraining = retraining
        self._models = models
        self._followed = followed
        self._approvals = approvals
        self._clock = clock

    async def retrain(self, admin_id: str, recipe: str = "") -> Queued | UnderWay:
        """Queue a retrain with all that is approved; nothing is queued where one waits or runs already.

        Raises NoTrainer, NothingToLearn, RetrainKeyMissing.
        """
        await self._see_to_trainer()
        if (under_way := await self.under_way()) is not None:
            return under_way
        job_id, export = await self._exports.retrain(self._retraining, Request("retrain", admin_id, recipe))
        await self._followed.follow(job_id, self._clock())
        return Queued(job_id, export.approved, export.liked)

    async def allow(self, admin_id: str) -> str:
        """Say yes to the last candidate, of which the gate said that there was not enough evidence; its revision.

        Raises NoTrainer, NothingToAllow.
        """
        await self._see_to_trainer()
        retrains = [job for job in await self._retrains() if job.has_ended and job.result]
        if not retrains or retrains[0].verdict != "not_enough_evidence":
            raise NothingToAllow("The last candidate was not held back for want of evidence.")
        revision = retrains[0].result
        await self._ask(Request("retrain", admin_id, revision=revision, yes=True))
        return revision

    async def cancel(self) -> UnderWay | None:
        """Have the retrain that waits or runs stopped; None where there is none."""
        under_way = await self.under_way()
        if under_way is not None:
            await self._retraining.cancel(under_way.job.id)
        return under_way

    async def under_way(self) -> UnderWay | None:
        """The retrain that runs, or is the next to."""
        waiting = await self._retraining.waiting()
        return UnderWay(waiting[0], await self._retraining.latest(waiting[0].id)) if waiting else None

    async def promote(self, admin_id: str, revision: str, canary: Sequence[str] = ()) -> int:
        """Have `revision` answer from now on, in the channels `canary` where there are some; how many admins still
        have to say the same before it is asked for.

        Raises NoTrainer, EngineUnowned.
        """
        await self._see_to_trainer(needs_owner=True)
        wanted = " ".join((revision, *sorted(canary)))
        approved = await self._models.approve(wanted, admin_id)
        if len(approved) < self._approvals:
            return self._approvals - len(approved)
        await self._ask(Request("promote", admin_id, revision=revision, canary=tuple(sorted(canary))))
        await self._models.drop_approvals(wanted)
        return 0

    async def rollback(self, admin_id: str, revision: str = "") -> None:
        """Have the revision before the one that answers answer again, or the one that is named. One admin suffices.

        Raises NoTrainer, EngineUnowned.
        """
        await self._see_to_trainer(needs_owner=True)
        await self._ask(Request("rollback", admin_id, revision=revision))

    async def models(self) -> Models:
        """What answers, what did, what is being taken into service or tried; and the newest retrains."""
        return Models(
            await self._models.current(),
            await self._models.previous(),
            await self._models.candidate(),
            await self._models.canary(),
            tuple((await self._retrains())[:LISTED]),
        )

    async def _see_to_trainer(self, *, needs_owner: bool = False) -> None:
        """Raise where nobody is there to do what is asked for: nothing may wait for somebody who never comes."""
        if await self._retraining.worker() is None:
            raise NoTrainer("No `dolly-trainer worker` lives on this store.")
        if needs_owner and await self._models.owner() is None:
            raise EngineUnowned("Nobody who could start another model writes model:owner.")

    async def _ask(self, request: Request) -> None:
        await self._followed.follow(await self._retraining.ask(request), self._clock())

    async def _retrains(self) -> list[Job]:
        """Those that were asked for here and trained something, the newest first."""
        jobs = [await self._retraining.job(job_id) for job_id in await self._followed.asked()]
        return [job for job in jobs if job and job.request.kind == "retrain" and not job.request.yes]
