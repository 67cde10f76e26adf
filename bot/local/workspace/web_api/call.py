"""One call of a Web API method, as its handler sees it."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import AppIdentity, Channel, Json, User
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.timeline import Timeline
from bot.local.workspace.web_api.arguments import Arguments

T = TypeVar("T")


class TriggerRedeemer(Protocol):
    """Knows who did what a trigger id was issued for."""

    def redeem(self, trigger_id: str) -> str:
        """The user id. Raises Refused with Slack's error name."""


@dataclass(frozen=True)
class Call:
    """The arguments, and what the workspace has to answer them with."""

    arguments: Arguments
    timeline: Timeline
    clock: Clock
    identity: AppIdentity
    triggers: TriggerRedeemer
    open_socket: Callable[[], str]
    install_codes: set[str]
    """The codes that oauth.v2.access takes, each once."""

    origin: str
    """The workspace's own scheme, host and port."""

    def channel(self, name: str = "channel") -> Channel:
        """The channel that the argument names by its id, and that the app may know of."""
        channel = self.timeline.channel(self.arguments.needed(name))
        if channel is None or not self.sees(channel):
            raise Refused("channel_not_found")
        return channel

    def joined_channel(self, name: str = "channel") -> Channel:
        """The channel that the argument names, if the app is in it."""
        channel = self.channel(name)
        if self.identity.bot_user_id not in channel.members:
            raise Refused("not_in_channel")
        return channel

    def sees(self, channel: Channel) -> bool:
        """Public channels are known to everyone, the others to their members."""
        return channel.kind == "channel" or self.identity.bot_user_id in channel.members

    def sees_file(self, file: Json) -> bool:
        """Its own files, and those shared where it is."""
        channels = [self.timeline.channel(channel_id) for channel_id in self.timeline.file_shared_in(file)]
        app_id = self.identity.bot_user_id
        return file["user"] == app_id or any(app_id in channel.members for channel in channels if channel is not None)

    def user(self, name: str = "user") -> User:
        """The person whom the argument names by their id."""
        user = self.timeline.user(self.arguments.needed(name))
        if user is None:
            raise Refused("user_not_found")
        return user


Handler = Callable[[Call], Json]
"""Does what a method does and returns its answer without `ok`. Raises Refused."""


def page(items: Sequence[T], arguments: Arguments, *, default: int = 100) -> tuple[Sequence[T], Json]:
    """One page of a list, by the arguments `limit` and `cursor`, and the part of the answer that leads on."""
    start = _read_cursor(arguments.text("cursor") or "")
    end = start + arguments.limit(default, most=1000)
    next_cursor = urlsafe_b64encode(f"next:{end}".encode()).decode() if end < len(items) else ""
    return items[start:end], {"response_metadata": {"next_cursor": next_cursor}}


def _read_cursor(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        name, _, start = urlsafe_b64decode(cursor.encode()).decode("ascii").partition(":")
    except (Base64Error, UnicodeError):
        raise Refused("invalid_cursor") from None
    if name != "next" or not start.isdigit() or len(start) > 9:
        raise Refused("invalid_cursor")
    return int(start)
