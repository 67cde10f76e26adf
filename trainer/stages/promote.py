"""Take a revision of the registry into service, everywhere or in some channels; or go back to what was before."""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.artifacts import MANIFEST, sha256_of
from trainer.attempts import Told, alone, attempt, resolve
from trainer.errors import NotPromoted
from trainer.registry import NAME, Registry
from trainer.serving import Candidate, Owner, Served, Serving

COUNTED = ("corrections", "liked", "replay", "neighbours")
"""What people are told that a model was trained on."""
TAKEN_BACK = "It was taken back."


def promote(
    registry: Registry,
    serving: Serving,
    revision: str,
    *,
    by: str,
    canary: Sequence[str] = (),
    yes: bool = False,
    engine_key: str | None = None,
    attempt_id: str | None = None,
    told: Told = lambda stage, sentence: None,
) -> str:
    """Serve a revision, in the channels of `canary` alone where some are named; a sentence of what is in service then.

    `yes` is the explicit one to a gate that had not enough evidence. An attempt that was ended by a kill is the same
    as before under the same `attempt_id`. Raises NotPromoted, BadInput, NotWhole, StoreAway; what was in service stays.
    """
    revision = registry.named(revision)
    with alone(serving) as lease:
        resolve(registry, serving)
        if said := _said_already(serving, revision, canary):
            return said
        _check_verdict(registry, revision, yes=yes, by=by)
        owner = _owner(serving)
        _check_room(serving, revision, canary, owner)
        told("promote", f"The files of {revision} are checked.")
        model = served(registry, revision, owner, by=by)
        before = serving.current()
        candidate = Candidate(
            attempt_id or uuid.uuid4().hex,
            "canary" if canary else "promote",
            model,
            canary=tuple(canary),
            before=before,
        )
        attempt(registry, serving, lease, candidate, engine_key=engine_key, told=told)
        if canary:
            registry.note("canary", revision, by)
        registry.prune(serving.in_use())
    if canary:
        return f"{revision} answers in {_listed(canary)}; everywhere else it is {_called(before)}."
    return f"{revision} is in service; before it was {_called(before)}."


def rollback(
    registry: Registry,
    serving: Serving,
    *,
    by: str,
    revision: str | None = None,
    engine_key: str | None = None,
    attempt_id: str | None = None,
    told: Told = lambda stage, sentence: None,
) -> str:
    """Take a canary away; without one, serve what was in service before, or the named revision that once was.

    Returns and raises as `promote` does.
    """
    with alone(serving) as lease:
        resolve(registry, serving)
        current, canary, last = serving.current(), serving.canary(), serving.candidate()
        previous = serving.previous()
        if revision is not None and (previous is None or revision != previous.revision):
            revision = registry.named(revision)
        if last is not None and last.id == attempt_id and (last.state == "promoted" or last.act == "end_canary"):
            return f"{_called(current)} is in service."
        own_id = attempt_id or uuid.uuid4().hex
        if canary is not None and revision in (None, canary[0].revision):
            serving.want(Candidate(own_id, "end_canary", canary[0], "refused", TAKEN_BACK))
            resolve(registry, serving)
            registry.note("end_canary", canary[0].revision, by)
            return f"{canary[0].revision} answers nowhere any more: everywhere it is {_called(current)}."
        owner = _owner(serving)
        told("promote", "The files are checked.")
        model = _earlier(registry, previous, revision, owner, by)
        if current is not None and model.revision == current.revision:
            return f"{_called(current)} is in service already."
        _check_room(serving, model.revision, (), owner)
        candidate = Candidate(own_id, "rollback", model, before=current)
        attempt(registry, serving, lease, candidate, engine_key=engine_key, told=told)
    return f"{_called(model)} is in service again; before it was {_called(current)}."


def settle(registry: Registry, serving: Serving) -> None:
    """Finish, or undo, what a promotion left that was killed; one that is under way does that itself."""
    with suppress(NotPromoted), alone(serving):
        resolve(registry, serving)


def served(registry: Registry, revision: str, owner: Owner, *, by: str) -> Served:
    """A revision as that owner's engines serve it, every file's hash checked. Raises NotPromoted, NotWhole."""
    manifest = registry.manifest(revision, check=True)
    folder, own = registry.folder_of(revision), manifest["registry"]
    if owner.serves == "directory":
        path, sha256 = folder, sha256_of(folder / MANIFEST)
    else:
        path = folder / _gguf(revision, manifest)
        sha256 = manifest["files"][path.name]["sha256"]
    counts = (own.get("dataset") or {}).get("counts") or {}
    return Served(
        revision,
        name=Path(str((manifest.get("base") or {}).get("name") or revision)).name.removesuffix(".gguf"),
        path=str(path),
        sha256=sha256,
        manifest=str(folder / MANIFEST),
        keys=tuple(manifest.get("keys") or ()),
        trained_on={kind: counts[kind] for kind in COUNTED if isinstance(counts.get(kind), int)},
        by=by,
    )


def _gguf(revision: str, manifest: Mapping[str, Any]) -> str:
    """The file that its recipe had judged."""
    files = manifest.get("gguf") or {}
    wanted = (((manifest["registry"].get("recipe") or {}).get("evaluate")) or {}).get("gguf")
    name = files.get(wanted) or next(iter(files.values()), None)
    if name is None or name not in manifest["files"]:
        raise NotPromoted(
            f"{revision} has no GGUF file, and the engines here serve nothing else. Retrain it with export.gguf in the "
            "recipe."
        )
    return str(name)


def _earlier(registry: Registry, previous: Served | None, revision: str | None, owner: Owner, by: str) -> Served:
    """What to go back to, its files checked where they lie here; the configured model's are checked by its owner."""
    if revision is None and previous is None:
        raise NotPromoted("Nothing else was in service before: there is nothing to go back to.")
    if previous is not None and revision in (None, previous.revision):
        if not NAME.fullmatch(previous.revision):
            return replace(previous, url="", by=by)
        return served(registry, registry.named(previous.revision), owner, by=by)
    if revision is None or not registry.was_served(revision):
        raise NotPromoted(f"{revision} was never in service, so nobody can go back to it. Promote it instead.")
    return served(registry, revision, owner, by=by)


def _said_already(serving: Serving, revision: str, canary: Sequence[str]) -> str | None:
    """What to say where it answers there already; the canary's channels may be others from now on."""
    current, other = serving.current(), serving.canary()
    is_current = current is not None and current.revision == revision
    if is_current and canary:
        raise NotPromoted(f"{revision} answers everywhere already; a canary is another revision.")
    if is_current:
        return f"{revision} is in service already."
    if canary and other is not None and other[0].revision == revision:
        serving.set_canary(other[0], tuple(canary))
        return f"{revision} answers in {_listed(canary)} from now on."
    return None


def _check_verdict(registry: Registry, revision: str, *, yes: bool, by: str) -> None:
    verdict, reasons = registry.verdict(revision)
    if verdict == "not judged":
        raise NotPromoted(f"No gate has judged {revision}. `dolly-trainer retrain` does so; nothing else is promoted.")
    if verdict == "refused":
        raise NotPromoted(" ".join((f"The gate refused {revision}.", *reasons)))
    if verdict == "not enough evidence" and not yes:
        raise NotPromoted(f"{' '.join(reasons) or 'There is not enough evidence.'} For {revision} that is --yes.")
    if verdict == "not enough evidence":
        registry.allow(revision, by)


def _check_room(serving: Serving, revision: str, canary: Sequence[str], owner: Owner) -> None:
    other = serving.canary()
    if canary and owner.holds == 1:
        raise NotPromoted(
            "The engines' owner has room for one model at a time, and a canary needs two: promote it everywhere."
        )
    if other is not None and other[0].revision != revision:
        raise NotPromoted(
            f"{other[0].revision} answers in {_listed(other[1])} as a canary. Promote it, or take it away with "
            "`dolly-trainer rollback`; then try again."
        )


def _owner(serving: Serving) -> Owner:
    if (owner := serving.owner()) is None:
        raise NotPromoted("Nobody owns the engines just now, so nothing can be started. Start Dolly, and try again.")
    return owner


def _called(model: Served | None) -> str:
    return model.revision if model and NAME.fullmatch(model.revision) else "the model that Dolly was configured with"


def _listed(channels: Sequence[str]) -> str:
    return ", ".join(channels)
