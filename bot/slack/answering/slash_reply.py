"""An answer to a slash command: whole, in one post, and only its asker sees it."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
import structlog
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot import metrics
from bot.collaborators import Journal
from bot.conversation import Posting, Turn
from bot.errors import SlackError, SlackUnreachable
from bot.slack import blocks
from bot.slack.answering.answer_blocks import thumbs
from bot.slack.answering.answer_messages import PerhapsMade
from bot.slack.answering.markdown import ended, pieces
from bot.slack.answering.output_filter import OutputFilter
from bot.slack.client import UNREACHABLE, webhook_at
from bot.slack.mrkdwn import escape
from bot.slack.people import ReaderWords

log = structlog.get_logger(__name__)

SHARE, AGAIN = "private_share", "private_again"
"""Ids of the actions under an answer (private_answers.py); the value of both is the conversation."""
QUOTED_CHARACTERS = 500

RESPONSE_SECONDS = 30 * 60
"""How long Slack takes posts at a response_url, from when it gave it out."""
CONNECT_RETRY_SECONDS = (0.5, 2.0, 8.0)
"""What could not even be connected was certainly not posted, and is tried again, later by another attempt."""


class SlashReply:
    """Collects one answer and posts it to the command's response_url when it is finished (bot.responder.Reply).

    Nobody can look whether such a post arrived. So one is made per job, it is written down before, and where its
    outcome is not known, it is counted and not repeated. One that was certainly not made may be repeated. Slack takes
    five posts at a response_url: what else is said there is said once per job, however often that is tried.
    """

    def __init__(
        self,
        turn: Turn,
        journal: Journal,
        words: ReaderWords,
        output: OutputFilter,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._turn = turn
        self._journal = journal
        self._words = words
        self._output = output
        self._clock = clock

    async def begin(self) -> None:
        """Say that an answer is being prepared, unless that was said before: by an attempt, or in acknowledgement."""
        if self._journal.posting == Posting() and (self._turn.in_place or self._turn.about):
            quoted = escape(self._turn.text[:QUOTED_CHARACTERS]).replace("\n", "\n> ")
            with contextlib.suppress(SlackError, SlackUnreachable):  # the answer comes without it
                await self._post((await self._words()).say("command_taken", question=quoted))

    async def notice(self, sentence: str) -> None:
        """Nothing is said: the one post is the answer's."""

    async def loading(self) -> None:
        """Nothing is said, either."""

    def sign(self, model: str, prompt_hash: str) -> None:
        """What only one person sees is marked with nothing: Slack keeps it for nobody."""

    def hear(self, texts: Iterable[str]) -> None:
        """What people wrote in the conversation, whose addresses the model may repeat."""
        self._output.hear(texts)

    async def write(self, delta: str) -> None:
        """Add a piece of the model's text."""
        self._output.write(delta)

    async def abandon(self) -> None:
        """Post nothing."""

    async def stop(self, sentence: str) -> None:
        """Post what there is, then `sentence`."""
        await self.finish(sentence)

    async def finish(self, sentence: str | None = None) -> None:
        """Post the answer, as much of it as one post takes, then `sentence`.

        Raises SlackError when it is refused, or its time is over; SlackUnreachable when Slack could not be connected.
        """
        if self._journal.posting.shape is not None:
            _outcome_unknown("taken_over")
            return
        if self._clock() >= self._turn.response_until:
            raise SlackError("response_url", "expired")
        parts = pieces(self._output.whole().strip())
        cut = (await self._words()).say("answer_cut") if len(parts) > 1 else None
        below = "\n\n".join(part for part in (cut, sentence) if part)
        markdown = ended(parts[0].rstrip() if parts else "", below)
        await self._journal.intend("ephemeral")
        try:
            await self._post(markdown, await self._shown(markdown, has_answer=bool(parts)))
        except PerhapsMade as error:
            _outcome_unknown(error.reason)
        except (SlackError, SlackUnreachable):
            await self._journal.not_made()
            raise
        else:
            metrics.first_text_seconds.observe(self._journal.age_seconds)

    async def _post(self, text: str, shown: list[blocks.Block] | None = None) -> None:
        """Post, and count it, unless it was certainly not made. Raises as `respond_privately` does."""
        uses = self._journal.posting.uses
        await self._journal.used(uses + 1)
        try:
            await respond_privately(self._turn, text, shown)
        except PerhapsMade:
            raise
        except SlackUnreachable:
            await self._journal.used(uses)
            raise

    async def _shown(self, markdown: str, *, has_answer: bool) -> list[blocks.Block]:
        """The text, and under an answer what may be done with it."""
        text: blocks.Block = {"type": "markdown", "text": markdown}
        if not has_answer:
            return [text]
        words, value = await self._words(), str(self._turn.conversation)
        share = blocks.button(words.say("share_button"), SHARE, value=value)
        again = blocks.button(words.say("again_button"), AGAIN, value=value)
        return [text, thumbs(words, self._turn), blocks.actions([share, again])]


def _outcome_unknown(reason: str) -> None:
    log.warning("ephemeral_unknown", reason=reason)
    metrics.ephemeral_unknown.inc()


async def respond_privately(turn: Turn, text: str, shown: list[blocks.Block] | None = None) -> None:
    """Post at the turn's response_url, waiting out rate limits and a Slack that cannot be connected.

    Raises SlackError where it is refused, SlackUnreachable where it could not be connected, PerhapsMade where nobody
    knows whether it arrived.
    """
    assert turn.response_url is not None
    limits = AsyncRateLimitErrorRetryHandler(max_retry_count=3)
    # A message that is asked about is its author's, and stays.
    in_place = turn.in_place or not turn.about
    post = {"text": text, "blocks": shown, "response_type": "ephemeral", "replace_original": in_place}
    for wait_seconds in (*CONNECT_RETRY_SECONDS, None):
        async with webhook_at(turn.response_url, retry_handlers=[limits]) as webhook:
            outcome, reason = await _outcome(webhook, post)
        metrics.slack_calls.labels("response_url", outcome).inc()
        if outcome == "ok":
            return
        if outcome == "unknown":
            raise PerhapsMade("response_url", reason)
        if outcome == "refused":
            raise SlackError("response_url", reason)
        if wait_seconds is not None:
            await asyncio.sleep(wait_seconds)
    raise SlackUnreachable("response_url", reason)


async def _outcome(webhook: AsyncWebhookClient, post: dict[str, Any]) -> tuple[str, str]:
    """How one post ended: ok, refused, unreachable (certainly not made) or unknown; and Slack's or the error's name."""
    try:
        response = await webhook.send(**post, unfurl_links=False, unfurl_media=False)
    except aiohttp.ClientConnectorError as error:
        return "unreachable", type(error).__name__
    except UNREACHABLE as error:
        return "unknown", type(error).__name__
    status = response.status_code
    outcomes = {200: "ok", 429: "unreachable"}
    return outcomes.get(status, "refused" if status < 500 else "unknown"), f"http_{status}"
