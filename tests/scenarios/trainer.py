"""A trainer's worker as Dolly meets it: by the keys that it reads and writes (bot/store/retraining.py)."""

import base64
import json
import struct
import time
import zlib
from typing import Any

from redis.asyncio import Redis


class Worker:
    """Writes what `dolly-trainer worker` would, when a test says so."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def lives(self, recipe: str = "loop-smollm2") -> None:
        await self._redis.set("retrain:worker", json.dumps({"host": "gpu", "since": time.time(), "recipe": recipe}))

    async def dies(self) -> None:
        await self._redis.delete("retrain:worker")

    async def owns_engine(self) -> None:
        await self._redis.set("model:owner", json.dumps({"holds": 2}))

    async def queued(self, name: str = "queue") -> list[str]:
        """The jobs that wait, the next to be done first."""
        found: Any = await self._redis.lrange(f"retrain:{name}", 0, -1)
        return list(reversed(found))

    async def job(self, job_id: str) -> dict[str, str]:
        found: Any = await self._redis.hgetall(f"retrain:job:{job_id}")
        return dict(found)

    async def begin(self, job_id: str, stage: str = "mix") -> None:
        await self._redis.hset(f"retrain:job:{job_id}", mapping={"state": "running", "stage": stage})

    async def tell(
        self, job_id: str, stage: str, done: str = "", total: str = "", loss: str = "", left: str = "", said: str = ""
    ) -> None:
        told: Any = {"stage": stage, "done": done, "total": total, "loss": loss, "seconds_left": left, "sentence": said}
        await self._redis.xadd(f"retrain:progress:{job_id}", told)

    async def end(
        self,
        job_id: str,
        state: str = "done",
        *,
        verdict: str = "",
        result: str = "",
        sentence: str = "",
        plot: bytes | None = None,
    ) -> None:
        if plot is not None:
            await self._redis.set(f"retrain:plot:{job_id}", base64.b64encode(plot).decode())
        fields: Any = {"state": state, "verdict": verdict, "result": result, "sentence": sentence, "stage": ""}
        await self._redis.hset(f"retrain:job:{job_id}", mapping=fields)
        await self._redis.lrem("retrain:queue", 0, job_id)
        await self._redis.lrem("retrain:acts", 0, job_id)

    async def serves(self, key: str, revision: str, **fields: str) -> None:
        """What stands under model:current, model:previous, …"""
        known: Any = {"revision": revision, "since": repr(time.time()), "keys": "[]", "trained_on": "{}", **fields}
        await self._redis.hset(f"model:{key}", mapping=known)


def picture() -> bytes:
    """The smallest PNG that is one."""
    rows = zlib.compress(b"\x00\x00")
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
