"""Slack's threads as the responder sees them: what was said there, and a reply to what was asked."""

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import Turn
from bot.responder import Reply
from bot.slack.client import UNREACHABLE, Identity, failure
from bot.slack.mrkdwn import PLAIN_MENTION, mentioned_ids, to_plain, with_names
from bot.slack.pacing import Cadence
from bot.slack.reply_stream import ReplyStream
from bot.slack.slash_reply import SlashReply
from bot.words import Words

log = structlog.get_logger(__name__)

PAGE_MESSAGES = 200
PAGES = 5
NAMES_KEPT = 5_000
NAMES_PER_TEXT = 20


class Threads:
    """Reads threads and opens replies, for one workspace."""

    def __init__(self, client: AsyncWebClient, identity: Identity, words: Words) -> None:
        self._client = client
        self._identity = identity
        self._words = words
        self._cadence = Cadence()
        self._names: dict[str, str] = {identity.bot_user_id: "Dolly"}

    def reply(self, turn: Turn) -> Reply:
        """The answer to `turn`, not yet begun."""
        if turn.response_url:
            return SlashReply(turn)
        return ReplyStream(self._client, self._identity, turn, self._cadence, self._words)

    async def readable(self, text: str) -> str:
        """What a person asked, with the names of the people who are mentioned in it."""
        return with_names(text, await self._names_of(PLAIN_MENTION.findall(text)))

    async def earlier_messages(self, turn: Turn) -> list[str]:
        """What was said in the turn's thread before it, oldest first, "name: text" a line.

        Empty where Slack does not let Dolly read the thread: the question is answered without it.
        """
        try:
            messages = await self._replies(turn)
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("thread_unreadable", reason=str(failure("conversations.replies", error)))
            return []
        lines = [await self._line(message) for message in messages]
        return [line for line in lines if line]

    async def _line(self, message: dict[str, str]) -> str:
        text = message.get("text") or ""
        plain = to_plain(text, self._identity.bot_user_id, await self._names_of(sorted(mentioned_ids(text))))
        author = await self._name(message["user"]) if "user" in message else message.get("username", "app")
        return f"{author}: {plain}" if plain else ""

    async def _replies(self, turn: Turn) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = []
        cursor = None
        for _ in range(PAGES):
            answer = await self._client.conversations_replies(
                channel=turn.conversation.channel_id,
                ts=turn.conversation.root_ts,
                latest=turn.ts,
                limit=PAGE_MESSAGES,
                cursor=cursor,
            )
            messages += answer["messages"]
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        return [message for message in messages if message["ts"] < turn.ts]

    async def _names_of(self, user_ids: list[str]) -> dict[str, str]:
        """The names of the first few; a text full of ids must not become a call for each."""
        few = list(dict.fromkeys(user_ids))[:NAMES_PER_TEXT]
        return {user_id: await self._name(user_id) for user_id in few}

    async def _name(self, user_id: str) -> str:
        """The person's name; the id where Slack does not give one now."""
        if user_id not in self._names:
            name = await self._look_up(user_id)
            if name is None:
                return user_id
            if len(self._names) >= NAMES_KEPT:
                self._names = {self._identity.bot_user_id: "Dolly"}
            self._names[user_id] = name
        return self._names[user_id]

    async def _look_up(self, user_id: str) -> str | None:
        try:
            user = (await self._client.users_info(user=user_id))["user"]
        except (SlackApiError, *UNREACHABLE):
            return None
        profile = user.get("profile") or {}
        return str(profile.get("display_name") or user.get("real_name") or user.get("name") or user_id)
