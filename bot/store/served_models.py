"""Which model is in service: the keys by which the trainer, the engine's owner and the bots agree (docs/learning.md).

    model:current     hash: what answers
    model:previous    hash: what did before the last change
    model:candidate   hash: what is being taken into service, how far that is, and why it was not
    model:canary      hash: what answers in some channels, and in which
    model:promoting   string: there while somebody takes a candidate into service
    model:approvals   hash: revision → JSON list of the admins who want it in service
    model:owner       string: JSON of who starts and stops engines; it goes away with its owner

Texts are no people's, and stand there as they are. All Dollies of a store are answered by the same model, so the keys
have no app's prefix. Each command goes to one key: on a cluster they lie on different nodes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import structlog

from bot.store.connection import Client, load_script, run_script, store_errors

log = structlog.get_logger(__name__)

CURRENT, PREVIOUS, CANDIDATE, CANARY = "model:current", "model:previous", "model:candidate", "model:canary"
APPROVALS, OWNER, PROMOTING = "model:approvals", "model:owner", "model:promoting"
OWN_ENGINE = "model:own_engine"
"""Is there where an engine of Dolly's own has been owned: the others then say what that one serves."""

State = Literal["wanted", "starting", "holding", "ready", "failed", "promoted", "refused"]
"""Of a candidate: wanted → starting (→ holding) → ready → promoted. Its owner may say failed, who wanted it refused."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as an engine serves it."""

    revision: str
    """Which one it is, such as "0003-3fa9c2d1"."""
    name: str = ""
    """What people call it."""
    path: str = ""
    """The file, or the directory, that the engine reads."""
    sha256: str = ""
    """Of that file; of a directory, that of its manifest.json."""
    manifest: str = ""
    keys: tuple[str, ...] = ()
    """Its control tokens; none where nobody says."""
    url: str = ""
    """Where it answers; empty where that is the engine that each Dolly was configured with."""
    since: float = 0.0
    """When it was taken into service, in seconds since 1970."""
    trained_on: Mapping[str, int] = field(default_factory=dict)
    """How many records of what: corrections, liked, replay, neighbours."""
    by: str = ""
    """Who had it taken into service: a Slack user's id, or "terminal"."""
    attempt: str = ""
    """As what candidate it came into service."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that is being taken into service; `id` is that of the attempt."""

    id: str
    state: State
    model: ServedModel
    reason: str = ""
    """Why it failed, or was refused: a sentence."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A model that answers in some channels."""

    model: ServedModel
    channels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Owner:
    """Who starts and stops engines. Its process is told by host and number, where it says so."""

    holds: int
    """How many engines there may be at once: 2, or 1."""
    host: str = ""
    pid: int = 0
    serves: str = ""
    """What its engines read: "directory", or a file where it says nothing."""


_STATES: dict[str, State] = {state: state for state in get_args(State)}
TEXTS = ("revision", "name", "path", "sha256", "manifest", "url", "by", "attempt")


class ServedModels:
    """Reads and writes them. Methods raise StoreUnavailable; what nobody can read is logged, and counts as absent."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._amend, self._approve, self._own = (load_script(name) for name in ("amend", "approve", "own_engine"))

    # --- what is in service -----------------------------------------------------------------------------------------

    async def current(self) -> ServedModel | None:
        """What answers; None where it is what each Dolly's engine serves by itself."""
        return await self._model(CURRENT)

    async def previous(self) -> ServedModel | None:
        """What answered before the last change."""
        return await self._model(PREVIOUS)

    async def canary(self) -> Canary | None:
        """What answers in some channels."""
        return _canary(await self._read(CANARY))

    async def all(self) -> tuple[Candidate | None, Canary | None, ServedModel | None]:
        """Candidate, canary and what answers, read at once and in this order: what a turn needs to know."""
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            for key in (CANDIDATE, CANARY, CURRENT):
                pipe.hgetall(key)
            candidate, canary, current = await pipe.execute()
        return _candidate(candidate), _canary(canary), _model(CURRENT, current)

    async def set_current(self, model: ServedModel) -> None:
        """This answers from now on."""
        await self._write(CURRENT, _fields(model))

    async def move_current(self, revision: str, url: str) -> bool:
        """What answers is at `url` now; False where something else than `revision` answers by now."""
        return await self._amended(CURRENT, {"revision": revision}, {"url": url})

    async def move_canary(self, revision: str, url: str) -> bool:
        """The canary is at `url` now; False where it is not `revision` any more."""
        return await self._amended(CANARY, {"revision": revision}, {"url": url})

    async def drop_canary(self) -> None:
        """No channel has a model of its own any more."""
        async with store_errors():
            await self._client.delete(CANARY)

    # --- what is being taken into service ---------------------------------------------------------------------------

    async def candidate(self) -> Candidate | None:
        """The last one, however it ended."""
        return _candidate(await self._read(CANDIDATE))

    async def is_promoting(self) -> bool:
        """Whether somebody lives who takes a candidate into service."""
        async with store_errors():
            return bool(await self._client.exists(PROMOTING))

    async def want(self, candidate: Candidate) -> None:
        """Ask the engine's owner to start it."""
        fields = {"id": candidate.id, "state": candidate.state, "reason": candidate.reason}
        await self._write(CANDIDATE, _fields(candidate.model) | fields)

    async def note(self, candidate: Candidate, state: State, *, url: str = "", reason: str = "") -> Candidate | None:
        """The candidate is this far; None where it is not as it was read any more, so that nothing was written."""
        noted = replace(candidate, state=state, reason=reason, model=replace(candidate.model, url=url))
        expected = {"id": candidate.id, "state": candidate.state}
        written = await self._amended(CANDIDATE, expected, {"state": state, "url": url, "reason": reason})
        return noted if written else None

    # --- who approved it, and who owns the engine -------------------------------------------------------------------

    async def approve(self, revision: str, admin_id: str) -> list[str]:
        """Write down that an admin wants it in service; all who have said so."""
        async with store_errors():
            return [
                str(each)
                for each in json.loads(await run_script(self._client, self._approve, [APPROVALS], [revision, admin_id]))
            ]

    async def drop_approvals(self, revision: str) -> None:
        """Nobody has said so any more."""
        async with store_errors():
            await self._client.hdel(APPROVALS, revision)

    async def owner(self) -> Owner | None:
        """Whoever starts and stops engines; None where nobody does just now."""
        async with store_errors():
            found: Any = await self._client.get(OWNER)
        return _owner(found) if found else None

    async def own(self, owner: Owner, seconds: float, *, instead_of: Sequence[Owner] = ()) -> bool:
        """Own the engine for that long, where nobody does, `owner` or one of `instead_of`. False where another does."""
        args = [_told(owner), round(seconds), *(_told(each) for each in (owner, *instead_of))]
        async with store_errors():
            is_owned = bool(await run_script(self._client, self._own, [OWNER], args))
            if is_owned and owner.serves:  # an engine that goes on without its owner
                await self._client.delete(OWN_ENGINE)
            elif is_owned:
                await self._client.set(OWN_ENGINE, "1")
        return is_owned

    async def leave_own_engine(self) -> ServedModel | None:
        """Nothing is in service any more in an engine of Dolly's own; what was, if one has been owned."""
        async with store_errors():
            if not await self._client.exists(OWN_ENGINE):
                return None
        left = await self.current()
        async with store_errors():
            for key in (CANDIDATE, CANARY, PREVIOUS, CURRENT, OWN_ENGINE):  # the sign last: killed, it is done again
                await self._client.delete(key)
        return left

    # --- the commands -----------------------------------------------------------------------------------------------

    async def _model(self, key: str) -> ServedModel | None:
        return _model(key, await self._read(key))

    async def _read(self, key: str) -> dict[str, str]:
        async with store_errors():
            found: Any = await self._client.hgetall(key)
        return dict(found)

    async def _write(self, key: str, fields: Mapping[str, str]) -> None:
        """All fields in one command, so that nobody reads half of them."""
        written: dict[Any, Any] = dict(fields)
        async with store_errors():
            await self._client.hset(key, mapping=written)

    async def _amended(self, key: str, expected: Mapping[str, str], fields: Mapping[str, str]) -> bool:
        args = [len(expected), *(word for pair in (*expected.items(), *fields.items()) for word in pair)]
        async with store_errors():
            return bool(await run_script(self._client, self._amend, [key], args))


def _fields(model: ServedModel) -> dict[str, str]:
    """As it is stored: texts, and JSON of what is none."""
    told = asdict(model)
    lists = {"keys": _json(list(model.keys)), "trained_on": _json(dict(model.trained_on))}
    return {name: str(value) for name, value in told.items()} | lists


def _model(key: str, found: Mapping[str, str]) -> ServedModel | None:
    """The inverse of `_fields`; whoever wrote it may have left out what is empty."""
    if not found.get("revision"):
        return None
    texts = {name: found.get(name, "") for name in TEXTS}
    try:
        trained_on = json.loads(found.get("trained_on") or "{}")
        counts = {str(kind): int(count) for kind, count in trained_on.items()}
        since, keys = float(found.get("since") or 0), tuple(_list(key, found, "keys"))
        if texts["url"] and not (urlsplit(texts["url"]).scheme in ("http", "https") and urlsplit(texts["url"]).netloc):
            raise ValueError("the url is none")
    except (ValueError, TypeError, AttributeError) as error:
        log.error("served_model_unreadable", key=key, error=type(error).__name__)
        return None
    return ServedModel(**texts, keys=keys, since=since, trained_on=counts)


def _candidate(found: Mapping[str, str]) -> Candidate | None:
    model, state = _model(CANDIDATE, found), _STATES.get(found.get("state", ""))
    if model is None or state is None:
        return None
    return Candidate(found.get("id", ""), state, model, found.get("reason", ""))


def _canary(found: Mapping[str, str]) -> Canary | None:
    model = _model(CANARY, found)
    return Canary(model, frozenset(_list(CANARY, found, "channels"))) if model else None


def _list(key: str, found: Mapping[str, str], name: str) -> list[str]:
    """A JSON list of texts; empty where it is none."""
    try:
        values = json.loads(found.get(name) or "[]")
    except ValueError:
        values = None
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return values
    log.error("served_model_unreadable", key=key, field=name)
    return []


def _owner(found: str) -> Owner:
    """What somebody wrote there lives, whatever it says; of one that does not tell, the least is expected."""
    try:
        told = json.loads(found)
        holds = 2 if told["holds"] == 2 else 1
        return Owner(holds, str(told.get("host", "")), int(told.get("pid", 0)), str(told.get("serves", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Owner(1)


def _told(owner: Owner) -> str:
    """As it is stored; `serves` only where it says something."""
    return _json({name: value for name, value in asdict(owner).items() if name != "serves" or value})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
