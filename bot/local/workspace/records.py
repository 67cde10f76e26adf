"""Who is in the workspace: people, the app, channels. Frozen values, no I/O."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
"""A value in Slack's own wire shape. What is said is kept in it, so nothing is ever translated."""

ChannelKind = Literal["channel", "group", "im", "mpim"]


TEAM_ID = "T0DOLLYWS01"
BOT_USER_ID = "U0DOLLYBOT1"
ADMIN_ID = "U0ASHA00001"


@dataclass(frozen=True)
class User:
    """A member of the workspace, a guest, somebody of another company, or a bot."""

    id: str
    name: str
    real_name: str
    is_bot: bool = False
    is_admin: bool = False
    locale: str = "en-US"
    color: str = "616061"
    """Six hex digits, for the avatar."""

    is_owner: bool = False
    is_restricted: bool = False
    """A guest, in some channels only."""

    is_ultra_restricted: bool = False
    """A guest of a single channel; such a one is `is_restricted` too."""

    team_id: str = TEAM_ID
    """Another team's id for a person of another company (Slack Connect)."""

    tz: str = "Etc/UTC"
    """A name of the IANA time zone database."""

    bot_id: str = ""
    """"B…" of a bot that is not Dolly; "" for all others."""

    @property
    def is_external(self) -> bool:
        """Of another company."""
        return self.team_id != TEAM_ID


@dataclass(frozen=True)
class Channel:
    """A place where messages are said."""

    id: str
    name: str
    """Empty for a direct message."""

    kind: ChannelKind
    creator: str
    created: int
    """Seconds since 1970."""

    topic: str = ""
    purpose: str = ""
    members: tuple[str, ...] = ()
    is_archived: bool = False


@dataclass(frozen=True)
class AppIdentity:
    """The app as it is installed in the workspace, with its credentials."""

    team_id: str
    team_name: str
    team_domain: str
    app_id: str
    bot_user_id: str
    bot_id: str
    client_id: str
    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    signing_secret: str = field(repr=False)
    verification_token: str = field(repr=False)
    client_secret: str = field(repr=False)


TEAM: tuple[User, ...] = (
    User(ADMIN_ID, "asha", "Asha", is_admin=True, locale="en-IN", color="b3541e", is_owner=True),
    User("U0BEN000001", "ben", "Ben", color="2f6f8f"),
    User("U0CHEN00001", "chen", "Chen", color="5b7f2b"),
    User("U0DIVYA0001", "divya", "Divya", locale="hi-IN", color="a0436f"),
    User(BOT_USER_ID, "dolly", "Dolly", is_bot=True, color="6b4fa0"),
)
"""The team that a new workspace opens with."""


_FOUNDED = 1_760_000_000
"""When the opening channels say they were made."""


def people() -> tuple[User, ...]:
    """The members of the team who are not apps."""
    return tuple(user for user in TEAM if not user.is_bot)


def opening_channels() -> tuple[Channel, ...]:
    """The channels that a new workspace opens with. Dolly is in all of them but #random."""
    persons = tuple(user.id for user in people())
    everyone = (*persons, BOT_USER_ID)

    def channel(id: str, name: str, topic: str, members: tuple[str, ...]) -> Channel:
        return Channel(id, name, "channel", ADMIN_ID, _FOUNDED, topic=topic, members=members)

    return (
        channel("C0GENERAL01", "general", "Company-wide news and work", everyone),
        channel("C0RANDOM001", "random", "Anything else (Dolly is not here)", persons),
        channel("C0TEAMHELP1", "team-help", "Ask for help; Dolly listens", everyone),
    )


def new_identity() -> AppIdentity:
    """An app with new credentials."""
    return AppIdentity(
        team_id=TEAM_ID,
        team_name="Dolly's workspace",
        team_domain="dolly-local",
        app_id="A0DOLLYAPP1",
        bot_user_id=BOT_USER_ID,
        bot_id="B0DOLLYBOT1",
        client_id="1000000000001.1000000000002",
        bot_token=f"xoxb-1000000000001-1000000000003-{secrets.token_hex(12)}",
        app_token=f"xapp-1-A0DOLLYAPP1-1000000000004-{secrets.token_hex(32)}",
        signing_secret=secrets.token_hex(16),
        verification_token=secrets.token_hex(12),
        client_secret=secrets.token_hex(16),
    )
