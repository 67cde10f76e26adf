"""Who is in the workspace, and where they can talk."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import replace

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import AppIdentity, Channel, ChannelKind, User
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.changes import Change, Changes
from bot.local.workspace.timeline.database import Database

_CHANNEL_NAME = re.compile(r"[\w-]{1,80}")


def new_id(prefix: str) -> str:
    """An id in Slack's form that nothing else has: a letter for the kind of thing, ten of 0-9 and A-Z."""
    return prefix + "".join(secrets.choice("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(10))


class Channels:
    """The workspace's people and channels. Raises Refused with Slack's error names."""

    def __init__(self, database: Database, changes: Changes, clock: Clock, identity: AppIdentity) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock
        self._bot_user_id = identity.bot_user_id

    def users(self) -> list[User]:
        return self._database.users()

    def user(self, user_id: str) -> User | None:
        return self._database.user(user_id)

    def add_user(self, user: User) -> None:
        """Take somebody in, who is in no channel yet; or change somebody who is here, by their id."""
        if any(other.name == user.name and other.id != user.id for other in self.users()):
            raise Refused("name_taken")
        self._database.save_user(user)
        self._changes.publish(Change("user", detail={"user_id": user.id}))

    def is_shared(self, channel: Channel) -> bool:
        """Whether people of another company are in it (Slack Connect)."""
        members = [self.user(user_id) for user_id in channel.members]
        return any(user.is_external for user in members if user is not None)

    def channels(self) -> list[Channel]:
        return self._database.channels()

    def channel(self, channel_id: str) -> Channel | None:
        return self._database.channel(channel_id)

    def existing(self, channel_id: str) -> Channel:
        """The channel, or Refused("channel_not_found")."""
        channel = self.channel(channel_id)
        if channel is None:
            raise Refused("channel_not_found")
        return channel

    def direct_channel(self, user_id: str, other_id: str | None = None) -> Channel:
        """The direct message of this person with Dolly, or with another person, opened if need be."""
        members = (user_id, other_id or self._bot_user_id)
        user = self.user(user_id)
        if user is None or user.is_bot or self.user(members[1]) is None or user_id == other_id:
            raise Refused("user_not_found")
        for channel in self.channels():
            if channel.kind == "im" and set(channel.members) == set(members):
                return channel
        channel_id = new_id("D") if other_id else "D" + user_id[1:]
        return self._create(channel_id, "", "im", user_id, members)

    def group_channel(self, user_ids: Iterable[str]) -> Channel:
        """The direct message of these people together with Dolly, opened if need be."""
        members = tuple(dict.fromkeys((self._bot_user_id, *user_ids)))
        if any(self.user(user_id) is None for user_id in members):
            raise Refused("user_not_found")
        for channel in self.channels():
            if channel.kind == "mpim" and set(channel.members) == set(members):
                return channel
        names = [user.name for user in self.users() if user.id in members]
        return self._create(new_id("C"), f"mpdm-{'--'.join(names)}-1", "mpim", self._bot_user_id, members)

    def create_channel(self, name: str, creator: str, *, is_private: bool = False) -> Channel:
        """A new channel with its creator in it. `name` is what stands after the #."""
        name = name.removeprefix("#").lower()
        if not _CHANNEL_NAME.fullmatch(name):
            raise Refused("invalid_name_specials" if name else "invalid_name_required")
        if any(channel.name == name for channel in self.channels()):
            raise Refused("name_taken")
        return self._create(new_id("C"), name, "group" if is_private else "channel", creator, (creator,))

    def _create(self, channel_id: str, name: str, kind: ChannelKind, creator: str, members: tuple[str, ...]) -> Channel:
        channel = Channel(channel_id, name, kind, creator, int(self._clock.now()), members=members)
        self._database.save_channel(channel)
        self._changes.publish(Change("channel", channel_id, user_id=None, detail={"created": True}))
        return channel

    def add_member(self, channel: Channel, user_id: str) -> Channel:
        if self.user(user_id) is None:
            raise Refused("user_not_found")
        return self._change_members(channel, (*channel.members, user_id), {"joined": user_id})

    def remove_member(self, channel: Channel, user_id: str) -> Channel:
        members = tuple(member for member in channel.members if member != user_id)
        return self._change_members(channel, members, {"left": user_id})

    def _change_members(self, channel: Channel, members: tuple[str, ...], detail: dict[str, str]) -> Channel:
        channel = replace(channel, members=members)
        self._database.save_channel(channel)
        self._changes.publish(Change("channel", channel.id, detail=dict(detail)))
        return channel

    def archive(self, channel_id: str) -> Channel:
        """Close the channel to new messages; what was said stays readable."""
        channel = replace(self.existing(channel_id), is_archived=True)
        self._database.save_channel(channel)
        self._changes.publish(Change("channel", channel_id, detail={"archived": True}))
        return channel
