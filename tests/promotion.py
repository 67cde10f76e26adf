"""A promotion as the trainer does it, key by key (docs/learning.md); and engines of this machine, scripted."""

import asyncio
import hashlib
import json
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis

from bot.errors import LocalPartError
from tests.scripted_engine import Script, ScriptedEngine

HALF_LOADED = "half-loaded"
"""What an engine says before its model is whole."""

Hash = dict[Any, Any]


def model_file(folder: Path, name: str) -> Path:
    """A file that an engine of this module serves: to it, a model is its name."""
    path = folder / f"{name}.gguf"
    path.write_bytes(b"GGUF" + name.encode())
    return path


def told_of(path: Path, revision: str, **more: Any) -> Hash:
    """What a promotion says of the model in the file."""
    facts = {"revision": revision, "name": "team-model", "path": str(path), "url": "", "manifest": "", "by": "terminal"}
    lists = {
        "keys": json.dumps([]),
        "trained_on": json.dumps({"corrections": 3, "replay": 48}),
        "since": str(time.time()),
    }
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return facts | lists | {"sha256": sha256} | {name: str(value) for name, value in more.items()}


@dataclass
class Promoter:
    """Promotes; by the keys alone."""

    redis: Redis
    states: list[str] = field(default_factory=list)
    """Those that the last candidate was seen in."""

    async def want(self, model: Hash) -> str:
        """Ask for it; the attempt's id."""
        attempt = uuid.uuid4().hex
        await self.redis.set("model:promoting", attempt, ex=30)
        await self.redis.hset("model:candidate", mapping={**model, "id": attempt, "state": "wanted", "reason": ""})
        return attempt

    async def settled(self, attempt: str, seconds: float = 60) -> Hash:
        """The candidate once it is ready or failed."""
        self.states = []
        async with asyncio.timeout(seconds):
            while True:
                candidate: Hash = await self.redis.hgetall("model:candidate")
                assert candidate["id"] == attempt
                if candidate["state"] not in self.states:
                    self.states.append(str(candidate["state"]))
                if candidate["state"] in ("ready", "failed"):
                    return candidate
                await asyncio.sleep(0.02)

    async def promote(self, model: Hash, *, canary: list[str] | None = None) -> Hash:
        """Take it into service, or say why not: the candidate as it is in the end."""
        candidate = await self.settled(await self.want(model))
        return candidate if candidate["state"] == "failed" else await self.bring(candidate, canary=canary)

    async def bring(self, candidate: Hash, *, canary: list[str] | None = None) -> Hash:
        """Take what is ready into service, where it answers."""
        if not await self.answers(candidate["url"]):
            await self.refuse("It did not answer.")
            return dict(await self.redis.hgetall("model:candidate"))
        served = {name: value for name, value in candidate.items() if name not in ("id", "state", "reason")}
        served |= {"since": str(time.time()), "attempt": candidate["id"]}
        if canary is not None:
            await self.redis.hset("model:canary", mapping={**served, "channels": json.dumps(canary)})
        else:
            before: Hash = dict(await self.redis.hgetall("model:current"))
            if before:
                await self.redis.hset("model:previous", mapping=before)
            await self.redis.hset("model:current", mapping=served)
        await self.redis.hset("model:candidate", "state", "promoted")
        await self.redis.delete("model:promoting")
        return candidate | {"state": "promoted"}

    async def refuse(self, reason: str) -> None:
        await self.redis.hset("model:candidate", mapping={"state": "refused", "reason": reason})

    async def roll_back(self) -> Hash:
        """What answered before answers again."""
        return await self.promote(dict(await self.redis.hgetall("model:previous")))

    async def answers(self, url: str) -> bool:
        """Whether the model at `url` answers a question."""
        question = {"model": "any", "messages": [{"role": "user", "content": "Are you there?"}], "max_tokens": 8}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{url}/v1/chat/completions", json={**question, "stream": True}) as response,
        ):
            return response.status == 200 and b'"content"' in await response.read()


class OwnEngine:
    """A scripted engine as one of this machine's (bot.engine_owner.Engine): it says its model's name again and again.

    From its first moment on it takes questions, and says something else until it is loaded.
    """

    words = 30
    words_per_second = 60.0
    loading_seconds = 0.3

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self.scripted = ScriptedEngine(model=path.stem)
        self.is_running = False
        self.starts = 0

    @property
    def url(self) -> str:
        return self.scripted.url

    @property
    def text(self) -> str:
        return text_of(self.path.stem)

    async def start(self) -> None:
        if "broken" in self.path.stem:
            raise LocalPartError(f"The engine ended at once: is {self.path} whole?")
        self.starts += 1
        self.scripted.script = Script(text=HALF_LOADED)
        await self.scripted.start()
        await asyncio.sleep(self.loading_seconds)
        self.is_running = True
        self.scripted.script = Script(text=self.text, tokens_per_second=self.words_per_second)

    async def stop(self) -> None:
        self.is_running = False
        await self.scripted.stop()

    async def requests(self) -> int:
        return sum(not request.ended.is_set() for request in self.scripted.requests)


def text_of(name: str) -> str:
    """All that a model of this name ever says."""
    return " ".join([name] * OwnEngine.words)


class Machine:
    """Opens them, and remembers all."""

    def __init__(self) -> None:
        self.engines: list[OwnEngine] = []

    def open(self, path: Path, number: int) -> OwnEngine:
        self.engines.append(OwnEngine(path, number))
        return self.engines[-1]

    @property
    def running(self) -> list[str]:
        """The models that are served now."""
        return [engine.path.stem for engine in self.engines if engine.is_running]

    def of(self, name: str) -> OwnEngine:
        """The newest engine of the model."""
        return next(engine for engine in reversed(self.engines) if engine.path.stem == name)
