"""Artifacts: what a stage leaves is a directory with a manifest, whole or not there.

It is written beside its place and renamed into it; `manifest.json`, with size and SHA-256 of every file, is written
last. So a directory without a manifest is half of something, and every reader refuses it.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trainer.errors import BadInput, DiskFull, NotWhole

MANIFEST = "manifest.json"
SCHEMA = 1
HASHING_THREADS = 4
"""hashlib lets go of the interpreter's lock; more threads than this wait for the disk."""


@contextmanager
def write_artifact(out: Path) -> Iterator[Path]:
    """Yields a directory to fill, with a manifest last; it becomes `out` at the block's end, and is gone if that fails.

    What a killed process left half-written for the same `out` is removed first. Raises BadInput where `out` holds
    something already or cannot be written, DiskFull where the disk is full; what was there before stays.
    """
    out = Path(os.path.abspath(out))
    with _said_clearly(out):
        if out.is_file() or (out.is_dir() and any(out.iterdir())):
            raise BadInput(f"{out} exists already. Name another directory, or remove it.")
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_left_behind(out.parent, out.name)
        folder = Path(tempfile.mkdtemp(prefix=_partial(out.name), dir=out.parent))
        folder.chmod(0o755)
        with _locked(folder):
            try:
                yield folder
                if not (folder / MANIFEST).is_file():
                    raise RuntimeError(f"no manifest was written for {out}")
                _settle(folder)
                os.rename(folder, out)
                sync(out.parent)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise


def write_manifest(folder: Path, kind: str, facts: Mapping[str, Any], *, without: str | None = None) -> None:
    """Writes what `folder` is (`kind`), what it holds (size and SHA-256 of each file) and `facts` (JSON values).

    A directory `without` in it is left out: artifacts lie there, with manifests of their own.
    """
    inside = (path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    files = sorted(path for path in inside if without is None or path.relative_to(folder).parts[0] != without)
    with ThreadPoolExecutor(HASHING_THREADS) as threads:
        hashes = list(threads.map(sha256_of, files))
    manifest = {
        "kind": kind,
        "schema": SCHEMA,
        "dolly": version("dolly"),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256}
            for path, sha256 in zip(files, hashes, strict=True)
        },
    }
    if taken := sorted(manifest.keys() & facts.keys()):
        raise ValueError(f"the manifest itself says {', '.join(taken)}")
    partial = folder / f".{MANIFEST}.partial"
    with partial.open("w", encoding="utf-8") as file:
        json.dump({**manifest, **facts}, file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / MANIFEST)


def read_manifest(folder: Path, kind: str | None = None, *, check: bool = False) -> dict[str, Any]:
    """The manifest of a whole artifact of that `kind` (None: of any).

    Sizes are compared, with `check` also the hashes. Raises NotWhole where something is missing, cut or other than it
    says, and BadInput where there is no such directory.
    """
    if not folder.is_dir():
        raise BadInput(f"There is no directory {folder}.")
    manifest = _manifest_of(folder)
    if kind is not None and manifest["kind"] != kind:
        raise NotWhole(f"{folder} holds a {manifest['kind']}; a {kind} is needed here.")
    if manifest["schema"] > SCHEMA:
        raise NotWhole(f"{folder} was written by a newer Dolly ({manifest.get('dolly')}). Update this one.")
    for name, said in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise NotWhole(f"{folder} is not whole: {name} is missing. Make it again.")
        if path.stat().st_size != said["bytes"]:
            raise NotWhole(
                f"{folder} is not whole: {name} has {path.stat().st_size:,} bytes, "
                f"its manifest says {said['bytes']:,}. Make it again."
            )
        if check and sha256_of(path) != said["sha256"]:
            raise NotWhole(f"{folder} is not what was written: {name} has another SHA-256 than its manifest says.")
    return manifest


def write_private(path: Path, lines: Iterable[str]) -> None:
    """Lines into a file that only this user reads, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_artifact(folder: Path) -> None:
    """Whole or gone, also for who is killed meanwhile: what is left then is removed with what writers left behind."""
    going = folder.with_name(f"{_partial(folder.name)}gone")
    shutil.rmtree(going, ignore_errors=True)
    os.rename(folder, going)
    sync(folder.parent)
    shutil.rmtree(going, ignore_errors=True)


def remove_left_behind(parent: Path, name: str = "*") -> None:
    """Removes partial directories of the artifact `name` in `parent`, or of all, that nobody holds any more."""
    for left in parent.glob(f"{_partial(name)}*"):
        with suppress(BlockingIOError, FileNotFoundError, NotADirectoryError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)


def sync(path: Path) -> None:
    """A file, or a directory's list of names, is on the disk when this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _manifest_of(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise NotWhole(
            f"{folder} has no {MANIFEST}: it was left half-written, or Dolly did not write it. "
            "Make it again; a base comes in by `dolly-trainer import-base`."
        ) from None
    except (OSError, ValueError) as error:
        raise NotWhole(f"{folder / MANIFEST} cannot be read: {error}") from None
    known = isinstance(manifest, dict) and isinstance(manifest.get("kind"), str)
    if not known or not isinstance(manifest.get("files"), dict) or not isinstance(manifest.get("schema"), int):
        raise NotWhole(f"{folder / MANIFEST} is not a manifest of Dolly's.")
    return manifest


@contextmanager
def _said_clearly(out: Path) -> Iterator[None]:
    """What a disk can do to a writer, as sentences."""
    try:
        yield
    except Exception as error:
        if is_disk_full(error):
            raise DiskFull(
                f"The disk of {out.parent} is full: {out.name} was not written, and what was there before stays. "
                "Make room, or name a directory on another disk."
            ) from error
        if isinstance(error, PermissionError):
            raise BadInput(f"{out} cannot be written: {error.strerror}.") from error
        raise


def is_disk_full(error: BaseException) -> bool:
    """Whether it says so in one of the ways of Python, safetensors (Rust) and torch (C++)."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left on device" in str(error) or "Disk quota exceeded" in str(error)


def _partial(name: str) -> str:
    return f".{name}.partial-"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the directory as long as this process lives. Raises BlockingIOError where another does."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(held)


def _settle(folder: Path) -> None:
    """To the disk, and to be read by whoever serves it: safetensors writes for its own user only."""
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o755 if path.is_dir() else 0o644)
        sync(path)
