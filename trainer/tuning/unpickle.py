"""`python -m trainer.tuning.unpickle OUT a.bin b.bin`: old weights, read where they can do no harm.

A `.bin` file is a pickle, which may run code when it is read. It is opened in this process of its own, with torch's
reader that builds tensors and nothing else; what it leaves are safetensors files in the directory OUT.
"""

import sys
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import save_file

NOT_TENSORS = 3
"""Exit code where the file holds anything but tensors by name."""
UNREADABLE = 4
DISK_FULL = 5


def main(out: Path, sources: list[Path]) -> int:
    """Exit code; the reason is stderr's last line."""
    return next((code for source in sources if (code := _convert(source, out / new_name(source)))), 0)


def new_name(source: Path) -> str:
    """`pytorch_model-00001-of-00002.bin` → `model-00001-of-00002.safetensors`"""
    return source.name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors"


def _convert(source: Path, out: Path) -> int:
    try:
        held = _load(source)
    except UnpicklingError:
        print(f"{source.name} holds more than tensors, and reading that could run code", file=sys.stderr)
        return NOT_TENSORS
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        print(f"{source.name}: {str(error).splitlines()[0] if str(error) else 'it is empty or cut'}", file=sys.stderr)
        return UNREADABLE
    if not isinstance(held, dict) or not all(isinstance(value, torch.Tensor) for value in held.values()):
        print(f"{source.name} does not hold tensors by name", file=sys.stderr)
        return NOT_TENSORS
    # Each tensor gets bytes of its own: safetensors refuses what shares them; loading ties again what was tied.
    tensors = {str(name): value.detach().clone(memory_format=torch.contiguous_format) for name, value in held.items()}
    try:
        save_file(tensors, out, metadata={"format": "pt"})
    except Exception as error:
        if "No space left" not in str(error):
            raise
        return DISK_FULL
    return 0


def _load(source: Path) -> Any:
    try:
        return torch.load(source, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
        return torch.load(source, map_location="cpu", weights_only=True)  # written before torch 1.6


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [Path(source) for source in sys.argv[2:]]))
