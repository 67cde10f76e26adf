"""Forgetting: what a conversation, a channel, a person or the whole team left in the store goes.

A conversation is forgotten in one script, which also bumps its fence: whoever is answering there cannot commit any
more, so nothing comes back. What stays holds no text and ends by itself: the dedupe marks (`seen:`, 26 hours), so
that a redelivery does not bring a forgotten question back, and a claim's fence, as long as those.

The server's files still hold what was deleted until they are written anew: bot/store/files.py.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from bot.conversation import ConversationId
from bot.errors import SealBroken, StoreUnavailable
from bot.store import memory
from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.forgetting_feedback import ForgettingFeedback, conversation_of
from bot.store.layout import Layout
from bot.store.mailbox import DEDUPE_SECONDS
from bot.store.own_quotas import OwnQuotas
from bot.store.quotations import Quotations
from bot.store.sealing import Sealing
from bot.store.usage import Usage

SCAN_COUNT = 1_000
SCAN_SECONDS = 120.0
BATCH = 500
TRIES = 10

OF_CONVERSATIONS = frozenset({"memory", "mailbox", "claim", "changes", "posted", "feedback", "asking"})
"""Kinds of keys that are named after a conversation."""
OF_JOBS = frozenset({"job", "letter", "settling"})
"""Kinds of keys that are named after a job: a conversation and a ts."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much went."""

    conversations: int = 0
    """Those of which something went."""
    exchanges: int = 0
    """Remembered questions with their answers, and other people's from which quoted lines went."""
    waiting: int = 0
    """Questions that were not answered yet, and those that were given up (dead letters)."""
    feedback: int = 0
    """What people thought of answers: a piece for each person and answer."""
    settings: int = 0
    """People and channels whose settings went."""

    def __add__(self, other: "Forgotten") -> "Forgotten":
        return Forgotten(
            self.conversations + other.conversations,
            self.exchanges + other.exchanges,
            self.waiting + other.waiting,
            self.feedback + other.feedback,
            self.settings + other.settings,
        )

    def __bool__(self) -> bool:
        return self != Forgotten()


def _forgotten(exchanges: int, waiting: int, feedback: int) -> Forgotten:
    return Forgotten(int(exchanges + waiting + feedback > 0), exchanges, waiting, feedback)


class Forgetting:
    """Takes out of the store what is to be forgotten. Every method raises StoreUnavailable."""

    def __init__(self, client: Client, layout: Layout, sealing: Sealing) -> None:
        self._client = client
        self._layout = layout
        self._sealing = sealing
        self._usage, self._own_quotas = Usage(client, layout), OwnQuotas(client, layout)
        self._quotations = Quotations(client, layout, sealing)
        self._feedback = ForgettingFeedback(client, layout, sealing)
        self._forget, self._forget_person, self._rewrite = (
            load_script(name) for name in ("forget", "forget_person", "rewrite")
        )

    async def conversation(self, conversation: ConversationId) -> Forgotten:
        """All that one conversation left."""
        return await self._conversations([str(conversation)])

    async def channel(self, channel_id: str) -> Forgotten:
        """All conversations of a channel or direct message."""
        return await self._conversations(
            [conversation for conversation in await self.conversations() if conversation.split("/")[1] == channel_id]
        )

    async def team(self) -> Forgotten:
        """All conversations of all channels, what people and channels have set, what people used and may use."""
        forgotten = await self._conversations(await self.conversations())
        settings = await self._delete_set("settings", "people", await self.people_with_settings())
        settings += await self._delete_set("channel", "channels", await self._everyone("channels"))
        await self._usage.forget_all()
        await self._own_quotas.forget_all()
        return forgotten + Forgotten(settings=settings)

    async def user(self, user_id: str, within: ConversationId | None = None) -> Forgotten:
        """One person's questions with Dolly's answers to them, and what others' exchanges quote of that person.

        `within` one conversation, or everywhere; their settings and how much they used go then, too. A conversation
        where nobody else asked goes whole.
        """
        forgotten = Forgotten()
        conversations = [str(within)] if within else await self.conversations()
        for conversation in conversations:
            await self._feedback.note(conversation, user_id)
            forgotten += await self._person(conversation, user_id)
        await self._feedback.take_out(conversations, user_id)
        if within is None:
            await self._feedback.unsign(user_id)
            await self._delete_told([conversation for conversation in conversations if _is_direct(conversation)])
            forgotten += Forgotten(settings=await self._delete_set("settings", "people", [user_id]))
            await self._usage.forget(user_id)
        return forgotten

    async def conversations(self) -> list[str]:
        """Every conversation of which anything is stored, dedupe marks apart."""
        found: set[str] = set()
        for _, key in await self._keys("*"):
            kind, _, name = key.partition(":")
            if kind in OF_CONVERSATIONS:
                found.add(name)
            elif kind in OF_JOBS:
                found.add(name.rpartition("/")[0])
        for prefix in self._layout.prefixes:
            found.update(await self._members(prefix + "threads"))
        found.update(conversation_of(name) for name in await self._feedback.exported())
        return sorted(found)

    async def conversations_of(self, user_id: str) -> list[ConversationId]:
        """Where a person took part lately, the newest first."""
        found: list[tuple[str, float]] = []
        for prefix in self._layout.prefixes:
            async with store_errors():
                of_partition: Any = await self._client.zrange(f"{prefix}person:{user_id}", 0, -1, withscores=True)
            found += of_partition
        return [ConversationId.parse(name) for name, _ in sorted(found, key=lambda entry: -entry[1])]

    async def people(self, conversation: ConversationId | str) -> frozenset[str]:
        """Everybody who asked in `conversation`, as far as it is remembered or waits."""
        prefix = self._layout.prefix_of(conversation)
        letters = await self._members(prefix + "dead")
        keys = [f"{prefix}letter:{job}" for job in letters if job.startswith(f"{conversation}/")]
        async with store_errors():
            users: Any = [await self._client.hget(key, "user") for key in keys]
        users += await self._of_jobs(conversation, "user")
        asked = [_people(entry)[0] for entry in await self._entries(conversation)]
        return frozenset(user for user in [*users, *asked] if user)

    async def quoted(self, conversation: ConversationId | str) -> frozenset[str]:
        """Everybody whose lines an exchange of `conversation` quotes, or an answer that waits for Slack to take it."""
        entries = [*await self._entries(conversation), *await self._of_jobs(conversation, "kept")]
        return frozenset(user_id for entry in entries for user_id in _people(entry)[1:])

    async def rated(self, conversation: ConversationId | str) -> frozenset[str]:
        """Everybody who rated an answer in `conversation`, asked for one that was rated, or reviewed a rating."""
        return await self._feedback.people(conversation)

    async def exported(self) -> frozenset[str]:
        """The names of the feedback that a trainer may read (bot/feedback.py)."""
        return await self._feedback.exported()

    async def people_with_settings(self) -> list[str]:
        """Everybody who has set something (preferences.py)."""
        return await self._everyone("people")

    # --- how --------------------------------------------------------------------------------------------------------

    async def _conversations(self, conversations: list[str]) -> Forgotten:
        forgotten = Forgotten()
        for conversation in conversations:
            await self._feedback.note(conversation)
            prefix = self._layout.prefix_of(conversation)
            names = ("claim", "mailbox", "memory", "changes", "posted")
            keys = [f"{prefix}{name}:{conversation}" for name in names]
            keys += [prefix + name for name in ("ready", "lease", "waiting", "threads", "settle", "dead")]
            keys.append(f"{prefix}feedback:{conversation}")
            async with store_errors():
                exchanges, turns, letters, feedback = await run_script(
                    self._client, self._forget, keys, [conversation, prefix, DEDUPE_SECONDS]
                )
            forgotten += _forgotten(exchanges, turns + letters, feedback)
            await self._quotations.forget(conversation)
        await self._feedback.take_out(conversations)
        await self._unlink(conversations)
        await self._delete_told([conversation for conversation in conversations if _is_direct(conversation)])
        return forgotten

    async def _everyone(self, among: str) -> list[str]:
        async with store_errors():
            found: Any = await self._client.smembers(self._layout.prefix + among)
        return sorted(found)

    async def _delete_set(self, kind: str, among: str, names: list[str]) -> int:
        """What `names` have set; how many of them had something."""
        prefix, had = self._layout.prefix, 0
        for name in names:
            # No transaction: a full store refuses to queue one.
            async with store_errors(), self._client.pipeline(transaction=False) as pipe:
                pipe.delete(f"{prefix}{kind}:{name}")
                pipe.srem(f"{prefix}{among}", name)
                had += (await pipe.execute())[0]
        return had

    async def _person(self, conversation: str, user_id: str) -> Forgotten:
        """Others' exchanges lose what they quote first, so that whoever claims a turn after the script reads none."""
        exchanges = waiting = feedback = 0
        await self._quotations.forget(conversation, user_id)
        for _ in range(TRIES):
            unquoted = await self._unquote(conversation, user_id)
            gone, turns, letters, opinions, quoting = await self._take_out(conversation, user_id)
            exchanges, waiting, feedback = exchanges + unquoted + gone, waiting + turns + letters, feedback + opinions
            if not quoting:
                return _forgotten(exchanges, waiting, feedback)
        raise StoreUnavailable(f"The memory of {conversation} is written all the time; try again.")

    async def _take_out(self, conversation: str, user_id: str) -> list[int]:
        prefix = self._layout.prefix_of(conversation)
        keys = [f"{prefix}{name}:{conversation}" for name in ("claim", "mailbox", "memory", "changes")]
        keys += [prefix + name for name in ("ready", "lease", "waiting", "threads", "dead")]
        keys += [f"{prefix}queue:{user_id}", f"{prefix}person:{user_id}", f"{prefix}feedback:{conversation}"]
        async with store_errors():
            gone: list[int] = await run_script(self._client, self._forget_person, keys, [conversation, user_id, prefix])
        return gone

    async def _unquote(self, conversation: str, user_id: str) -> int:
        """Take the person's lines out of others' exchanges, where those still are as they were read."""
        rewriting: list[str] = []
        for entry in await self._entries(conversation):
            if user_id in _people(entry)[1:]:
                rewriting += [entry, self._without(entry, conversation, user_id)]
        if not rewriting:
            return 0
        key = f"{self._layout.prefix_of(conversation)}memory:{conversation}"
        async with store_errors():
            return int(await run_script(self._client, self._rewrite, [key], rewriting))

    def _without(self, entry: str, conversation: str, user_id: str) -> str:
        """An entry without the person's lines; nothing of one that does not open: they cannot be taken out of it."""
        try:
            exchange = memory.load(entry, conversation, self._sealing)
        except (SealBroken, ValueError, TypeError, KeyError):
            return ""
        earlier = tuple(line for line in exchange.earlier if line.user_id != user_id)
        return memory.dump(replace(exchange, earlier=earlier), conversation, self._sealing)

    async def _unlink(self, conversations: list[str]) -> None:
        """Take the conversations out of what tells where people took part."""
        of_partition: dict[str, list[str]] = defaultdict(list)
        for conversation in conversations:
            of_partition[self._layout.prefix_of(conversation)].append(conversation)
        for prefix, person in await self._keys("person:*"):
            members = of_partition[prefix]
            for start in range(0, len(members), BATCH):
                async with store_errors():
                    await self._client.zrem(prefix + person, *members[start : start + BATCH])

    async def _delete_told(self, direct: list[str]) -> None:
        """What Dolly says once in a direct message may be said again where it was forgotten."""
        for place in {conversation.rpartition("/")[0] for conversation in direct}:
            async with store_errors():
                await self._client.delete(f"{self._layout.prefix}told:{place}")

    async def _entries(self, conversation: ConversationId | str) -> list[str]:
        """A memory as it is stored."""
        key = f"{self._layout.prefix_of(conversation)}memory:{conversation}"
        async with store_errors():
            entries: Any = await self._client.lrange(key, 0, -1)
        return list(entries)

    async def _of_jobs(self, conversation: ConversationId | str, field: str) -> list[str]:
        """A field of the turns that wait, of those that have it."""
        prefix = self._layout.prefix_of(conversation)
        jobs = await self._members(f"{prefix}mailbox:{conversation}")
        async with store_errors():
            found: Any = [await self._client.hget(f"{prefix}job:{job}", field) for job in jobs]
        return [value for value in found if value]

    async def _members(self, key: str) -> list[str]:
        """A sorted set, the lowest first."""
        async with store_errors():
            members: Any = await self._client.zrange(key, 0, -1)
        return list(members)

    async def _keys(self, pattern: str) -> set[tuple[str, str]]:
        """All keys of conversations that match `pattern`: prefix and name."""
        found = set()
        async with store_errors(SCAN_SECONDS):
            async for key in self._client.scan_iter(
                match=f"dolly:{{{self._layout.owner}/*}}:{pattern}", count=SCAN_COUNT
            ):
                prefix, mark, name = key.partition("}:")
                found.add((prefix + mark, name))
        return found


def _people(entry: str) -> list[str]:
    """The people whose words an entry of a memory holds; who asked stands first."""
    return entry.split("|", 3)[2].split(",")


def _is_direct(conversation: str) -> bool:
    return conversation.split("/")[1].startswith("D")
