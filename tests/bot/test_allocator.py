"""Large blocks go back to the system: seen in a process of its own, because the setting cannot be taken back."""

import platform
import subprocess
import sys

import pytest

LARGE_BLOCKS = """
import ctypes, sys

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks".split()]
    _fields_ += [(name, ctypes.c_size_t) for name in "fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo
if sys.argv[1:] == ["set"]:
    from bot.allocator import return_large_blocks
    assert return_large_blocks()
for _ in range(3):
    bytes(bytearray(256 * 1024))  # each freed again; glibc learns from it to keep such blocks
before = libc.mallinfo2().hblks
block = bytearray(256 * 1024)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this setting")
@pytest.mark.parametrize(("argument", "from_the_system"), [("left alone", "0"), ("set", "1")])
def test_a_large_block_is_not_kept_in_the_heap(argument: str, from_the_system: str) -> None:
    child = subprocess.run(
        [sys.executable, "-c", LARGE_BLOCKS, argument], capture_output=True, text=True, check=True, timeout=30
    )
    assert child.stdout.strip() == from_the_system
