"""Messages that are edited or deleted in Slack: what waits, or is remembered of them, follows."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from bot.conversation import Turn
from bot.errors import NotUnderstood, TooManyWaiting
from bot.slack.asking.attachments import attachments_of
from bot.slack.asking.questions import STORE_SECONDS, Outcome, Questions
from bot.slack.payloads import text, timestamp
from bot.store.connection import store_errors
from bot.store.corrections import Corrections
from bot.store.feedback import FeedbackStore
from bot.store.marks import Marks
from bot.store.repeats import Repeats

log = structlog.get_logger(__name__)

DEDUPED_SECONDS = 24 * 3600
"""An older message may have been answered, and its dedupe mark be gone: its edit is no question."""


class Edits:
    """Listeners. They raise StoreUnavailable and NotUnderstood as those of Questions do.

    An edit is known by team, channel, ts and `edited.ts`: the same one again does the same again, which changes
    nothing, and one that comes after a later one of its message is passed over (bot/store/marks.py).
    """

    def __init__(
        self,
        questions: Questions,
        corrections: Corrections,
        marks: Marks,
        feedback: FeedbackStore,
        repeats: Repeats,
        *,
        max_age_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._questions = questions
        self._corrections = corrections
        self._marks = marks
        self._feedback = feedback
        self._repeats = repeats
        self._max_age_seconds = min(max_age_seconds, DEDUPED_SECONDS)
        self._clock = clock

    async def changed(self, event: dict[str, Any]) -> None:
        """Listener of `message_changed`. It tells of much else than edits: unfurls, replies counted, Dolly's own
        answers growing."""
        message, previous = _part(event, "message"), event.get("previous_message")
        if text(message, "subtype") == "tombstone":  # a deleted message that has replies
            await self._withdraw(message, previous)
            return
        await self._take_files(message, previous)
        if not isinstance(previous, dict) or text(previous, "text") != text(message, "text"):
            await self.edited(message, direct=event.get("channel_type") == "im")

    async def deleted(self, event: dict[str, Any]) -> None:
        """Listener of `message_deleted`; it may have been a message of Dolly's own."""
        previous = event.get("previous_message")
        root = {"thread_ts": previous.get("thread_ts")} if isinstance(previous, dict) else {}
        await self._withdraw({**root, "channel": event.get("channel"), "ts": event.get("deleted_ts")}, previous)

    async def edited(self, message: Mapping[str, Any], *, direct: bool, is_answered: bool = False) -> Outcome | None:
        """`message`, with its `channel`, says something else than before. What became of it as a question.

        An edit may make a question of it, or come before the message itself does; not where it has its answer. A
        remembered question that is young is answered once more, in the place of its answer.
        """
        edit = message.get("edited")
        if not isinstance(edit, dict) or not self._questions.is_heard(message):
            return None
        conversation, ts, new = (
            self._questions.conversation(message),
            timestamp(message, "ts"),
            self._questions.plain(message),
        )
        async with store_errors(STORE_SECONDS):
            if not await self._marks.is_newest_edit(conversation, ts, timestamp(edit, "ts")):
                log.info("edit_passed_over", conversation=str(conversation), ts=ts)
                return None
        turn = await self._questions.question(message, direct=direct)
        if self._questions.too_long(new):
            if turn is not None:  # told once, as of a new question; what it was before stays
                await self._questions.ask(turn)
            return None
        if self._clock() - float(ts) > self._max_age_seconds:
            turn = None
        again = replace(turn, again=timestamp(edit, "ts")) if turn is not None and new else None
        async with store_errors(STORE_SECONDS):
            # First of all: what the question was tells whether it is another one now.
            is_known = again is not None and await self._answered_again(again)
            revised = await self._corrections.revise(conversation, ts, new)
            if again is not None and not is_known:
                came_meanwhile = revised == "remembered" and await self._answered_again(again, is_revised=True)
                if not came_meanwhile:
                    await self._corrections.forestall(again)  # this edit is part of what is answered now
        if revised != "unknown":
            log.info("edited", conversation=str(conversation), ts=ts, found=revised)
        elif turn is not None and not is_answered:
            return await self._questions.ask(turn)
        return None

    async def _answered_again(self, turn: Turn, *, is_revised: bool = False) -> bool:
        """Have a question that is remembered otherwise, or was, answered as it is now. False where it is not at all."""
        remembered = await self._repeats.remembered(turn.conversation, turn.ts)
        if remembered is not None and (is_revised or remembered.question != turn.text):
            try:
                await self._repeats.ask(turn)
            except TooManyWaiting as error:
                log.info("not_answered_again", conversation=str(turn.conversation), ts=turn.ts, reason=str(error))
        return remembered is not None

    async def _take_files(self, message: Mapping[str, Any], previous: object) -> None:
        """Forget what is remembered of the files that were taken off a message."""
        before = attachments_of(previous) if isinstance(previous, Mapping) else ()
        left = {file.id for file in attachments_of(message)}
        for file in before:
            if file.id not in left:
                async with store_errors(STORE_SECONDS):
                    await self._corrections.withdraw(self._questions.conversation(message), file.id)

    async def _withdraw(self, message: Mapping[str, Any], previous: object) -> None:
        """Take `message` out of the queue and of memory; `previous` is what it was, where Slack tells."""
        conversation, ts = self._questions.conversation(message), timestamp(message, "ts")
        turn = None
        if isinstance(previous, dict):
            was = {**previous, "channel": message["channel"], "ts": ts}
            turn = await self._questions.question(was, direct=conversation.channel_id.startswith("D"))
        async with store_errors(STORE_SECONDS):
            if turn is not None:
                await self._corrections.forestall(turn)  # its own event may be the later one to come
            await self._corrections.withdraw(conversation, ts)
            await self._feedback.drop(conversation, ts)  # what was said of it goes after it, and cannot come back


def _part(event: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The message inside an event, with the channel that only the event has."""
    part = event.get(name)
    if not isinstance(part, dict):
        raise NotUnderstood(name)
    return {**part, "channel": event.get("channel")}
