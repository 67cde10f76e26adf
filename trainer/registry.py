"""The registry: every revision that a retrain made, and which of them is in service.

    models/0003-3fa9c2d1/   an export; its manifest also holds "registry": what it is made of, the gate's verdict
    models/current          a symlink to the revision in service; none while the bot's configured model is
    models/history.jsonl    what was done, a line each: at, act, revision, by

A revision's name is a number and the first digits of the SHA-256 of its weights. It is there whole or not at all.
"""

import difflib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from trainer.artifacts import (
    MANIFEST,
    read_manifest,
    remove_artifact,
    remove_left_behind,
    sync,
    write_artifact,
    write_manifest,
)
from trainer.errors import BadInput, NotWhole
from trainer.history import History

CURRENT, HISTORY = "current", "history.jsonl"
Verdict = Literal["passed", "refused", "not enough evidence", "allowed", "not judged"]
"""`allowed` = there was not enough evidence, and somebody said yes."""
NAME = re.compile(r"\d{4,}-[0-9a-f]{8}")
NEWEST = 5
"""So many are kept besides those that are in use."""
OF_EACH_ARTIFACT = {"kind", "schema", "dolly", "made", "files"}
"""What a manifest says by itself."""


class Registry:
    """The revisions in a folder. Processes take turns at writing; reading waits for nobody."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.abspath(folder))
        self.history = History(self.folder / HISTORY)

    # --- what there is ----------------------------------------------------------------------------------------------

    def revisions(self) -> list[str]:
        """The whole ones, the oldest first."""
        found = [path.parent.name for path in self.folder.glob(f"*/{MANIFEST}") if NAME.fullmatch(path.parent.name)]
        return sorted(found, key=_number)

    def folder_of(self, revision: str) -> Path:
        """Where its files lie."""
        return self.folder / revision

    def named(self, name: str) -> str:
        """The revision of that name, or the only one whose name begins so. Raises BadInput, with the nearest."""
        revisions = self.revisions()
        if name in revisions:
            return name
        if name and len(begins := [revision for revision in revisions if revision.startswith(name)]) == 1:
            return begins[0]
        near = difflib.get_close_matches(name, revisions, n=1, cutoff=0.5)
        if near:
            raise BadInput(f"There is no revision {name} in {self.folder}; did you mean {near[0]}?")
        newest = f"the newest is {revisions[-1]}" if revisions else "it has none yet"
        raise BadInput(f"There is no revision {name} in {self.folder}: {newest}. `dolly-trainer models` lists them.")

    def manifest(self, revision: str, *, check: bool = False) -> dict[str, Any]:
        """Its manifest; with `check`, the hash of every file is compared. Raises BadInput, NotWhole."""
        folder = self.folder_of(self.named(revision))
        manifest = read_manifest(folder, "export", check=check)
        if not isinstance(manifest.get("registry"), dict):
            raise NotWhole(f"{folder} is an export that no retrain registered: nothing says what it is made of.")
        return manifest

    def registered(self, revision: str) -> dict[str, Any]:
        """What was registered with it, whatever became of its files; nothing where that cannot be read."""
        try:
            manifest = json.loads((self.folder_of(revision) / MANIFEST).read_bytes())
        except (OSError, ValueError):
            return {}
        return manifest.get("registry") or {}

    def current(self) -> str | None:
        """The revision in service; None while the bot's configured model is."""
        try:
            name = os.readlink(self.folder / CURRENT)
        except OSError:
            return None
        return name if NAME.fullmatch(name) and (self.folder / name / MANIFEST).is_file() else None

    def previous(self) -> str | None:
        """What was in service before the last change; None where that was the bot's configured model, or nothing."""
        served = [str(line["revision"]) for line in self.history.lines() if line["act"] in ("promote", "rollback")]
        changes = [name for at, name in enumerate(served) if at == 0 or name != served[at - 1]]
        return changes[-2] or None if len(changes) > 1 else None

    def of_job(self, job: str) -> str | None:
        """The revision that a retrain left here, for one that was killed right after."""
        return next((name for name in self.revisions() if self.registered(name).get("job") == job), None)

    def learned_from(self, records: Collection[str]) -> dict[str, list[str]]:
        """The revisions that learned from any of these records (ids), and from which."""
        wanted, found = frozenset(records), {}
        for revision in self.revisions():
            dataset = self.registered(revision).get("dataset") or {}
            if learned := sorted(wanted.intersection(dataset.get("feedback") or ())):
                found[revision] = learned
        return found

    def is_allowed(self, revision: str) -> bool:
        """Whether somebody said yes to it, though the gate had not enough evidence."""
        return self.history.has("allow", revision)

    def was_served(self, revision: str) -> bool:
        """Whether it has been in service, everywhere."""
        return self.history.has("promote", revision) or self.history.has("rollback", revision)

    def verdict(self, revision: str) -> tuple[Verdict, tuple[str, ...]]:
        """What the gate said, and its reasons, a sentence each."""
        gate = self.registered(revision).get("gate")
        if not gate:
            return "not judged", ()
        refusals = gate.get("refusals") or ()
        reasons = tuple(str(refusal["sentence"]) for refusal in refusals)
        if gate.get("passed"):
            return "passed", ()
        if not gate.get("not_enough_evidence") or any(refusal["check"] != "evidence" for refusal in refusals):
            return "refused", reasons
        return ("allowed", ()) if self.is_allowed(revision) else ("not enough evidence", reasons)

    # --- what is done -----------------------------------------------------------------------------------------------

    def add(self, export: Path, facts: Mapping[str, Any]) -> str:
        """Keep an export, its hashes checked, and return its revision.

        `facts` (JSON values) are parent, dataset, recipe, evaluation, gate, job and by. The files are linked, not
        copied, where both folders lie on one file system. Raises BadInput, NotWhole, DiskFull.
        """
        manifest = read_manifest(export, "export")
        with self._writing():
            remove_left_behind(self.folder)
            revision = f"{self._next_number():04d}-{_weights(export, manifest)[:8]}"
            with write_artifact(self.folder_of(revision)) as folder:
                for name in manifest["files"]:
                    _link(export / name, folder / name)
                own = {key: value for key, value in manifest.items() if key not in OF_EACH_ARTIFACT}
                write_manifest(folder, "export", own | {"registry": _origin(revision, manifest, facts)})
                if read_manifest(folder)["files"] != manifest["files"]:
                    raise NotWhole(f"{export} is not what was written: its files have other hashes than it says.")
            self.history.note("add", revision, str(facts.get("by") or ""))
        return revision

    def set_current(self, revision: str | None, act: str, by: str) -> None:
        """Say which one is in service, None for the bot's configured model; `act` is promote or rollback."""
        with self._writing():
            self.history.note(act, revision or "", by)
            link = self.folder / CURRENT
            if revision is None:
                link.unlink(missing_ok=True)
            else:
                beside = self.folder / f".{CURRENT}"
                beside.unlink(missing_ok=True)
                beside.symlink_to(revision)
                beside.replace(link)
            sync(self.folder)

    def allow(self, revision: str, by: str) -> None:
        """Note an admin's explicit yes to a revision of which the gate says that there is not enough evidence."""
        self.note("allow", self.named(revision), by)

    def note(self, act: str, revision: str, by: str) -> None:
        """A line of the history."""
        with self._writing():
            self.history.note(act, revision, by)

    def prune(self, keep: Collection[str] = (), *, newest: int = NEWEST) -> list[str]:
        """Remove all but the newest, the one in service, the one before it, and those to `keep`; who is gone now."""
        with self._writing():
            remove_left_behind(self.folder)
            revisions = self.revisions()
            kept = {*keep, self.current(), self.previous(), *revisions[max(0, len(revisions) - newest) :]}
            gone = [revision for revision in revisions if revision not in kept]
            for revision in gone:
                self.history.note("prune", revision, "")
                remove_artifact(self.folder_of(revision))
        return gone

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One process at a time."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise BadInput(f"The registry {self.folder} cannot be written: {error.strerror}.") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _next_number(self) -> int:
        """No number is given twice, whatever was removed."""
        named = (str(line["revision"]) for line in self.history.lines())
        return 1 + max((_number(name) for name in (*self.revisions(), *named) if NAME.fullmatch(name)), default=0)


def _origin(revision: str, manifest: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    own = {"revision": revision, "base": manifest.get("base"), "parent": None, "code": version("dolly")}
    return own | dict(facts) | {"revision": revision, "made": datetime.now(UTC).isoformat(timespec="seconds")}


def _weights(export: Path, manifest: Mapping[str, Any]) -> str:
    """SHA-256 of the weights: of the file, or of the hashes of its parts in their order."""
    parts = [said["sha256"] for name, said in sorted(manifest["files"].items()) if name.endswith(".safetensors")]
    if not parts:
        raise BadInput(f"{export} has no weights in safetensors: it is no export that could be kept.")
    return str(parts[0]) if len(parts) == 1 else hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _number(revision: str) -> int:
    return int(revision.partition("-")[0])
