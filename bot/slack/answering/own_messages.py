"""Dolly's own messages in a thread: found again, ended and taken back by whoever did not write them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import ConversationId, Shown
from bot.errors import SlackError
from bot.slack import blocks
from bot.slack.client import UNREACHABLE, Identity, at_priority, failure
from bot.slack.pacing import Priority

log = structlog.get_logger(__name__)

EVENT_TYPE = "dolly_answer"
"""Of the metadata that an answer's messages carry; a stream only from its end on."""

PAGE_MESSAGES = 200
NOTIFIED_CHARACTERS = 3_000
"""What stands in a notification beside blocks; chat.update refuses more than 4,000."""


def metadata(job_id: str, model: str = "", prompt_hash: str = "", *, is_part: bool = False) -> dict[str, Any]:
    """What a message of Dolly's is marked with: the job that it answers, and what wrote it, where a model did.

    `model` is its name and revision; `prompt_hash` tells system prompts apart; `is_part` where more is to come.
    """
    written = {"model": model, "prompt_hash": prompt_hash} if model else {}
    unfinished = {"is_part": True} if is_part else {}
    return {"event_type": EVENT_TYPE, "event_payload": {"job_id": job_id, **written, **unfinished}}


def content(shown: Shown) -> dict[str, Any]:
    """What a message is to show, as arguments of Slack's methods: blocks take the place of a text."""
    if not shown.below:
        return {"markdown_text": shown.markdown}
    whole = [blocks.markdown(shown.markdown), *shown.below]
    return {"text": shown.markdown[:NOTIFIED_CHARACTERS], "blocks": whole}


def whole_text(message: Mapping[str, Any]) -> str:
    """What a message says. One that `content` made says it in its Markdown, and beside it only how it begins."""
    said = [block.get("text") or "" for block in message.get("blocks") or [] if block.get("type") == "markdown"]
    return "\n\n".join(said) or message.get("text") or ""


@dataclass(frozen=True, slots=True)
class OwnMessage:
    """A message of Dolly's own."""

    ts: str
    job_id: str | None
    """The job that it is marked with."""
    text: str = ""
    model: str = ""
    prompt_hash: str = ""
    is_part: bool = False
    """Whether more of the answer was to come when it was last marked."""


class OwnMessages:
    """Finds, ends and takes back. Methods raise SlackError where Slack refuses, SlackUnreachable where it is away."""

    def __init__(self, client: AsyncWebClient, identity: Identity) -> None:
        self._client = client
        self._searching = at_priority(client, Priority.SEARCH)
        self._identity = identity

    async def after(self, conversation: ConversationId, ts: str) -> list[OwnMessage]:
        """Those in the conversation's thread after `ts`, oldest first. Reads every page."""
        found: dict[str, OwnMessage] = {}
        cursor: str | None = None
        while cursor != "":
            try:
                page = await self._searching.conversations_replies(
                    channel=conversation.channel_id,
                    ts=conversation.root_ts,
                    oldest=ts,
                    include_all_metadata=True,
                    limit=PAGE_MESSAGES,
                    cursor=cursor,
                )
            except (SlackApiError, *UNREACHABLE) as error:
                raise failure("conversations.replies", error) from None
            for message in page["messages"]:
                if message["ts"] > ts and self._is_own(message):
                    found[message["ts"]] = _own_message(message)
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        return [found[ts] for ts in sorted(found)]

    async def end_stream(self, channel_id: str, ts: str, job_id: str) -> None:
        """End the stream that the message may be, as a part; nothing happens to one that is none, or ended before."""
        try:
            await self._client.chat_stopStream(channel=channel_id, ts=ts, metadata=metadata(job_id, is_part=True))
        except (SlackApiError, *UNREACHABLE) as error:
            refusal = failure("chat.stopStream", error)
            if not isinstance(refusal, SlackError):
                raise refusal from None
            log.info("stream_not_ended", reason=refusal.reason)

    async def show(self, channel_id: str, ts: str, shown: Shown, job_id: str) -> None:
        """Have the message show this and nothing else."""
        marks = metadata(job_id, shown.model, shown.prompt_hash, is_part=shown.is_part)
        try:
            await self._client.chat_update(channel=channel_id, ts=ts, metadata=marks, **content(shown))
        except (SlackApiError, *UNREACHABLE) as error:
            raise failure("chat.update", error) from None

    async def take_back(self, channel_id: str, ts: str, job_id: str) -> None:
        """Delete the message; first it is ended where it is a stream under way, which Slack does not delete."""
        try:
            await self._delete(channel_id, ts)
        except SlackError as error:
            if error.reason != "cant_delete_message":
                raise
            await self.end_stream(channel_id, ts, job_id)
            await self._delete(channel_id, ts)

    async def _delete(self, channel_id: str, ts: str) -> None:
        try:
            await self._client.chat_delete(channel=channel_id, ts=ts)
        except (SlackApiError, *UNREACHABLE) as error:
            refusal = failure("chat.delete", error)
            if not isinstance(refusal, SlackError) or refusal.reason != "message_not_found":
                raise refusal from None

    def _is_own(self, message: dict[str, Any]) -> bool:
        return message.get("user") == self._identity.bot_user_id or (
            bool(self._identity.bot_id) and message.get("bot_id") == self._identity.bot_id
        )


def marks_of(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a message of Dolly's is marked with (`metadata`); empty where it is not."""
    marks = message.get("metadata") or {}
    return marks.get("event_payload") or {} if marks.get("event_type") == EVENT_TYPE else {}


def _own_message(message: Mapping[str, Any]) -> OwnMessage:
    marks = marks_of(message)
    return OwnMessage(
        message["ts"],
        str(marks["job_id"]) if marks.get("job_id") else None,
        whole_text(message),
        str(marks.get("model") or ""),
        str(marks.get("prompt_hash") or ""),
        bool(marks.get("is_part")),
    )
