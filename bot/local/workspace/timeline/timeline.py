"""Everything that is said and shown in the workspace, in one place: the only way to read or write it.

Every method raises `Refused` with Slack's error name when the workspace will not do it.
"""

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import AppIdentity, Channel
from bot.local.workspace.timeline.changes import Changes
from bot.local.workspace.timeline.channels import Channels
from bot.local.workspace.timeline.database import Database
from bot.local.workspace.timeline.ephemerals import Ephemerals
from bot.local.workspace.timeline.files import Files
from bot.local.workspace.timeline.history import History
from bot.local.workspace.timeline.messages import Messages
from bot.local.workspace.timeline.streams import Streams
from bot.local.workspace.timeline.threads import Threads
from bot.local.workspace.timeline.views import Views


class Timeline:
    """Joins the parts. Each attribute below is a method of the part that it is taken from."""

    def __init__(self, database: Database, changes: Changes, clock: Clock, identity: AppIdentity) -> None:
        channels = Channels(database, changes, clock, identity)
        history = History(database, clock)
        messages = Messages(database, changes, clock, identity, channels, history)
        ephemerals = Ephemerals(database, changes, clock, identity, channels)
        streams = Streams(database, changes, clock, identity, history, messages)
        threads = Threads(database, changes, clock)
        views = Views(database, changes, clock, identity)
        files = Files(database, clock, identity)
        self._channels, self._messages, self._streams, self._threads = channels, messages, streams, threads

        self.app_user_id = identity.bot_user_id

        self.users = channels.users
        self.user = channels.user
        self.add_user = channels.add_user
        self.is_shared = channels.is_shared
        self.channels = channels.channels
        self.channel = channels.channel
        self.direct_channel = channels.direct_channel
        self.group_channel = channels.group_channel
        self.create_channel = channels.create_channel
        self.archive = channels.archive

        self.message = history.message
        self.text_format = history.text_format
        self.history = history.history
        self.replies = history.replies

        self.post = messages.post
        self.update = messages.update
        self.delete = messages.delete
        self.add_reaction = messages.add_reaction
        self.remove_reaction = messages.remove_reaction

        self.post_ephemeral = ephemerals.post_ephemeral
        self.ephemerals = ephemerals.ephemerals
        self.ephemeral = ephemerals.ephemeral
        self.replace_ephemeral = ephemerals.replace_ephemeral
        self.delete_ephemeral = ephemerals.delete_ephemeral

        self.start_stream = streams.start_stream
        self.append_stream = streams.append_stream
        self.stop_stream = streams.stop_stream
        self.stop_by_user = streams.stop_by_user
        self.stream_state = streams.stream_state
        self.open_streams = streams.open_streams

        self.set_status = threads.set_status
        self.status = threads.status
        self.set_prompts = threads.set_prompts
        self.prompts = threads.prompts
        self.set_title = threads.set_title
        self.title = threads.title
        self.set_session = threads.set_session
        self.session = threads.session

        self.open_view = views.open_view
        self.push_view = views.push_view
        self.update_view = views.update_view
        self.close_view = views.close_view
        self.view = views.view
        self.view_by_external_id = views.view_by_external_id
        self.view_owner = views.view_owner
        self.top_view = views.top_view
        self.home = views.home
        self.publish_home = views.publish_home

        self.announce_file = files.announce
        self.store_file = files.store
        self.upload_file = files.upload
        self.complete_file = files.complete
        self.file = files.file
        self.file_shared_in = files.shared_in
        self.file_content = files.content

    def join(self, channel_id: str, user_id: str) -> Channel:
        """Make the user a member and say so in the channel; nothing if already one."""
        channel = self._channels.existing(channel_id)
        if user_id in channel.members:
            return channel
        channel = self._channels.add_member(channel, user_id)
        self._say_membership(channel, user_id, "channel_join", "has joined the channel")
        return channel

    def leave(self, channel_id: str, user_id: str) -> Channel:
        """Take the user out of the channel, saying so in it first; nothing if not a member."""
        channel = self._channels.existing(channel_id)
        if user_id not in channel.members:
            return channel
        self._say_membership(channel, user_id, "channel_leave", "has left the channel")
        return self._channels.remove_member(channel, user_id)

    def _say_membership(self, channel: Channel, user_id: str, subtype: str, words: str) -> None:
        self._messages.post(channel.id, user_id, f"<@{user_id}> {words}", subtype=subtype)

    def expire(self) -> None:
        """End what time has ended: streams after five minutes, statuses after two."""
        self._streams.expire()
        self._threads.expire()
