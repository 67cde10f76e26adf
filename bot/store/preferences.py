"""What people and channels have set, in the store.

    settings:<user>      string: a person's preferences, sealed
    people               set: the people who have set something
    channel:<channel>    string: a channel's rules, sealed
    channels             set: the channels that have rules

They stay until they are changed or forgotten (forgetting.py).
"""

import json
from dataclasses import asdict, fields
from typing import Any

import structlog

from bot.errors import SealBroken
from bot.preferences import ChannelRules, Preferences
from bot.store.connection import Client, store_errors
from bot.store.layout import Layout
from bot.store.sealing import Sealing

log = structlog.get_logger(__name__)


class PreferenceStore:
    """Reads and writes them. Every method raises StoreUnavailable."""

    def __init__(self, client: Client, layout: Layout, sealing: Sealing) -> None:
        self._client = client
        self._prefix = layout.prefix
        self._sealing = sealing

    async def of_person(self, user_id: str) -> Preferences:
        """What the person has set; what holds by itself where nothing is set."""
        return Preferences(**await self._read(f"settings:{user_id}", Preferences))

    async def set_person(self, user_id: str, preferences: Preferences) -> None:
        """Replace what the person has set."""
        await self._write(f"settings:{user_id}", asdict(preferences), "people", user_id)

    async def of_channel(self, channel_id: str) -> ChannelRules:
        """What holds in the channel."""
        return ChannelRules(**await self._read(f"channel:{channel_id}", ChannelRules))

    async def set_channel(self, channel_id: str, rules: ChannelRules) -> None:
        """Replace what holds in the channel."""
        await self._write(f"channel:{channel_id}", asdict(rules), "channels", channel_id)

    async def channels(self) -> dict[str, ChannelRules]:
        """The rules of every channel that has some, by its id."""
        async with store_errors():
            found: Any = await self._client.smembers(f"{self._prefix}channels")
        return {channel_id: await self.of_channel(channel_id) for channel_id in sorted(found)}

    async def _read(self, name: str, kind: type[Preferences | ChannelRules]) -> dict[str, Any]:
        """The fields of `kind` that are stored; those of a later Dolly are passed over."""
        async with store_errors():
            stored: Any = await self._client.get(self._prefix + name)
        if stored is None:
            return {}
        try:
            found: dict[str, Any] = json.loads(self._sealing.open(name, stored))
            return {field.name: found[field.name] for field in fields(kind) if field.name in found}
        except (SealBroken, ValueError) as error:
            # Whoever set it can set it again; nobody goes without an answer for it.
            log.error("preferences_unreadable", key=name, error=type(error).__name__)
            return {}

    async def _write(self, name: str, values: dict[str, Any], among: str, member: str) -> None:
        sealed = self._sealing.seal(name, json.dumps(values, ensure_ascii=False))
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.sadd(self._prefix + among, member)  # first: what is listed is found by who forgets it
            pipe.set(self._prefix + name, sealed)
            await pipe.execute()
