"""Feedback that is on its way to the trainer, or was: what is withdrawn or forgotten goes from there, too.

    retrain:exports           sorted set: ids of jobs that have an export, by when it ends (seconds since 1970)
    retrain:export:<job>      hash: name of a piece of feedback → its line, sealed for the trainer; 7 days
    retrain:exported          set: record ids that a trainer was given, with a job or in a file
    retrain:withdrawn         set: record ids of these that were withdrawn or forgotten since

The names are those of bot/feedback.py. Keys and values are what the trainer reads (trainer/jobs.py): they carry no
prefix of Dolly's, and no two of them are ever asked for in one command, so that a cluster may have them anywhere.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from bot.feedback import record_id
from bot.store.connection import Client, load_script, run_script, store_errors

EXPORTS, EXPORTED, WITHDRAWN = "retrain:exports", "retrain:exported", "retrain:withdrawn"
EXPORT_SECONDS = 7 * 86_400
BATCH = 500
"""An even number: fields are written with their values."""


class Exported:
    """What jobs were given. Every method raises StoreUnavailable; a store that is full lets all be taken out."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._hold, self._note = load_script("hold"), load_script("note_withdrawn")

    async def put(self, job_id: str, lines: Mapping[str, str]) -> None:
        """Give a job sealed lines, by the names of the feedback. Who withdraws one from now on finds it."""
        fields = [part for entry in lines.items() for part in entry]
        now = self._clock()
        async with store_errors():
            await self._client.zadd(EXPORTS, {job_id: now + EXPORT_SECONDS})
            await self._client.zremrangebyscore(EXPORTS, "-inf", now)
        await self.note_given(lines)
        for batch in _batches(fields):
            async with store_errors():
                await run_script(self._client, self._hold, [_key(job_id)], [EXPORT_SECONDS, *batch])

    async def note_given(self, names: Collection[str]) -> None:
        """A trainer is given this feedback: whoever withdraws it from now on has that known."""
        for batch in _batches([record_id(name) for name in names]):
            async with store_errors():
                await self._client.sadd(EXPORTED, *batch)
                await self._client.srem(WITHDRAWN, *batch)  # said again, after it was taken back

    async def drop(self, job_id: str) -> None:
        """The job needs its export no more."""
        async with store_errors():
            await self._client.delete(_key(job_id))
            await self._client.zrem(EXPORTS, job_id)

    async def names(self) -> frozenset[str]:
        """The feedback in all exports that there are."""
        return frozenset(name for _, names in await self._all() for name in names)

    async def take_out(self, is_gone: Callable[[str], bool]) -> None:
        """Take out of all exports, by its name, the feedback that is gone. It has to be gone before this is called."""
        for job_id, names in await self._all():
            gone = [name for name in names if is_gone(name)]
            await self.note_withdrawn(gone)
            for batch in _batches(gone):
                async with store_errors():
                    await self._client.hdel(_key(job_id), *batch)

    async def note_withdrawn(self, names: Collection[str]) -> None:
        """Have it known that this feedback, if a trainer was ever given it, should be in no model."""
        for batch in _batches([record_id(name) for name in names]):
            async with store_errors():
                given: Any = await self._client.smismember(EXPORTED, batch)
                known = [record for record, is_known in zip(batch, given, strict=True) if is_known]
                if known:
                    await run_script(self._client, self._note, [WITHDRAWN], known)

    async def _all(self) -> list[tuple[str, list[str]]]:
        """Each job that has an export, with the names in it."""
        found = []
        async with store_errors():
            job_ids: Any = await self._client.zrangebyscore(EXPORTS, self._clock(), "+inf")
            for job_id in job_ids:
                names: Any = await self._client.hkeys(_key(job_id))
                found.append((job_id, list(names)))
        return found


def _key(job_id: str) -> str:
    return f"retrain:export:{job_id}"


def _batches(entries: Sequence[str]) -> list[list[str]]:
    return [list(entries[start : start + BATCH]) for start in range(0, len(entries), BATCH)]
