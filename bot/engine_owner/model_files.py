"""The files that llama.cpp reads: is this the one that is meant, and a model at all?"""

import asyncio
import hashlib
from pathlib import Path

from bot.errors import LocalPartError
from bot.store.served_models import ServedModel

GGUF_MAGIC = b"GGUF"


async def sha256_of(path: Path) -> str:
    """In hexadecimal. Raises LocalPartError."""
    try:
        return await asyncio.to_thread(_sha256, path)
    except OSError as error:
        raise LocalPartError(f"The model file {path} cannot be read ({error.strerror}).") from None


async def check_file(model: ServedModel) -> Path:
    """The file of `model`, which is what was written down of it. Raises LocalPartError, with what is wrong."""
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
    if await sha256_of(path) != model.sha256:
        raise LocalPartError(f"The model file {path} has another SHA-256 than {model.revision}: make the file again.")
    return path


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(GGUF_MAGIC))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
