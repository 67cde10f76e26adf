"""Files on Slack's messages: noted when a question comes, fetched and read when it is answered."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot import metrics
from bot.access import FileLimits
from bot.attachments import SUMMARISE, Attached, Attachment, Fault, Unreadable
from bot.file_text import may_be_read, read_text
from bot.slack.asking.downloads import Downloads
from bot.slack.client import UNREACHABLE, error_name, failure, is_passing
from bot.slack.payloads import ID, LONE_SURROGATES
from bot.words import Words

log = structlog.get_logger(__name__)

FILES = 10
"""As many as Slack lets a person attach to a message."""
NAME_CHARACTERS = 120
UNFIT_FOR_A_NAME = re.compile(r"[\x00-\x1f\x7f`<>\u2028\u2029]+")
"""Names stand in prompts and in Slack's markup."""
CONCURRENT_READERS = 2
"""Each may have a process that takes as much memory as pdf_child.py allows."""
NOT_FOR_DOLLY = frozenset({"missing_scope", "access_denied", "not_allowed_token_type", "no_permission", "not_visible"})
"""Slack's names for a file that is there, and not given."""


def attachments_of(message: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """The files on a message, those left out that were taken back or that nobody could read off the message."""
    files = message.get("files")
    found = [_attachment(file) for file in files if isinstance(file, Mapping)] if isinstance(files, list) else []
    return tuple(attachment for attachment in found if attachment is not None)[:FILES]


def as_said(question: str, words: Words) -> str:
    """A question as its asker reads it: of a file without a word, Dolly keeps what it asks its model instead."""
    return words.say("file_alone") if question == SUMMARISE else question


def _attachment(file: Mapping[str, Any]) -> Attachment | None:
    file_id = file.get("id")
    if not isinstance(file_id, str) or not ID.fullmatch(file_id) or file.get("mode") == "tombstone":
        return None
    size = file.get("size")
    name = _text(file, "name") or _text(file, "title")
    return Attachment(
        file_id,
        UNFIT_FOR_A_NAME.sub(" ", name).strip()[:NAME_CHARACTERS] or file_id,
        _text(file, "filetype")[:NAME_CHARACTERS].lower(),
        size if isinstance(size, int) else 0,
        _text(file, "url_private_download") or _text(file, "url_private"),
    )


def _text(file: Mapping[str, Any], name: str) -> str:
    value = file.get(name)
    return LONE_SURROGATES.sub("\ufffd", value)[:2000] if isinstance(value, str) else ""


class Attachments:
    """Reads files."""

    def __init__(self, client: AsyncWebClient, downloads: Downloads, limits: FileLimits) -> None:
        self._client = client
        self._downloads = downloads
        self._limits = limits
        self._places = asyncio.Semaphore(CONCURRENT_READERS)

    async def read(self, attachments: Sequence[Attachment], words: Words) -> list[Attached]:
        """What the files say, in their order; of each that cannot be read, why, in `words`.

        Raises SlackUnreachable where they may be read a little later.
        """
        found, left_bytes = list[Attached](), self._limits.question_kb * 1000
        for attachment in attachments:
            outcome = "read"
            try:
                content = await self._fetch(attachment, min(left_bytes, self._limits.file_kb * 1000))
                left_bytes -= len(content)
                async with self._places:
                    attached = await read_text(attachment, content, seconds=self._limits.seconds)
            except Unreadable as error:
                outcome, why = error.fault, self._why(error.fault, attachment.name, words)
                attached = Attached(attachment.id, attachment.name, unread=why)
            log.info("file", file=attachment.id, size_bytes=attachment.size_bytes, outcome=outcome)
            metrics.files.labels(outcome).inc()
            found.append(attached)
        return found

    def _why(self, fault: Fault, name: str, words: Words) -> str:
        """What, why, and what to do."""
        match fault:
            case "kind":
                return words.say("file_kind", name=name)
            case "encoding":
                return words.say("file_encoding", name=name)
            case "empty":
                return words.say("file_empty", name=name)
            case "too_large":
                file_mb, all_mb = self._limits.file_kb / 1000, self._limits.question_kb / 1000
                return words.say("file_too_large", name=name, file_mb=file_mb, all_mb=all_mb)
            case "locked":
                return words.say("file_locked", name=name)
            case "scanned":
                return words.say("file_scanned", name=name)
            case "broken":
                return words.say("file_broken", name=name)
            case "slow":
                return words.say("file_slow", name=name)
            case "refused":
                return words.say("file_refused", name=name)
            case "elsewhere":
                return words.say("file_elsewhere", name=name)
            case "gone":
                return words.say("file_gone", name=name)

    async def _fetch(self, attachment: Attachment, limit_bytes: int) -> bytes:
        if not attachment.url:
            attachment = await self._looked_up(attachment)
        if not may_be_read(attachment):
            raise Unreadable("kind")
        if attachment.size_bytes > limit_bytes:
            raise Unreadable("too_large")
        return await self._downloads.fetch(attachment.url, limit_bytes=limit_bytes, seconds=self._limits.seconds)

    async def _looked_up(self, attachment: Attachment) -> Attachment:
        """A file of which the message has the id only, as in Slack Connect; files.info tells the rest."""
        try:
            answer = await self._client.files_info(file=attachment.id)
        except (SlackApiError, *UNREACHABLE) as error:
            if not isinstance(error, SlackApiError) or is_passing(error):
                raise failure("files.info", error) from None
            raise Unreadable("refused" if error_name(error) in NOT_FOR_DOLLY else "gone") from None
        found = _attachment(answer.get("file") or {})
        if found is None or not found.url:
            raise Unreadable("gone")
        return found
