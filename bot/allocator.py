"""How the C library gives memory back."""

import ctypes

_M_MMAP_THRESHOLD = -3  # <malloc.h>
_LARGE_BYTES = 128 * 1024


def return_large_blocks() -> bool:
    """Have every large block taken from the system and given back; whether the C library can (glibc).

    asyncio reads each time into 256 KB and keeps what came. glibc, left alone, takes such blocks from its heap after
    the first, and what is kept lies scattered over it.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES))
    except (AttributeError, OSError, TypeError):  # another C library
        return False
