"""What becomes of one claimed turn: an answer, an apology, another try, or a dead letter."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from bot import metrics, tracing
from bot.audit import AuditLog
from bot.conversation import Exchange, Turn
from bot.errors import (
    DollyError,
    EngineError,
    EngineOverloaded,
    EngineUnreachable,
    LeaseLost,
    ModelLoading,
    QuestionTooLong,
    SlackError,
    SlackUnreachable,
    StoreUnavailable,
    TooManyWaiting,
)
from bot.journal import JobJournal
from bot.responder import AnswerNotDelivered, Ending, Responder
from bot.store.claims import Claim
from bot.store.connection import losses
from bot.store.mailbox import Mailbox

log = structlog.get_logger(__name__)

ATTEMPTS = 5
"""How often a turn may end in a failure, or with the death of its worker, before it is given up."""
RETRY_SECONDS = 1.0
"""Before the first retry; doubled for each further one."""
LONGEST_RETRY_SECONDS = 30.0
LOADING_RETRY_SECONDS = 1.0
"""While a new model is loaded, which takes seconds; then answers begin at once."""
NOTICE_SECONDS = 4.0
"""How long a question waits for its engine before its user is told so."""
UNDELIVERED_SECONDS = 24 * 3600
"""How long a finished answer, or an apology, waits for Slack to take it."""
COMMIT_RETRY_SECONDS = 0.1
CLOCKS_DIFFER_SECONDS = 1.0
"""By so much this machine's clock may be behind Slack's."""

AWAY = (EngineOverloaded, EngineUnreachable)
"""An engine that may be asked again: such an attempt does not count."""
CLOSED = frozenset({"not_in_channel", "channel_not_found", "is_archived", "token_revoked", "account_inactive"})
"""Slack's names for places that nothing will reach again: no apology either."""
REFUSALS = frozenset(
    {
        *("quota_questions", "quota_tokens", TooManyWaiting.words_key, QuestionTooLong.words_key),
        *("refused_channel", "refused_person", "refused_guest", "refused_team"),
    }
)
"""Verdicts that only the person who asked reads; all others are apologies, where the answer would stand."""


class Gate(Protocol):
    """Who may have an answer now (bot/slack/asking/gate.py)."""

    async def refused(self, turn: Turn) -> str | None:
        """The verdict over a turn for which a quota is used up; None where it may pass, and is counted."""

    async def tell(self, turn: Turn, verdict: str) -> None:
        """Say to the turn's user why it is refused. Raises SlackUnreachable where it may be told later, SlackError."""

    async def spend(self, user_id: str, tokens: int) -> None:
        """A question of `user_id` has ended, for which so many tokens were read and written."""


class Turns:
    """Sees that each claimed turn ends exactly once: committed, or handed back to be claimed again."""

    def __init__(
        self, mailbox: Mailbox, responder: Responder, gate: Gate, audit: AuditLog, *, answer_within_seconds: float
    ) -> None:
        self._mailbox = mailbox
        self._responder = responder
        self._gate = gate
        self._audit = audit
        self._answer_within_seconds = answer_within_seconds
        self._began_at = time.time()

    async def end(self, claim: Claim, stop: asyncio.Event) -> None:
        """Answer and commit; or find out what an error means for the turn.

        `stop` may be set at any time. Raises LeaseLost when another worker has the turn, StoreUnavailable when the
        store is away for longer than the lease, which then ends by itself.
        """
        try:
            await self._end(claim, JobJournal(self._mailbox, claim), stop)
        except (StoreUnavailable, LeaseLost) as error:
            # A store that was away is no fault of the turn's; handing it back tells whether the lease is lost indeed.
            try:
                async with asyncio.timeout(self._mailbox.lease_seconds):
                    await self._requeue(claim, "store_unavailable", counted=False)
            except TimeoutError:
                raise error from None

    async def _end(self, claim: Claim, journal: JobJournal, stop: asyncio.Event) -> None:
        try:
            ending = await self._answer(claim, journal, stop)
        except AnswerNotDelivered as error:
            finished = error.exchange
            await self._persist(lambda: self._mailbox.note_kept(claim, finished))
            await self._requeue(claim, "slack_unreachable", counted=False)
        except ModelLoading:
            await self._wait_for_model(claim, journal)
        except AWAY as error:
            await self._wait_for_engine(claim, journal, error)
        except EngineError as error:
            await self._requeue(claim, error.words_key, counted=True)
        except SlackUnreachable as error:
            log.warning("slack_unreachable", job=claim.job_id, reason=str(error))
            await self._wait_for_slack(claim, journal)
        except SlackError as error:
            log.error("answer_refused_by_slack", job=claim.job_id, method=error.method, reason=error.reason)
            await self._bury(claim, journal, error.reason)
        except (DollyError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("answer_failed", job=claim.job_id, error=type(error).__name__)
            await self._give_up_or_requeue(claim, journal)
        else:
            await self._committed(claim, journal, ending)

    async def _answer(self, claim: Claim, journal: JobJournal, stop: asyncio.Event) -> Ending:
        turn = claim.turn
        if self._may_be_answered(claim) and (ending := await self._responder.found(turn, journal)):
            return ending
        if claim.verdict is not None:
            return await self._told(claim, journal, claim.verdict)
        if claim.kept is not None:
            exchange: Exchange | None = await self._responder.deliver(turn, journal, claim.kept)
            return Ending(exchange=exchange, tokens=claim.kept.tokens)
        if claim.is_stopped:
            await self._responder.stop(turn, journal)
            return Ending()
        if claim.attempt > ATTEMPTS:  # its workers died one after the other: perhaps of it
            await self._judge(claim, journal, "apology")
            return await self._told(claim, journal, "apology")
        if turn.is_late:
            await self._responder.say(turn, journal, "too_late")
            return Ending("refused", "too_late")
        if not claim.is_admitted:
            if verdict := await self._gate.refused(turn):
                await self._judge(claim, journal, verdict)
                return await self._told(claim, journal, verdict)
            await self._mailbox.note_admitted(claim)
        return await self._responder.respond(turn, journal, stop, lambda error: self._gives_up(claim, error))

    def _may_be_answered(self, claim: Claim) -> bool:
        """Whether an answer may stand in the thread that the store has lost, or never knew of.

        So it may be with what was asked before this Dolly began, for the store may be a restored one, and before a
        connection to the store was lost, for another server may have taken its place. Only then is it worth a call.
        """
        if claim.is_anew or claim.turn.again or claim.turn.response_url:
            return False
        return float(claim.turn.ts) <= max(self._began_at, losses.last) + CLOCKS_DIFFER_SECONDS

    async def _judge(self, claim: Claim, journal: JobJournal, verdict: str) -> None:
        """Write down with what the turn is to end, before anybody tries to say it."""
        await self._persist(lambda: self._mailbox.note_verdict(claim, verdict))
        journal.verdict = verdict

    async def _told(self, claim: Claim, journal: JobJournal, verdict: str) -> Ending:
        words_key = verdict.partition(" ")[0]
        if words_key not in REFUSALS:
            await self._responder.say(claim.turn, journal, words_key)
            return Ending("apologised", words_key)
        try:
            await self._gate.tell(claim.turn, verdict)
        except SlackError as error:  # for their eyes only: who cannot be told so, is not told before everybody
            log.warning("not_told", job=claim.job_id, verdict=words_key, reason=error.reason)
        return Ending("refused", words_key.removeprefix("quota_"))

    def _gives_up(self, claim: Claim, error: EngineError) -> bool:
        if isinstance(error, AWAY):
            return claim.age_seconds >= self._answer_within_seconds
        return not error.is_passing or claim.attempt >= ATTEMPTS

    async def _wait_for_engine(
        self, claim: Claim, journal: JobJournal, error: EngineOverloaded | EngineUnreachable
    ) -> None:
        """Hand the turn back, and tell its user that it waits, once it does so noticeably."""
        if claim.age_seconds >= NOTICE_SECONDS:
            with contextlib.suppress(SlackError, SlackUnreachable, StoreUnavailable):
                place = await self._mailbox.place(claim)
                await self._responder.tell_place(claim.turn, journal, error, place)
        # Not by the tries alone: while a model was loaded, it was tried each second.
        longest_seconds = max(RETRY_SECONDS, claim.age_seconds / 2)
        await self._requeue(claim, error.words_key, counted=False, longest_seconds=longest_seconds)

    async def _wait_for_model(self, claim: Claim, journal: JobJournal) -> None:
        """Hand the turn back for a moment, and show that it waits; now and then again, as Slack drops that in time."""
        if claim.claims.bit_count() == 1:  # the 1st, 2nd, 4th, 8th … time
            with contextlib.suppress(SlackError, SlackUnreachable, StoreUnavailable):
                await self._responder.tell_loading(claim.turn, journal)
        await self._persist(lambda: self._mailbox.fail(claim, delay_seconds=LOADING_RETRY_SECONDS, counted=False))
        metrics.requeued.labels("model_loading").inc()
        tracing.note({tracing.REQUEUED: "model_loading"})

    async def _wait_for_slack(self, claim: Claim, journal: JobJournal) -> None:
        """Hand the turn back until Slack is there again; in the end, with an apology instead of an answer."""
        if claim.age_seconds >= UNDELIVERED_SECONDS:
            await self._bury(claim, journal, "slack_unreachable")
            return
        if claim.age_seconds >= self._answer_within_seconds and not claim.kept and not journal.verdict:
            await self._judge(claim, journal, "apology")
        await self._requeue(claim, "slack_unreachable", counted=False)

    async def _give_up_or_requeue(self, claim: Claim, journal: JobJournal) -> None:
        if claim.verdict is not None:  # not even that works
            await self._bury(claim, journal, "apology_failed")
            return
        if claim.attempt >= ATTEMPTS:
            await self._judge(claim, journal, "apology")
        await self._requeue(claim, "mistake", counted=True)

    async def _requeue(
        self, claim: Claim, reason: str, *, counted: bool, longest_seconds: float = LONGEST_RETRY_SECONDS
    ) -> None:
        delay_seconds = min(RETRY_SECONDS * 2 ** min(claim.claims - 1, 10), longest_seconds, LONGEST_RETRY_SECONDS)
        await self._persist(lambda: self._mailbox.fail(claim, delay_seconds=delay_seconds, counted=counted))
        metrics.requeued.labels(reason).inc()
        tracing.note({tracing.REQUEUED: reason})

    async def _bury(self, claim: Claim, journal: JobJournal, reason: str) -> None:
        """Put the turn to the dead letters; its user is told, where they can be, now or when Slack is there again."""
        if reason not in CLOSED and journal.verdict is None:
            try:
                await self._responder.say(claim.turn, journal, "apology")
                metrics.apologies.labels("apology").inc()
            except SlackError as error:
                log.warning("not_told", job=claim.job_id, verdict="apology", reason=error.reason)
            except SlackUnreachable:
                await self._judge(claim, journal, "apology")
                await self._requeue(claim, "slack_unreachable", counted=False)
                return
        with tracing.step("commit"):
            await self._persist(lambda: self._mailbox.commit(claim, None, buried=reason, shown=journal.shown))
        tracing.note({tracing.DECISION: "apologised"})
        metrics.dead_letters.labels(reason).inc()
        self._audit.turn_ended(claim.turn, "apologised", reason=reason)

    async def _committed(self, claim: Claim, journal: JobJournal, ending: Ending) -> None:
        buried = ending.reason if ending.decision == "apologised" else ""
        is_settled = not self._may_be_answered(claim)
        with tracing.step("commit"):
            await self._persist(
                lambda: self._mailbox.commit(
                    claim, ending.exchange, buried=buried, shown=journal.shown, is_settled=is_settled
                )
            )
        tracing.note({tracing.DECISION: ending.decision})
        self._audit.turn_ended(
            claim.turn, ending.decision, reason=ending.reason, model=ending.model, tokens=ending.tokens
        )
        if buried:
            metrics.apologies.labels(buried).inc()
            metrics.dead_letters.labels(buried).inc()
        elif ending.decision == "answered":
            metrics.answered.inc()
            log.info("answered", job=claim.job_id, claim=claim.claims)
        if ending.decision != "refused":
            with contextlib.suppress(StoreUnavailable):
                await self._gate.spend(claim.turn.user_id, ending.tokens)

    async def _persist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Do what ends a turn, even where the store is away for a while: the lease says how long."""
        while True:
            try:
                return await write()
            except StoreUnavailable:
                await asyncio.sleep(COMMIT_RETRY_SECONDS)
