"""The workers: claimed turns, several conversations at a time, each in its own order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from bot import metrics, tracing
from bot.audit import hashed
from bot.background import for_ever
from bot.errors import DollyError, LeaseLost, StoreUnavailable
from bot.store.claims import Claim
from bot.store.mailbox import Mailbox
from bot.store.settlings import Settling, Settlings
from bot.turns import Turns

log = structlog.get_logger(__name__)

IDLE_SECONDS = 0.25
SETTLE_IDLE_SECONDS = 2.0
STORE_RETRY_SECONDS = 0.5
RENEW_SECONDS = 1.0


class Workers:
    """Takes turns out of the mailbox, keeps their leases, and has threads read again where that is due."""

    def __init__(
        self,
        mailbox: Mailbox,
        turns: Turns,
        settlings: Settlings,
        settle: Callable[[Settling], Awaitable[bool]],
        *,
        concurrent_answers: int,
        finish_seconds: float = 1.0,
    ) -> None:
        self._mailbox = mailbox
        self._turns = turns
        self._settlings = settlings
        self._settle = settle
        self._finish_seconds = finish_seconds
        self._places = asyncio.Semaphore(concurrent_answers)
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer until cancelled. Running answers may finish then, for `finish_seconds`; the others are handed back."""
        settling = asyncio.create_task(for_ever(self._settle_next, "settling"))
        try:
            while True:
                await self._places.acquire()
                claim, began = await self._next_claim()
                task = asyncio.create_task(self._handle(claim, began))
                self._answering.add(task)
                task.add_done_callback(self._answered)
        finally:
            settling.cancel()
            if self._answering:
                await asyncio.wait(self._answering, timeout=self._finish_seconds)
            for task in self._answering:
                task.cancel()
            await asyncio.gather(settling, *self._answering, return_exceptions=True)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        self._places.release()

    async def _next_claim(self) -> tuple[Claim, int]:
        """A claim, and when the store was asked for it (tracing.now)."""
        while True:
            began = tracing.now()
            try:
                if claim := await self._claim():
                    metrics.attempts.inc()
                    if claim.claims > 1:
                        metrics.takeovers.inc()
                    return claim, began
                await self._mailbox.wait(IDLE_SECONDS)
            except StoreUnavailable as error:
                log.warning("store_unavailable", reason=str(error))
                await asyncio.sleep(STORE_RETRY_SECONDS)
            except Exception as error:  # a mistake of ours, about one turn perhaps: the others are answered
                log.exception("claim_failed", error=type(error).__name__)
                await asyncio.sleep(STORE_RETRY_SECONDS)

    async def _claim(self) -> Claim | None:
        """What the mailbox hands out; where this is cancelled meanwhile, it is handed back."""
        claiming = asyncio.create_task(self._mailbox.claim())
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with contextlib.suppress(DollyError):
                if claim := await claiming:
                    await self._mailbox.fail(claim, delay_seconds=0, counted=False)
            raise

    async def _handle(self, claim: Claim, began: int) -> None:
        """End one turn: committed, handed back, or in another worker's hands."""
        job = log.bind(job=claim.job_id, claim=claim.claims)
        try:
            with tracing.turn(_attributes(claim), began):
                async with self._lease_kept(claim) as stop:
                    await self._turns.end(claim, stop)
        except LeaseLost:
            metrics.lease_lost.inc()
            job.warning("lease_lost")
        except StoreUnavailable as error:
            # The lease ends by itself, and the turn is claimed again.
            job.warning("store_unavailable", reason=str(error))
        except asyncio.CancelledError:
            with contextlib.suppress(DollyError):
                await self._mailbox.fail(claim, delay_seconds=0, counted=False)
            raise
        except Exception as error:  # a mistake of ours: the lease ends by itself, and the attempt has counted
            job.exception("turn_failed", error=type(error).__name__)

    async def _settle_next(self) -> None:
        """Read a thread again in which two workers may have written, when both must be done."""
        try:
            settling = await self._settlings.next()
            if settling is None:
                await asyncio.sleep(SETTLE_IDLE_SECONDS)
            elif await self._settle(settling):
                await self._settlings.done(settling)
        except DollyError as error:
            log.warning("not_settled", error=type(error).__name__, reason=str(error))
            await asyncio.sleep(STORE_RETRY_SECONDS)

    @contextlib.asynccontextmanager
    async def _lease_kept(self, claim: Claim) -> AsyncIterator[asyncio.Event]:
        """Renew the lease while the body runs; the event that it gets is set when the user wants the answer to stop.

        Raises LeaseLost out of the body as soon as another worker has the turn.
        """
        body = asyncio.current_task()
        assert body is not None
        stop = self._mailbox.stop_of(claim)
        lost: LeaseLost | None = None

        async def keep() -> None:
            nonlocal lost
            while lost is None:
                await asyncio.sleep(min(RENEW_SECONDS, self._mailbox.lease_seconds / 3))
                try:
                    if await self._mailbox.renew(claim):
                        stop.set()
                except StoreUnavailable:
                    pass
                except LeaseLost as error:
                    lost = error
                    body.cancel()
                except Exception as error:  # a mistake of ours, of which the next try may know nothing
                    log.exception("not_renewed", job=claim.job_id, error=type(error).__name__)

        keeping = asyncio.create_task(keep())
        try:
            yield stop
        except asyncio.CancelledError:
            if lost is None:
                raise
            body.uncancel()
            raise lost from None
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


def _attributes(claim: Claim) -> tracing.Attributes:
    """What a trace tells of a claim."""
    return {
        tracing.CONVERSATION: hashed(claim.turn.conversation),
        tracing.ATTEMPT: claim.attempt,
        tracing.CLAIMS: claim.claims,
        tracing.WAITED_SECONDS: claim.age_seconds,
    }
