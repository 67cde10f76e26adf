"""Slack's text format: what people write becomes plain text, and plain text what Slack takes literally. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

PLAIN_MENTION = re.compile(r"@([UW][A-Z0-9]{6,})\b")
REFERENCE = re.compile(r"<([^<>\s][^<>]*)>")


def to_plain(text: str, bot_user_id: str, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """What a person wrote, for the model: without the mention of Dolly, references readable, escapes undone.

    `names` are those of mentioned people, by user id; who is not in it stays an id.
    """

    def readable(match: re.Match[str]) -> str:
        target, _, label = match[1].partition("|")
        if target.startswith("@"):
            return "" if target == f"@{bot_user_id}" else f"@{label or names.get(target[1:], target[1:])}"
        if target.startswith("#"):
            return f"#{label or target[1:]}"
        if target.startswith("!"):
            return label or f"@{target[1:].partition('^')[0]}"
        address = target.removeprefix("mailto:")
        return f"{label} ({address})" if label and label not in address else address

    return unescape(REFERENCE.sub(readable, text)).strip()


def mentioned_ids(text: str) -> set[str]:
    """The ids of all people that `text` mentions."""
    return {match[1][1:].partition("|")[0] for match in REFERENCE.finditer(text) if match[1].startswith("@")}


def with_names(plain: str, names: Mapping[str, str]) -> str:
    """Plain text in which mentioned people are ids, with their names instead where `names` has them."""
    return PLAIN_MENTION.sub(lambda match: f"@{names.get(match[1], match[1])}", plain)


def mentions(text: str, user_id: str) -> bool:
    """Whether `text` mentions `user_id`."""
    return user_id in mentioned_ids(text)


def escape(text: str) -> str:
    """Markdown in which Slack sees no mention, no ping and no link of its own.

    Those all open with `<`. A `>` stays: alone it means nothing, and at the start of a line it is a quote.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;")


def excerpt(text: str, most_characters: int) -> str:
    """The beginning of `text`, escaped. As sent it has at most so many characters: Slack refuses a block with more."""
    escaped = escape(text)
    if len(escaped) <= most_characters:
        return escaped
    cut = escaped[: most_characters - 1]
    before, ampersand, after = cut.rpartition("&")
    return (before if ampersand and ";" not in after else cut) + "…"


def one_line(text: str, most_characters: int) -> str:
    """An excerpt on one line."""
    return excerpt(" ".join(text.split()), most_characters)


def time_token(epoch: int) -> str:
    """A time of day that Slack shows in each reader's own zone; in UTC where it cannot.

    `epoch` in seconds since 1970, less than a day away: the date is left out.
    """
    return f"<!date^{epoch}^{{time_secs}}|{datetime.fromtimestamp(epoch, UTC):%H:%M:%S} UTC>"


def date_token(epoch: float) -> str:
    """A day and a time, that Slack shows in each reader's own zone; the day in UTC where it cannot."""
    day = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d")
    return f"<!date^{int(epoch)}^{{date_short_pretty}}, {{time}}|{day}>"


def unescape(text: str) -> str:
    """Text as it was before Slack escaped it."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
