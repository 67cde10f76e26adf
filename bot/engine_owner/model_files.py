"""What an engine reads, a GGUF file or a model's directory: is it the one that is meant, and a model at all?"""

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from bot.errors import LocalPartError
from bot.store.served_models import ServedModel

GGUF_MAGIC = b"GGUF"
MANIFEST = "manifest.json"

T = TypeVar("T")


class ModelFiles(Protocol):
    """One kind of them."""

    async def sha256_of(self, path: Path) -> str:
        """Of what lies there, in hexadecimal. Raises LocalPartError."""

    async def check(self, model: ServedModel) -> Path:
        """Where `model` lies, which is what was written down of it. Raises LocalPartError, with what is wrong."""


class GgufFiles:
    """A file, which llama.cpp reads; its SHA-256 is the model's."""

    async def sha256_of(self, path: Path) -> str:
        return await _told(path, _sha256)

    async def check(self, model: ServedModel) -> Path:
        path = Path(model.path)
        if not path.is_absolute():
            raise LocalPartError(f"Where {model.revision} lies is not said: a GGUF file is needed, by its whole path.")
        try:
            magic = await asyncio.to_thread(_beginning, path)
        except FileNotFoundError:
            raise LocalPartError(f"There is no model file {path}.") from None
        except IsADirectoryError:
            raise LocalPartError(
                f"{path} is a directory, and llama.cpp reads GGUF files: export the model as one."
            ) from None
        except OSError as error:
            raise LocalPartError(f"The model file {path} cannot be read ({error.strerror}).") from None
        if magic != GGUF_MAGIC:
            raise LocalPartError(f"The model file {path} is not a GGUF file, and llama.cpp reads no other.")
        if await self.sha256_of(path) != model.sha256:
            raise LocalPartError(
                f"The model file {path} has another SHA-256 than {model.revision}: make the file again."
            )
        return path


class Directories:
    """A directory, which TGI and vLLM read: its manifest.json lists every file's SHA-256, and the manifest's own is
    the model's."""

    async def sha256_of(self, path: Path) -> str:
        return await _told(path / MANIFEST, _sha256)

    async def check(self, model: ServedModel) -> Path:
        path = Path(model.path)
        if not path.is_absolute():
            raise LocalPartError(f"Where {model.revision} lies is not said: a directory is needed, by its whole path.")
        if not await asyncio.to_thread((path / MANIFEST).is_file):
            raise LocalPartError(f"There is no {path / MANIFEST}: {path} is no model's directory, or is not whole.")
        if await self.sha256_of(path) != model.sha256:
            raise LocalPartError(
                f"{path / MANIFEST} has another SHA-256 than {model.revision}: export the model again."
            )
        await _told(path, _check_listed)
        return path


async def _told(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return await asyncio.to_thread(read, path)
    except OSError as error:
        raise LocalPartError(f"The model file {error.filename or path} cannot be read ({error.strerror}).") from None


def _check_listed(folder: Path) -> None:
    """Every file that the manifest lists is there, and is what it was. Raises LocalPartError, OSError."""
    try:
        listed = {
            name: str(facts["sha256"]) for name, facts in json.loads((folder / MANIFEST).read_bytes())["files"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise LocalPartError(
            f"{folder / MANIFEST} lists no files with their SHA-256: export the model again."
        ) from None
    for name, sha256 in listed.items():
        if _sha256(folder / name) != sha256:
            raise LocalPartError(f"{folder / name} has another SHA-256 than its manifest says: export the model again.")


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(GGUF_MAGIC))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
