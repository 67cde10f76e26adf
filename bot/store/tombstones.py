"""What was forgotten, and when: it is not read back out of Slack's threads, and forgotten once only.

    forgotten:<keyed hash of a target>    when that was to be forgotten, in seconds since 1970
    erasures                              set: ids of the erasures that this store has seen carried out

They stay for ever, as what Slack shows may; each is a few bytes. They hold no names. Whoever has the store, and not its
key, cannot tell whom a hash is of; where Dolly was told to do without keys, whoever knows an id can.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from bot.conversation import ConversationId, Line
from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.layout import Layout
from bot.store.sealing import Sealing

Kind = Literal["conversation", "channel", "user", "user_in_conversation", "team"]


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be forgotten: one conversation, one channel, one person, one person in one conversation; with
    neither, everything."""

    conversation: ConversationId | None = None
    channel_id: str = ""
    user_id: str = ""

    @property
    def kind(self) -> Kind:
        if self.conversation:
            return "user_in_conversation" if self.user_id else "conversation"
        return "channel" if self.channel_id else "user" if self.user_id else "team"

    @property
    def name(self) -> str:
        return " ".join(str(part) for part in (self.conversation, self.channel_id, self.user_id) if part)


class Tombstones:
    """The marks that forgetting leaves. Methods raise StoreUnavailable; a store that is full takes them still."""

    def __init__(self, client: Client, layout: Layout, sealing: Sealing) -> None:
        self._client = client
        self._layout = layout
        self._sealing = sealing
        self._note = load_script("note_erasures")

    def of(self, target: Target) -> str:
        """The tombstone of `target`: a hash."""
        return self._hashes(target)[0]

    async def put(self, tombstones: Mapping[str, float]) -> None:
        """Mark what was to be forgotten: `of` a target → when, in seconds since 1970."""
        await self._write([self._key(each) for each in tombstones], [repr(at) for at in tombstones.values()])

    async def applied(self) -> frozenset[str]:
        """The ids of all erasures that this store has seen carried out."""
        async with store_errors():
            found: Any = await self._client.smembers(self._layout.prefix + "erasures")
        return frozenset(found)

    async def note_applied(self, erasure_ids: Iterable[str]) -> None:
        """Remember that these were carried out."""
        await self._write([], list(erasure_ids))

    async def unforgotten(self, conversation: ConversationId, lines: Sequence[Line]) -> list[Line]:
        """Those of `lines`, as Slack shows them in `conversation`, that were said since it, or who said them, was
        forgotten.

        Where lines of a person go, Dolly's own of that time go too: which of them answered that person, is forgotten.
        """
        places = [Target(), Target(channel_id=conversation.channel_id), Target(conversation)]
        people = {
            user: [Target(user_id=user), Target(conversation, user_id=user)] for user in {_.user_id for _ in lines}
        }
        forgotten = await self._forgotten([*places, *chain.from_iterable(people.values())])
        until = {user: max(forgotten[target] for target in [*places, *targets]) for user, targets in people.items()}
        gone = {line.user_id for line in lines if float(line.ts) <= until[line.user_id]}
        _, _, own = self._layout.owner.partition("/")
        if gone and own in until:
            until[own] = max(until[user] for user in {own, *gone})
        return [line for line in lines if float(line.ts) > until[line.user_id]]

    async def _forgotten(self, targets: Iterable[Target]) -> dict[Target, float]:
        """When each was to be forgotten; 0 for what was not."""
        asked = [(target, tombstone) for target in targets for tombstone in self._hashes(target)]
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            for _, tombstone in asked:
                pipe.get(self._key(tombstone))
            found = await pipe.execute()
        forgotten: dict[Target, float] = defaultdict(float)
        for (target, _), at in zip(asked, found, strict=True):
            forgotten[target] = max(forgotten[target], float(at or 0))
        return forgotten

    def _hashes(self, target: Target) -> tuple[str, ...]:
        return self._sealing.hashes(f"{self._layout.owner}\n{target.kind}\n{target.name}")

    def _key(self, tombstone: str) -> str:
        return f"{self._layout.prefix}forgotten:{tombstone}"

    async def _write(self, keys: Sequence[str], args: Sequence[str]) -> None:
        async with store_errors():
            await run_script(self._client, self._note, [self._layout.prefix + "erasures", *keys], args)
