"""Saying, changing and taking back. Messages are dicts in Slack's wire shape."""

import re

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import AppIdentity, Json
from bot.local.workspace.refusals import Refused, StreamError
from bot.local.workspace.timeline.authors import app_marks, marks_of
from bot.local.workspace.timeline.blocks import new_block_id, with_ids
from bot.local.workspace.timeline.changes import Change, Changes
from bot.local.workspace.timeline.channels import Channels
from bot.local.workspace.timeline.database import Database
from bot.local.workspace.timeline.history import THREAD_FACTS, History, TextFormat
from bot.local.workspace.timeline.rich_text import rich_text_block

_EMOJI_NAME = re.compile(r"[\w+'-]{1,100}(::skin-tone-[2-6])?")


class Messages:
    """Writes messages and reactions, and tells of each change. Raises Refused with Slack's error names."""

    def __init__(
        self,
        database: Database,
        changes: Changes,
        clock: Clock,
        identity: AppIdentity,
        channels: Channels,
        history: History,
    ) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock
        self._identity = identity
        self._channels = channels
        self._history = history

    def post(
        self,
        channel_id: str,
        user_id: str,
        text: str,
        *,
        thread_ts: str | None = None,
        blocks: list[Json] | None = None,
        metadata: Json | None = None,
        as_app: bool = False,
        subtype: str | None = None,
        reply_broadcast: bool = False,
        markdown: bool = False,
        as_response: bool = False,
        **extra: object,
    ) -> Json:
        """Say `text`, escaped as on the wire (`&amp;`, `<@U…>`); `markdown` says that it is Markdown, not mrkdwn.

        A message of the app gets its bot_id, app_id and bot_profile, a person's gets its rich_text block.
        `as_response`: by a response_url, which the app may use where it is no member.
        `extra` are further keys of the message (files, attachments, username …); None leaves one out.
        """
        message = self.draft(channel_id, user_id, text, thread_ts, as_app=as_app, as_response=as_response)
        if blocks:
            message["blocks"] = with_ids(blocks)
        elif not as_app and subtype in (None, "file_share") and text:
            message["blocks"] = [rich_text_block(text, new_block_id())]
        if subtype is not None:
            message["subtype"] = subtype
            if subtype != "file_share":
                message.pop("client_msg_id", None)  # nobody typed it
        elif reply_broadcast and "thread_ts" in message:
            message["subtype"] = "thread_broadcast"
            message["root"] = self._history.existing(channel_id, message["thread_ts"])
        if metadata:
            message["metadata"] = metadata
        message |= {name: value for name, value in extra.items() if value is not None}
        self.add(channel_id, message, text_format="markdown" if markdown else "mrkdwn")
        return message

    def draft(
        self,
        channel_id: str,
        user_id: str,
        text: str,
        thread_ts: str | None,
        *,
        as_app: bool,
        as_response: bool = False,
    ) -> Json:
        """A message that this user may say here, not yet said."""
        channel = self._channels.existing(channel_id)
        if channel.is_archived:
            raise Refused("is_archived")
        if user_id not in channel.members and not as_response:
            raise Refused("not_in_channel")
        root = None if thread_ts is None else self._root(channel_id, thread_ts)
        message: Json = {
            "type": "message",
            "user": user_id,
            "ts": self._next_ts(),
            "text": text,
            "team": self._identity.team_id,
        }
        message |= app_marks(self._identity) if as_app else marks_of(self._channels.user(user_id), self._identity)
        if root is not None:
            message |= {"thread_ts": root["ts"], "parent_user_id": root["user"]}
        return message

    def _next_ts(self) -> str:
        return self._database.next_ts(self._clock.now())

    def _root(self, channel_id: str, ts: str) -> Json:
        """The root of the thread that the message `ts` begins or is in."""
        message = self._history.message(channel_id, ts)
        if message is not None and message.get("thread_ts", ts) != ts:
            message = self._history.message(channel_id, message["thread_ts"])
        if message is None:
            raise Refused("thread_not_found")
        return message

    def add(self, channel_id: str, message: Json, *, text_format: TextFormat, detail: Json | None = None) -> None:
        """Keep a drafted message and tell of it."""
        is_reply = "thread_ts" in message and message.get("subtype") != "thread_broadcast"
        self._database.add_message(channel_id, message, in_history=not is_reply, text_format=text_format)
        thread_ts = message.get("thread_ts")
        self._changes.publish(
            Change("message", channel_id, message["ts"], thread_ts, message=message, detail=detail or {})
        )

    def update(
        self,
        channel_id: str,
        ts: str,
        *,
        text: str | None = None,
        blocks: list[Json] | None = None,
        attachments: list[Json] | None = None,
        metadata: Json | None = None,
        edited_by: str | None = None,
        markdown: bool = False,
    ) -> Json:
        """Change a message; None leaves as it is. A text given without blocks takes their place."""
        previous = self._history.existing(channel_id, ts)
        if self._history.stream_state(channel_id, ts) == "streaming":
            raise StreamError("streaming_state_conflict")
        message = dict(previous)
        text_format = self._history.text_format(channel_id, ts)
        if text is not None:
            text_format = "markdown" if markdown else "mrkdwn"
            message["text"] = text
            message.pop("blocks", None)
            if "bot_id" not in message and text:
                message["blocks"] = [rich_text_block(text, new_block_id())]
        if blocks is not None:
            message["blocks"] = with_ids(blocks)
        if attachments is not None:
            message["attachments"] = attachments
        if metadata is not None:
            message["metadata"] = metadata
        if edited_by is not None:
            message["edited"] = {"user": edited_by, "ts": self._next_ts()}
        self.save(channel_id, message, text_format=text_format)
        self._tell_changed(channel_id, message, previous)
        return message

    def save(self, channel_id: str, message: Json, *, text_format: TextFormat) -> None:
        """Keep a message that was changed, without what reading adds to the root of a thread."""
        kept = {name: value for name, value in message.items() if name not in THREAD_FACTS}
        if kept.get("thread_ts") == kept["ts"]:
            del kept["thread_ts"]
        self._database.save_message(channel_id, kept, text_format=text_format)

    def delete(self, channel_id: str, ts: str) -> None:
        """Take a message back. The root of a thread leaves a tombstone, as in Slack."""
        previous = self._history.existing(channel_id, ts)
        if self._history.stream_state(channel_id, ts) == "streaming":
            raise StreamError("cant_delete_message")
        if "reply_count" in previous:
            kept = ("type", "ts", "team", "thread_ts", *THREAD_FACTS)
            tombstone = {name: previous[name] for name in kept if name in previous} | {
                "subtype": "tombstone",
                "text": "This message was deleted.",
                "user": "USLACKBOT",
                "hidden": True,
            }
            self.save(channel_id, tombstone, text_format="mrkdwn")
            self._tell_changed(channel_id, tombstone, previous)
            return
        self._database.delete_message(channel_id, ts)
        thread_ts = previous.get("thread_ts")
        self._changes.publish(Change("message_deleted", channel_id, ts, thread_ts, previous=previous))

    def _tell_changed(self, channel_id: str, message: Json, previous: Json) -> None:
        thread_ts = message.get("thread_ts")
        self._changes.publish(
            Change("message_changed", channel_id, message["ts"], thread_ts, message=message, previous=previous)
        )

    def add_reaction(self, channel_id: str, ts: str, user_id: str, name: str) -> bool:
        """Whether the reaction is new."""
        return self._react(channel_id, ts, user_id, name, added=True)

    def remove_reaction(self, channel_id: str, ts: str, user_id: str, name: str) -> bool:
        """Whether the reaction was there."""
        return self._react(channel_id, ts, user_id, name, added=False)

    def _react(self, channel_id: str, ts: str, user_id: str, name: str, *, added: bool) -> bool:
        name = name.strip(":")
        if not _EMOJI_NAME.fullmatch(name):
            raise Refused("invalid_name")
        message = self._history.existing(channel_id, ts)
        users = {reaction["name"]: reaction["users"] for reaction in message.get("reactions", ())}
        who = users.setdefault(name, [])
        if (user_id in who) == added:
            return False
        users[name] = [*who, user_id] if added else [other for other in who if other != user_id]
        message["reactions"] = [{"name": name, "users": who, "count": len(who)} for name, who in users.items() if who]
        if not message["reactions"]:
            del message["reactions"]
        self.save(channel_id, message, text_format=self._history.text_format(channel_id, ts))
        self._changes.publish(
            Change(
                "reaction",
                channel_id,
                ts,
                message.get("thread_ts"),
                user_id,
                message,
                detail={"reaction": name, "added": added},
            )
        )
        return True
