"""The partitions of the mailbox, asked so that a node of the store that is away holds up only what lies on it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from redis.asyncio import RedisCluster
from redis.exceptions import SlotNotCoveredError

from bot.errors import StoreUnavailable
from bot.store.connection import Client, store_errors

Answer = TypeVar("Answer")

ASK_SECONDS = 1.0
"""How long one partition may take. The next is asked then."""
AWAY_SECONDS = 1.0
"""How long a node that did not answer twice in a row is passed over."""


class Partitions:
    """Asks all partitions something, each by the prefix of its keys."""

    def __init__(self, client: Client, prefixes: Sequence[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._prefixes = tuple(prefixes)
        self._clock = clock
        self._turn = 0
        self._unanswered: list[str] = []
        """They are asked before the others: what a lost reply held is to be had again."""
        self._away: dict[str, tuple[float, StoreUnavailable]] = {}
        """By node: until when it is passed over, and why."""

    async def first(self, ask: Callable[[str], Awaitable[Answer | None]]) -> Answer | None:
        """What is found in one of them, asked one after the other; each gets its turn to be the first.

        Raises StoreUnavailable where some did not answer, and none of the others had anything.
        """
        refused: dict[str, StoreUnavailable] = {}
        for prefix in self._in_turn():
            node = self._node_of(prefix)
            until, reason = self._away.get(node, (0.0, None))
            if reason is not None and self._clock() < until:
                refused.setdefault(node, reason)
            if node in refused:
                continue
            try:
                async with store_errors(ASK_SECONDS):
                    found = await ask(prefix)
            except StoreUnavailable as error:
                refused[node] = error
                self._away[node] = (self._clock() + (AWAY_SECONDS if reason else 0.0), error)
                self._unanswered = [prefix, *(other for other in self._unanswered if other != prefix)]
                continue
            self._away.pop(node, None)
            self._unanswered = [other for other in self._unanswered if other != prefix]
            if found is not None:
                return found
        if refused:
            raise next(iter(refused.values()))
        return None

    async def each(
        self, ask: Callable[[str], Awaitable[Answer]], *, seconds: float = ASK_SECONDS
    ) -> tuple[list[Answer], list[StoreUnavailable]]:
        """What they answer, asked all at once; and what is wrong with those that do not."""
        answers: list[Answer] = []
        errors: list[StoreUnavailable] = []

        async def asked(prefix: str) -> None:
            try:
                async with store_errors(seconds):
                    answers.append(await ask(prefix))
            except StoreUnavailable as error:
                errors.append(error)

        async with asyncio.TaskGroup() as tasks:
            for prefix in self._prefixes:
                tasks.create_task(asked(prefix))
        return answers, errors

    def _in_turn(self) -> list[str]:
        self._turn = (self._turn + 1) % len(self._prefixes)
        rotated = self._prefixes[self._turn :] + self._prefixes[: self._turn]
        return [*self._unanswered, *(prefix for prefix in rotated if prefix not in self._unanswered)]

    def _node_of(self, prefix: str) -> str:
        """The server that has the partition, as far as the client knows; one name for all where there is one server."""
        if not isinstance(self._client, RedisCluster):
            return ""
        try:
            node = self._client.get_node_from_key(prefix)
        except SlotNotCoveredError:  # not asked yet, or nobody has it
            node = None
        return node.name if node else prefix
