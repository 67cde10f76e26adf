"""Messages that only one person sees. They are in no history; only their response_url can change them."""

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import AppIdentity, Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.authors import app_marks
from bot.local.workspace.timeline.blocks import with_ids
from bot.local.workspace.timeline.changes import Change, Changes
from bot.local.workspace.timeline.channels import Channels
from bot.local.workspace.timeline.database import Database


class Ephemerals:
    """The ephemeral messages of each person in each channel."""

    def __init__(
        self,
        database: Database,
        changes: Changes,
        clock: Clock,
        identity: AppIdentity,
        channels: Channels,
    ) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock
        self._identity = identity
        self._channels = channels

    def post_ephemeral(
        self,
        channel_id: str,
        to_user_id: str,
        text: str,
        *,
        thread_ts: str | None = None,
        blocks: list[Json] | None = None,
        response_url_id: str | None = None,
    ) -> Json:
        """Have the app say something to one person; Dolly need not be in the channel (answers to commands).

        `response_url_id` names the response_url by which it came; it is kept in the message.
        """
        if to_user_id not in self._channels.existing(channel_id).members:
            raise Refused("user_not_in_channel")
        message: Json = {
            "type": "message",
            "user": self._identity.bot_user_id,
            "ts": self._database.next_ts(self._clock.now()),
            "text": text,
            "team": self._identity.team_id,
            "is_ephemeral": True,
            **app_marks(self._identity),
        }
        message |= {"blocks": with_ids(blocks)} if blocks else {}
        message |= {"thread_ts": thread_ts} if thread_ts else {}
        message |= {"response_url_id": response_url_id} if response_url_id else {}
        return self._keep(channel_id, to_user_id, message)

    def ephemerals(self, channel_id: str, user_id: str) -> list[Json]:
        """What only this person sees here, oldest first."""
        return self._database.ephemerals(channel_id, user_id)

    def ephemeral(self, channel_id: str, user_id: str, ts: str) -> Json | None:
        return next((m for m in self.ephemerals(channel_id, user_id) if m["ts"] == ts), None)

    def _existing(self, channel_id: str, user_id: str, ts: str) -> Json:
        message = self.ephemeral(channel_id, user_id, ts)
        if message is None:
            raise Refused("message_not_found")
        return message

    def replace_ephemeral(
        self, channel_id: str, user_id: str, ts: str, *, text: str, blocks: list[Json] | None = None
    ) -> Json:
        """Put another text and other blocks in its place, at the same ts."""
        message = self._existing(channel_id, user_id, ts)
        message.pop("blocks", None)
        message |= {"text": text} | ({"blocks": with_ids(blocks)} if blocks else {})
        return self._keep(channel_id, user_id, message)

    def _keep(self, channel_id: str, user_id: str, message: Json) -> Json:
        self._database.save_ephemeral(channel_id, user_id, message)
        thread_ts = message.get("thread_ts")
        self._changes.publish(Change("ephemeral", channel_id, message["ts"], thread_ts, user_id, message=message))
        return message

    def delete_ephemeral(self, channel_id: str, user_id: str, ts: str) -> None:
        message = self._existing(channel_id, user_id, ts)
        self._database.delete_ephemeral(channel_id, user_id, ts)
        thread_ts = message.get("thread_ts")
        self._changes.publish(Change("ephemeral_deleted", channel_id, ts, thread_ts, user_id, previous=message))
