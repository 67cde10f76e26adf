"""From what a person types to the text that Slack keeps.

& < > become &amp; &lt; &gt;, and outside of code @ben becomes <@U…>, #general <#C…|general>,
@here <!here>, and an address <https://…>, as Slack's own composer does it.
"""

import re
from collections.abc import Iterable

from bot.local.workspace.records import Channel, User

GROUPS = {"here", "channel", "everyone"}
CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
SPECIAL = re.compile(
    r"(?P<url>https?://(?:(?!&[lg]t;)[^\s|])+(?<![.,:;!?)\]'\"]))"
    r"|(?<![\w@])@(?P<name>[\w.-]*\w)"
    r"|(?<![\w#&])\#(?P<channel>[\w-]+)"
)


def wire_text(typed: str, users: Iterable[User], channels: Iterable[Channel], *, named: bool = False) -> str:
    """The text as Slack keeps it; with `named`, as a slash command gets it: <@U…|ben>."""
    user_by_name = {user.name.lower(): user for user in users}
    channel_by_name = {channel.name.lower(): channel for channel in channels if channel.name}

    def replace(match: re.Match[str]) -> str:
        if match["url"]:
            return f"<{match['url']}>"
        if match["channel"]:
            channel = channel_by_name.get(match["channel"].lower())
            return f"<#{channel.id}|{channel.name}>" if channel else match[0]
        if match["name"].lower() in GROUPS:
            return f"<!{match['name'].lower()}>"
        user = user_by_name.get(match["name"].lower())
        if user is None:
            return match[0]
        return f"<@{user.id}|{user.name}>" if named else f"<@{user.id}>"

    escaped = typed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    parts = CODE.split(escaped)
    # Every second part is code, which stays as it is.
    return "".join(part if index % 2 else SPECIAL.sub(replace, part) for index, part in enumerate(parts))
