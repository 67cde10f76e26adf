"""Memory that a step gives back is there for the next one, and when there is none left."""

import ctypes
import sys

import torch

M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
NEVER = 2**31 - 1


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says so in one of the ways of Python and torch, which on a CPU has no error of its own for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, so that gradients of hundreds of MB are not fresh, zeroed pages each step.

    glibc would hand it to the kernel and ask again.
    Worth about 5 % of a step of a 135M model on a CPU. Returns whether the C library could be told (glibc only).
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has it not
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER))
