"""`dolly forget`: what a person, a conversation, a channel or everybody left in the store goes for good."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.conversation import ConversationId
from bot.erasures import ErasureLog, Erasures
from bot.errors import StoreUnavailable
from bot.slack.permalinks import TIMESTAMP, linked_thread
from bot.store.connection import connect
from bot.store.forgetting import Forgetting, Forgotten
from bot.store.layout import check, layout_of
from bot.store.sealing import Sealing
from bot.store.tombstones import Target, Tombstones

USER = re.compile(r"[UW][A-Z0-9]{2,20}")
CHANNEL = re.compile(r"[CDG][A-Z0-9]{2,20}")
OTHER = re.compile(r"[\w.:-]{1,255}", re.ASCII)


class NotATarget(Exception):
    """What is to be forgotten cannot be read; the sentence says what it should look like."""


Choose = Callable[[str], Target]
"""Given the team's id, what is to be forgotten."""


def chosen(*, user: str | None, conversation: str | None, channel: str | None, everyone: bool) -> Choose:
    """What the options ask for, of which exactly one is given. Raises NotATarget."""
    if sum([user is not None, conversation is not None, channel is not None, everyone]) != 1:
        raise NotATarget("Say what to forget with exactly one of --user, --conversation, --channel and --everyone.")
    if user is not None:
        if not USER.fullmatch(user):
            raise NotATarget(f"--user wants a person's id, such as U0ASHA00001, and {user!r} is none.")
        return lambda _: Target(user_id=user)
    if channel is not None:
        if not CHANNEL.fullmatch(channel):
            raise NotATarget(f"--channel wants a channel's id, such as C0GENERAL01, and {channel!r} is none.")
        return lambda _: Target(channel_id=channel)
    if conversation is not None:
        return _conversation(conversation)
    return lambda _: Target()


def _conversation(text: str) -> Choose:
    linked = linked_thread(text)
    if linked:
        return lambda team_id: Target(ConversationId(team_id, *linked))
    *team, channel_id, root_ts = ["", *text.split("/")]
    if len(team) <= 2 and OTHER.fullmatch(channel_id) and TIMESTAMP.fullmatch(root_ts):
        return lambda team_id: Target(ConversationId("".join(team) or team_id, channel_id, root_ts))
    raise NotATarget(
        "--conversation wants a link to a message, as Slack copies it, or a channel's id and the ts of the thread's "
        f"first message, such as C0GENERAL01/1700000000.000100; {text!r} is neither."
    )


async def forget(
    url: str,
    choose: Choose,
    *,
    cluster: bool,
    memory_keys: Sequence[bytes],
    erasure_log: Path,
    team: str | None,
    tell: Callable[[str], None],
) -> None:
    """Forget what was chosen, tell what went, and have the store's files written anew.

    Needs no Slack: the store knows whose it is. Raises DollyError with a sentence where not all of it is done.
    """
    client = connect(url, cluster=cluster)
    try:
        layout = await layout_of(client, team)
        sealing = Sealing(memory_keys)
        await check(client, layout, sealing)  # which writes nothing: the store may be full
        target = choose(layout.owner.partition("/")[0])
        forgetting = Forgetting(client, layout, sealing)
        tombstones = Tombstones(client, layout, sealing)
        erasures = Erasures(ErasureLog(erasure_log, layout.owner), forgetting, tombstones, client)
        erasure = await erasures.write_down(target)
        try:
            tell(_sentence(await erasures.carry_out(erasure, target)))
        except StoreUnavailable as error:
            raise StoreUnavailable(
                f"{error} What to forget is in the erasure log: Dolly does it when it starts; or run this again."
            ) from None
        await erasures.rewrite_files()
        tell("The store's files were written anew: what went is not in them any more.")
    finally:
        await client.aclose()


def _sentence(forgotten: Forgotten) -> str:
    if not forgotten:
        return "There was nothing of it in the store."
    settings = f", and {_count(forgotten.settings, 'set')} of settings" if forgotten.settings else ""
    return (
        f"Forgotten: {_count(forgotten.exchanges, 'exchange')} and {_count(forgotten.waiting, 'unanswered question')}, "
        f"in {_count(forgotten.conversations, 'conversation')}{settings}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
