"""Tells an admin, in a direct message that is kept up to date, how what they asked the trainer for goes.

One process does so for all, by a lease in the store; where it dies, another goes on with the same messages. A message
or a picture may come twice then, if it died between Slack's answer and writing that down.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

import structlog
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SlackError, SlackUnreachable, StoreUnavailable
from bot.slack.admin.job_message import ended, message, next_step
from bot.slack.client import UNREACHABLE, error_name, failure
from bot.slack.people import WordsOf
from bot.store.followed import Followed, ToldSoFar
from bot.store.retraining import Job, Retraining
from bot.words import Words

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
UPDATE_SECONDS = 3.0
"""How often a message is changed at most."""
LEASE_SECONDS = 30
"""After which another process goes on for one that died."""
PLOT_NAME = "retrain.png"


class JobFollower:
    """Follows the jobs that were asked for in Slack."""

    def __init__(
        self,
        client: AsyncWebClient,
        retraining: Retraining,
        followed: Followed,
        words_of: WordsOf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._retraining = retraining
        self._followed = followed
        self._words_of = words_of
        self._clock = clock
        self._who = secrets.token_hex(8)
        self._updated: dict[str, float] = {}
        """By job, when its message was last changed."""

    async def run(self) -> None:
        """Look at all jobs that are under way, if no other process does; then wait a moment."""
        try:
            if await self._followed.lead(self._who, LEASE_SECONDS):
                for job_id in await self._followed.open():
                    await self._follow(job_id)
        except StoreUnavailable as error:
            log.info("jobs_not_followed", reason=str(error))
        await asyncio.sleep(LOOK_SECONDS)

    async def end(self) -> None:
        """Let another process go on at once."""
        try:
            await self._followed.resign(self._who)
        except StoreUnavailable as error:
            log.info("jobs_not_followed", reason=str(error))

    async def _follow(self, job_id: str) -> None:
        job = await self._retraining.job(job_id)
        if job is None:  # its thirty days are over
            await self._followed.end(job_id)
            return
        try:
            told = await self._show(job)
            if job.has_ended and told is not None:
                await self._conclude(job, told)
                await self._followed.end(job_id)
                self._updated.pop(job_id, None)
        except SlackUnreachable as error:
            log.info("job_not_told", job=job_id, reason=str(error))  # the next look tries again
        except SlackError as error:
            log.warning("job_not_told", job=job_id, reason=str(error))
            await self._followed.end(job_id)

    async def _show(self, job: Job) -> ToldSoFar | None:
        """Post or change the message where there is something new; None where it is too early for that."""
        told, words = await self._followed.told(job.id), await self._words_of(job.request.asked_by)
        text = message(words, job, await self._retraining.latest(job.id))
        shown = hashlib.sha256(text.encode()).hexdigest()[:16]
        if shown == told.shown:
            return told
        if told.ts and not job.has_ended and self._clock() < self._updated.get(job.id, 0.0) + UPDATE_SECONDS:
            return None
        self._updated[job.id] = self._clock()
        if told.ts and await self._updates(told, text):
            told = replace(told, shown=shown)
        else:
            told = ToldSoFar(*await self._post(job.request.asked_by, text), shown)
        await self._followed.note(job.id, told)
        return told

    async def _conclude(self, job: Job, told: ToldSoFar) -> None:
        """Say below the message how it ended and what to do next, with a retrain's picture: changes ring no bell."""
        if told.is_concluded:
            return
        words = await self._words_of(job.request.asked_by)
        said = "\n".join(line for line in (ended(words, job), next_step(words, job)) if line)
        plot = await self._retraining.plot(job.id)
        if plot is None or not await self._uploaded(told, plot, said, words):
            if plot is not None:
                said += "\n" + words.say("retrain_plot_refused")
            await self._post(told.channel_id, said, told.ts)
        await self._followed.note(job.id, replace(told, is_concluded=True))

    async def _uploaded(self, told: ToldSoFar, plot: bytes, said: str, words: Words) -> bool:
        """Whether Slack took the picture. Raises SlackUnreachable where it may take it later."""
        try:
            await self._client.files_upload_v2(
                filename=PLOT_NAME,
                content=plot,
                title=words.say("retrain_plot"),
                alt_txt=words.say("retrain_plot_alt"),
                channel=told.channel_id,
                thread_ts=told.ts,
                initial_comment=said,
            )
        except SlackApiError as error:
            refusal = failure("files.getUploadURLExternal", error)
            if isinstance(refusal, SlackUnreachable):
                raise refusal from None
            log.warning("plot_not_uploaded", reason=str(refusal))
            return False
        except (SlackClientError, *UNREACHABLE) as error:
            raise SlackUnreachable("files.getUploadURLExternal", type(error).__name__) from None
        return True

    async def _post(self, channel_id: str, text: str, thread_ts: str | None = None) -> tuple[str, str]:
        """Say something; its channel and ts. A person's id is their direct message with Dolly."""
        try:
            answer = await self._client.chat_postMessage(channel=channel_id, text=text, thread_ts=thread_ts)
        except (SlackApiError, *UNREACHABLE) as error:
            raise failure("chat.postMessage", error) from None
        return str(answer["channel"]), str(answer["ts"])

    async def _updates(self, told: ToldSoFar, text: str) -> bool:
        """Change the message; False where it is gone."""
        try:
            await self._client.chat_update(channel=told.channel_id, ts=told.ts, text=text)
        except (SlackApiError, *UNREACHABLE) as error:
            if isinstance(error, SlackApiError) and error_name(error) == "message_not_found":
                return False
            raise failure("chat.update", error) from None
        return True
