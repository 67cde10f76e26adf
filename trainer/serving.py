"""Which model is in service, from the trainer's side: the keys `model:*` that trainer, engine owner and bots agree by.

    model:current     hash: what answers; `attempt` is the promotion that wrote it
    model:previous    hash: what did before the last change
    model:candidate   hash: what is being taken into service (an attempt), how far that is, and why it was not
    model:canary      hash: what answers in some channels, and in which
    model:owner       string: JSON of who starts and stops engines; it goes away with its owner
    model:promoting   string: the lease of the promotion that is under way

Each command goes to one key: on a cluster they lie on different nodes. A hash is written whole, by one command.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, cast

from redis import Redis

from trainer.connection import store_errors
from trainer.lease import Lease

CURRENT, PREVIOUS, CANDIDATE, CANARY = "model:current", "model:previous", "model:candidate", "model:canary"
OWNER, PROMOTING, WITHDRAWN = "model:owner", "model:promoting", "retrain:withdrawn"
LEASE_SECONDS = 30.0

State = Literal["wanted", "starting", "holding", "ready", "failed", "promoted", "refused"]
"""wanted → starting (→ holding) → ready → promoted; or failed, by the engine's owner; or refused, by who wanted it."""
TEXTS = ("revision", "name", "path", "sha256", "manifest", "url", "by", "attempt")
ENDED = ("failed", "promoted", "refused")
Act = Literal["promote", "canary", "rollback", "end_canary"]

AMEND = """
for i = 1, #ARGV, 2 do
  if ARGV[i] == '' then
    redis.call('HSET', KEYS[1], unpack(ARGV, i + 2))
    return 1
  end
  if redis.call('HGET', KEYS[1], ARGV[i]) ~= ARGV[i + 1] then
    return 0
  end
end
"""
"""Takes fields with the values that are expected, two empty words, and fields to set: 1, or 0 where it holds others."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model as an engine serves it."""

    revision: str
    """Such as 0003-3fa9c2d1; "shipped" is the model that the bot was configured with."""
    name: str = ""
    """What people call it."""
    path: str = ""
    """The file, or the directory, that the engine reads."""
    sha256: str = ""
    """Of that file; of a directory, that of its manifest.json."""
    manifest: str = ""
    keys: tuple[str, ...] = ()
    """Its control tokens."""
    url: str = ""
    """Where it answers; empty where that is the engine that each bot was configured with."""
    since: float = 0.0
    """When it was taken into service, in seconds since 1970."""
    trained_on: Mapping[str, int] = field(default_factory=dict)
    """How many records of what: corrections, liked, replay, neighbours."""
    by: str = ""
    """Who had it taken into service: a Slack user's id, or "terminal"."""
    attempt: str = ""
    """The candidate's id by which it was."""

    def fields(self) -> dict[str, str]:
        """As it is stored."""
        texts = {name: str(value) for name, value in asdict(self).items()}
        return texts | {"keys": _json(list(self.keys)), "trained_on": _json(dict(self.trained_on))}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An attempt to take a model into service."""

    id: str
    act: Act
    model: Served
    state: State = "wanted"
    reason: str = ""
    """Why it failed, or was refused: a sentence."""
    canary: tuple[str, ...] = ()
    """The channels that alone get it; none where all do."""
    before: Served | None = None
    """What was in service when the attempt began."""

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    def fields(self) -> dict[str, str]:
        """As it is stored."""
        before = _json(self.before.fields() if self.before else {})
        own = {"id": self.id, "act": self.act, "state": self.state, "reason": self.reason}
        return self.model.fields() | own | {"canary": _json(list(self.canary)), "before": before}


@dataclass(frozen=True, slots=True)
class Owner:
    """Who starts and stops engines."""

    holds: int
    """How many engines there may be at once: 2, or 1."""
    serves: Literal["gguf", "directory"]
    """What its engines read."""


class Serving:
    """Reads and writes the keys. Every method raises StoreAway."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    # --- what is there ----------------------------------------------------------------------------------------------

    def current(self) -> Served | None:
        """What answers; None where nobody has said."""
        return _served(self._read(CURRENT))

    def previous(self) -> Served | None:
        return _served(self._read(PREVIOUS))

    def canary(self) -> tuple[Served, tuple[str, ...]] | None:
        """What answers in some channels, and in which."""
        found = self._read(CANARY)
        model = _served(found)
        return (model, _texts(found.get("channels"))) if model else None

    def candidate(self) -> Candidate | None:
        """The last attempt, however it ended."""
        found = self._read(CANDIDATE)
        model = _served(found)
        if model is None:
            return None
        return Candidate(
            id=found.get("id", ""),
            act=cast(Act, found.get("act", "promote")),
            model=model,
            state=cast(State, found.get("state", "refused")),
            reason=found.get("reason", ""),
            canary=_texts(found.get("canary")),
            before=_served(_object(found.get("before"))),
        )

    def owner(self) -> Owner | None:
        """None where nobody owns an engine just now."""
        with store_errors():
            found = self._client.get(OWNER)
        if not found:
            return None
        told = _object(str(found))
        return Owner(2 if told.get("holds") == 2 else 1, "directory" if told.get("serves") == "directory" else "gguf")

    def in_use(self) -> set[str]:
        """Revisions that answer, may have to answer again, or are being taken into service."""
        candidate, canary = self.candidate(), self.canary()
        models = (self.current(), self.previous(), canary and canary[0], candidate and candidate.model)
        return {model.revision for model in models if model}

    def withdrawn(self) -> set[str]:
        """Ids of records that a retrain was given once, and that have been taken back since."""
        with store_errors():
            return {str(each) for each in self._client.smembers(WITHDRAWN)}

    # --- what is done -----------------------------------------------------------------------------------------------

    def lease(self) -> Lease:
        """Of the one promotion that may be under way."""
        return Lease(self._client, PROMOTING, seconds=LEASE_SECONDS)

    def lease_seconds_left(self) -> float:
        """How long it lasts unless it is renewed; less than 0 where nobody holds it."""
        with store_errors():
            return float(self._client.ttl(PROMOTING))

    def want(self, candidate: Candidate) -> None:
        """Ask the engine's owner to start it."""
        self._write(CANDIDATE, candidate.fields())

    def end(self, candidate: Candidate, state: State, reason: str = "") -> None:
        """The attempt has ended so, unless another has taken its place."""
        words = ("id", candidate.id, "", "", "state", state, "reason", reason)
        with store_errors():
            self._client.eval(AMEND, 1, CANDIDATE, *words)

    def set_current(self, model: Served | None) -> None:
        """This answers from now on; None: what each bot's own engine serves."""
        self._put(CURRENT, model.fields() if model else None)

    def set_previous(self, model: Served | None) -> None:
        """This did before."""
        self._put(PREVIOUS, model.fields() if model else None)

    def set_canary(self, model: Served, channels: tuple[str, ...]) -> None:
        """This answers in these channels."""
        self._write(CANARY, model.fields() | {"channels": _json(list(channels))})

    def drop_canary(self) -> None:
        """No channel has a model of its own any more."""
        self._put(CANARY, None)

    def _put(self, key: str, fields: Mapping[str, str] | None) -> None:
        if fields is not None:
            self._write(key, fields)
            return
        with store_errors():
            self._client.delete(key)

    def _write(self, key: str, fields: Mapping[str, str]) -> None:
        mapping: dict[Any, Any] = {**fields}
        with store_errors():
            self._client.hset(key, mapping=mapping)

    def _read(self, key: str) -> dict[str, str]:
        with store_errors():
            found: dict[Any, Any] = self._client.hgetall(key)
        return found


def _served(found: Mapping[str, Any]) -> Served | None:
    """The inverse of `fields`; whoever wrote it may have left out what is empty."""
    if not found.get("revision"):
        return None
    texts: dict[str, Any] = {name: str(found.get(name) or "") for name in TEXTS}
    counts = {kind: count for kind, count in _object(found.get("trained_on")).items() if isinstance(count, int)}
    model = Served(**texts, keys=_texts(found.get("keys")), trained_on=counts)
    try:
        return replace(model, since=float(found.get("since") or 0))
    except ValueError:
        return model


def _object(text: str | None) -> dict[str, Any]:
    """What a JSON object says; nothing where it is none."""
    try:
        told = json.loads(text or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _texts(text: str | None) -> tuple[str, ...]:
    """A JSON list of texts; empty where it is none."""
    try:
        told = json.loads(text or "[]")
    except ValueError:
        return ()
    return tuple(map(str, told)) if isinstance(told, list) else ()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
