"""`/dolly admin review`: a form that walks an admin through the corrections that wait, one at a time.

Each is decided by *Next*, which shows the one after it. What the engine suggests comes a few seconds later, into the
form as it stands then: by a name that each correction's form has for itself, so that it never lands in the next one's.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.audit import AuditLog
from bot.errors import StoreUnavailable
from bot.feedback import KeptFeedback, record_id
from bot.reviewing import Reviewing, Waiting
from bot.slack.admin.review_form import (
    DECISION,
    OPTION_CHARACTERS,
    Decided,
    Walk,
    decided,
    form,
    summary,
)
from bot.slack.afterwards import Afterwards
from bot.slack.authority import Authority
from bot.slack.client import UNREACHABLE, error_name, failure
from bot.slack.payloads import identifier
from bot.slack.people import WordsOf
from bot.store.connection import store_errors
from bot.words import Words

log = structlog.get_logger(__name__)

STORE_SECONDS = 1.5
"""Of the three that Slack waits; who may review is asked of Slack besides."""
OLDEST = "oldest"
"""What follows `review` to begin with the oldest."""


class AdminReview:
    """The verb, which opens the form, and the listener of what is submitted."""

    def __init__(
        self,
        client: AsyncWebClient,
        reviewing: Reviewing,
        authority: Authority,
        audit: AuditLog,
        words_of: WordsOf,
        afterwards: Afterwards,
    ) -> None:
        self._client = client
        self._reviewing = reviewing
        self._authority = authority
        self._audit = audit
        self._words_of = words_of
        self._afterwards = afterwards

    async def open(self, user_id: str, arguments: str, words: Words, trigger_id: str) -> dict[str, Any]:
        """Show the first correction; the sentence that says why there is no form, or nothing."""
        walk = Walk(is_oldest_first=arguments == OLDEST)
        async with store_errors(STORE_SECONDS):
            everything = await self._reviewing.everything()
        waiting = self._reviewing.next(everything, oldest_first=walk.is_oldest_first)
        self._audit.acted(user_id, "admin_review")
        if waiting is None:
            return {"text": words.say("review_none")}
        external_id = _external_id()
        try:
            await self._client.views_open(trigger_id=trigger_id, view=form(words, walk, waiting, external_id))
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("review_form_not_opened", reason=str(failure("views.open", error)))
            return {"text": words.say("form_not_opened")}
        self._afterwards.do(self._suggest(words, walk, waiting, external_id))
        return {}

    async def submitted(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Listener of the form: what was decided is kept, and the next correction is shown in its place."""
        user_id, filled_in = identifier(body.get("user") or {}, "id"), decided(view)
        is_admin, words = await asyncio.gather(self._authority.is_admin(user_id), self._words_of(user_id))
        fault = ""
        try:
            if not is_admin:
                fault = words.say("admin_refused")
            else:
                await self._go_on(ack, user_id, filled_in, words)
        except StoreUnavailable as error:
            log.warning("review_not_kept", reason=str(error))
            fault = words.say(error.words_key)
        if fault:
            block_id = f"{DECISION}/{record_id(filled_in.seen.name)}"
            await ack(response_action="errors", errors={block_id: fault})

    async def _go_on(self, ack: AsyncAck, user_id: str, filled_in: Decided, words: Words) -> None:
        async with store_errors(STORE_SECONDS):
            everything = await self._reviewing.everything()
            is_kept = await self._decide(user_id, filled_in, everything)
            walk, sentence = _after(filled_in, is_kept=is_kept), "" if is_kept else words.say("review_meanwhile")
            waiting = self._reviewing.next(everything, filled_in.seen, oldest_first=walk.is_oldest_first)
        if waiting is None:
            await ack(response_action="update", view=summary(words, walk, sentence))
            return
        external_id = _external_id()
        await ack(response_action="update", view=form(words, walk, waiting, external_id, sentence=sentence))
        self._afterwards.do(self._suggest(words, walk, waiting, external_id, sentence))

    async def _decide(self, user_id: str, filled_in: Decided, everything: Sequence[KeptFeedback]) -> bool:
        """Whether it was kept; nobody minds where it is skipped."""
        match filled_in.decision:
            case "approve":
                is_kept = await self._reviewing.decide(
                    everything,
                    filled_in.seen,
                    "approved",
                    user_id,
                    correction=filled_in.correction,
                    neighbour_lines=filled_in.neighbours,
                    ticked=filled_in.suggested,
                    paraphrase_lines=filled_in.paraphrases,
                )
            case "reject":
                is_kept = await self._reviewing.decide(everything, filled_in.seen, "rejected", user_id)
            case "skip":
                return True
        if is_kept:
            self._audit.acted(user_id, f"admin_review_{filled_in.decision}", record_id(filled_in.seen.name))
        return is_kept

    async def _suggest(self, words: Words, walk: Walk, waiting: Waiting, external_id: str, sentence: str = "") -> None:
        """Add what the engine thinks of to the form, if that is still there."""
        question = waiting.kept.feedback.question
        suggested = await self._reviewing.suggested(question, waiting.neighbours, OPTION_CHARACTERS)
        if not suggested:
            return
        view = form(words, walk, waiting, external_id, suggested=suggested, sentence=sentence)
        try:
            await self._client.views_update(external_id=external_id, view=view)
        except (SlackApiError, *UNREACHABLE) as error:
            if not isinstance(error, SlackApiError) or error_name(error) != "not_found":  # the admin was faster
                log.info("review_form_not_updated", reason=str(failure("views.update", error)))


def _after(filled_in: Decided, *, is_kept: bool) -> Walk:
    """The walk with one more correction behind it."""
    walk = replace(filled_in.walk, number=filled_in.walk.number + 1)
    match filled_in.decision:
        case "approve" if is_kept:
            return replace(walk, approved=walk.approved + 1)
        case "reject" if is_kept:
            return replace(walk, rejected=walk.rejected + 1)
    return replace(walk, skipped=walk.skipped + 1)


def _external_id() -> str:
    """A name for one form, that Slack and nobody else can tell from others."""
    return f"review-{secrets.token_hex(12)}"
