"""The workers: claimed turns → answers → commits, several conversations at a time, each in its own order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from bot.errors import DollyError, LeaseLost, SlackError, SlackUnreachable, StoreUnavailable
from bot.responder import Responder
from bot.store.mailbox import Claim, Mailbox

log = structlog.get_logger(__name__)

ATTEMPTS = 3
RETRY_SECONDS = 2.0
IDLE_SECONDS = 0.25
STORE_RETRY_SECONDS = 0.5
COMMIT_RETRY_SECONDS = 0.1
RENEW_SECONDS = 1.0
FINISH_SECONDS = 1.0


class Workers:
    """Takes turns out of the mailbox, has them answered, and sees that each ends exactly once."""

    def __init__(self, mailbox: Mailbox, responder: Responder, *, concurrent_answers: int) -> None:
        self._mailbox = mailbox
        self._responder = responder
        self._places = asyncio.Semaphore(concurrent_answers)
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer until cancelled. Answers that are nearly done are finished then, the others handed back."""
        try:
            while True:
                await self._places.acquire()
                claim = await self._next_claim()
                task = asyncio.create_task(self._handle(claim))
                self._answering.add(task)
                task.add_done_callback(self._answered)
        finally:
            if self._answering:
                await asyncio.wait(self._answering, timeout=FINISH_SECONDS)
            for task in self._answering:
                task.cancel()
            await asyncio.gather(*self._answering, return_exceptions=True)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        self._places.release()

    async def _next_claim(self) -> Claim:
        while True:
            try:
                if claim := await self._mailbox.claim():
                    return claim
                await self._mailbox.wait(IDLE_SECONDS)
            except StoreUnavailable as error:
                log.warning("store_unavailable", reason=str(error))
                await asyncio.sleep(STORE_RETRY_SECONDS)

    async def _handle(self, claim: Claim) -> None:
        """Answer one turn; whatever happens, the turn ends committed, handed back, or in another worker's hands."""
        job = log.bind(job=claim.job_id, attempt=claim.attempt)
        try:
            await self._answer(claim)
        except LeaseLost:
            job.warning("lease_lost")
        except StoreUnavailable as error:
            # The lease ends by itself, and the turn is claimed again.
            job.warning("store_unavailable", reason=str(error))
        except SlackUnreachable as error:
            job.warning("slack_unreachable", reason=str(error))
            with contextlib.suppress(DollyError):
                await self._retry_or_apologise(claim)
        except asyncio.CancelledError:
            with contextlib.suppress(DollyError):
                await self._mailbox.fail(claim, delay_seconds=0)
            raise
        except Exception as error:
            job.exception("answer_failed", error=type(error).__name__)
            with contextlib.suppress(DollyError):
                await self._retry_or_apologise(claim)

    async def _retry_or_apologise(self, claim: Claim) -> None:
        if claim.attempt < ATTEMPTS:
            await self._mailbox.fail(claim, delay_seconds=RETRY_SECONDS * claim.attempt)
            return
        try:
            await self._responder.apologise(claim.turn)
        except Exception as error:  # whatever it is, this turn has had its chances
            log.error("apology_failed", job=claim.job_id, error=type(error).__name__)
        await self._mailbox.commit(claim, None)

    async def _answer(self, claim: Claim) -> None:
        """Write the answer and commit it, once, even where the store is away for a while in between."""
        stop = asyncio.Event()
        async with self._lease_kept(claim, stop):
            try:
                exchange = await self._responder.respond(claim.turn, stop)
                log.info("answered", job=claim.job_id, attempt=claim.attempt)
            except SlackError as error:
                log.error("answer_refused_by_slack", job=claim.job_id, method=error.method, reason=error.reason)
                exchange = None
            while True:
                try:
                    return await self._mailbox.commit(claim, exchange)
                except StoreUnavailable:
                    await asyncio.sleep(COMMIT_RETRY_SECONDS)

    @contextlib.asynccontextmanager
    async def _lease_kept(self, claim: Claim, stop: asyncio.Event) -> AsyncIterator[None]:
        """Renew the lease while the body runs; set `stop` when the user asks for it.

        Raises LeaseLost out of the body as soon as another worker has the turn.
        """
        body = asyncio.current_task()
        assert body is not None
        lost: LeaseLost | None = None

        async def keep() -> None:
            nonlocal lost
            try:
                while True:
                    await asyncio.sleep(min(RENEW_SECONDS, self._mailbox.lease_seconds / 3))
                    with contextlib.suppress(StoreUnavailable):
                        if await self._mailbox.renew(claim):
                            stop.set()
            except LeaseLost as error:
                lost = error
                body.cancel()

        keeping = asyncio.create_task(keep())
        try:
            yield
        except asyncio.CancelledError:
            if lost is None:
                raise
            body.uncancel()
            raise lost from None
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
