"""Slack's threads as the responder sees them: what was said there, and a reply to what was asked."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.attachments import Attached
from bot.collaborators import Journal, Reply
from bot.conversation import Line, Standing, Turn
from bot.slack.answering.answer_messages import AnswerMessages
from bot.slack.answering.output_filter import OutputFilter
from bot.slack.answering.own_messages import whole_text
from bot.slack.answering.reply_stream import ReplyStream
from bot.slack.answering.slash_reply import SlashReply, respond_privately
from bot.slack.asking.attachments import Attachments, attachments_of
from bot.slack.client import UNREACHABLE, Identity, failure
from bot.slack.mrkdwn import PLAIN_MENTION, mentioned_ids, to_plain, with_names
from bot.slack.pacing import Pacer
from bot.slack.people import People
from bot.words import Words

log = structlog.get_logger(__name__)

PAGE_MESSAGES = 200
PAGES = 5


class Threads:
    """Reads threads and opens replies, for one workspace."""

    def __init__(
        self,
        client: AsyncWebClient,
        identity: Identity,
        people: People,
        pacer: Pacer,
        attachments: Attachments,
        link_hosts: Sequence[str] = (),
    ) -> None:
        self._client = client
        self._identity = identity
        self._pacer = pacer
        self._attachments = attachments
        self._link_hosts = link_hosts
        self._people = people

    def reply(self, turn: Turn, journal: Journal) -> Reply:
        """The answer to `turn`, not yet begun."""
        output, words = OutputFilter(self._link_hosts), partial(self._people.words, turn.user_id)
        if turn.response_url:
            return SlashReply(turn, journal, words, output)
        return ReplyStream(self._client, self._identity, turn, journal, self._pacer, words, output)

    async def standing(self, turn: Turn, journal: Journal) -> Standing | None:
        """The answer to `turn` that stands whole in its thread. Raises SlackUnreachable, SlackError or LeaseLost."""
        return await AnswerMessages(self._client, self._identity, turn, journal, self._pacer).standing()

    async def words(self, turn: Turn) -> Words:
        """Dolly's own words in the language of who asked."""
        return await self._people.words(turn.user_id)

    async def readable(self, text: str) -> str:
        """What a person asked, with the names of the people who are mentioned in it."""
        return with_names(text, await self._people.names(PLAIN_MENTION.findall(text)))

    async def attached(self, turn: Turn) -> list[Attached]:
        """What the turn's files say; of each that cannot be read, why, in its author's language."""
        return await self._attachments.read(turn.files, await self._people.words(turn.user_id))

    async def tell_privately(self, turn: Turn, sentence: str) -> None:
        """Say something to the turn's author alone, where they asked.

        A thread that nobody has replied to shows no such message, so there it stands beside the question. Raises
        SlackError where Slack refuses it, SlackUnreachable where it may be told later, or was and Slack did not say so.
        """
        if turn.response_url:
            await respond_privately(turn, sentence)
            return
        is_in_thread = turn.ts != turn.conversation.root_ts
        try:
            await self._client.chat_postEphemeral(
                channel=turn.conversation.channel_id,
                user=turn.user_id,
                text=sentence,
                thread_ts=turn.conversation.root_ts if is_in_thread else None,
            )
        except (SlackApiError, *UNREACHABLE) as error:
            raise failure("chat.postEphemeral", error) from None

    # --- what was said before -----------------------------------------------------------------------------------------

    async def earlier_messages(self, turn: Turn) -> list[Line]:
        """What was said in the turn's thread before it, oldest first.

        Empty where Slack does not let Dolly read the thread: the question is answered without it.
        """
        try:
            messages = await self._newest(turn)
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("thread_unreadable", reason=str(failure("conversations.replies", error)))
            return []
        lines = [await self.line(message) for message in messages]
        return [line for line in lines if line is not None]

    async def line(self, message: Mapping[str, Any]) -> Line | None:
        """What one message says, after its author's name; None where that is nothing."""
        text = whole_text(message)
        plain = to_plain(text, self._identity.bot_user_id, await self._people.names(sorted(mentioned_ids(text))))
        if files := ", ".join(file.name for file in attachments_of(message)):
            plain = f"{plain} [attached, not read: {files}]".strip()
        if not plain:
            return None
        user_id = message.get("user")
        author = await self._people.name(user_id) if user_id else message.get("username", "app")
        is_own = user_id == self._identity.bot_user_id
        said_by = self._identity.bot_id if is_own else user_id or message.get("bot_id") or ""
        return Line(message["ts"], str(said_by), f"{author}: {plain}")

    async def _newest(self, turn: Turn) -> list[dict[str, Any]]:
        """The root and the newest messages before the turn: all of them, where they fit the pages that may be read.

        Slack gives a thread from its beginning on, so of one that is too long the end is looked for.
        """
        found, is_all = await self._page(turn, after="")
        if found and int(found[0].get("reply_count") or 0) > PAGES * PAGE_MESSAGES:
            return found[:1] + await self._end(turn, found)
        for _ in range(PAGES - 1):
            if is_all or not found:
                break
            page, is_all = await self._page(turn, after=found[-1]["ts"])
            found += page
        return found

    async def _end(self, turn: Turn, early: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The last messages of a long thread, about a page of them; `early` is its beginning.

        The first try is where the last page would begin if people had written evenly. Where that is too late, four
        times as far back is tried; where it is too early, half of the way. What was found last of either is taken, and
        there may be a gap in it.
        """
        last, end = float(turn.ts), list[dict[str, Any]]()
        seconds = (last - float(early[-1]["ts"])) * 0.75 * PAGE_MESSAGES / int(early[0]["reply_count"])
        for _ in range(PAGES - 1):
            after = max(last - seconds, float(early[-1]["ts"]))
            page, is_all = await self._page(turn, f"{after:.6f}")
            if is_all and len(page) >= PAGE_MESSAGES / 2:
                return page
            if is_all:
                end, last, seconds = page, after, seconds * 3
            else:
                early = page or early
                seconds = (last - float(early[-1]["ts"])) / 2
        return early + end

    async def _page(self, turn: Turn, after: str) -> tuple[list[dict[str, Any]], bool]:
        """What was said between `after` and the turn, oldest first, and whether that is all of it."""
        answer = await self._client.conversations_replies(
            channel=turn.conversation.channel_id,
            ts=turn.conversation.root_ts,
            oldest=after or None,
            latest=turn.ts,
            limit=PAGE_MESSAGES,
        )
        messages = [message for message in answer["messages"] if after < message["ts"] < turn.ts]
        return messages, not answer.get("has_more")
