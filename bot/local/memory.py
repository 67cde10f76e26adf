"""How much memory this machine has left, and whether that is enough for one more engine."""

import re
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")

BESIDE_THE_FILE_BYTES = 512 * 1024**2
SHARE_OF_THE_FILE = 1.25
"""An engine reads the whole file into memory, and keeps what it has read of conversations; larger models keep more."""


def has_room_for(model_path: Path) -> bool:
    """Whether one more engine fits, with the model in the file; True where the machine does not say."""
    available = available_bytes()
    try:
        needed = SHARE_OF_THE_FILE * model_path.stat().st_size + BESIDE_THE_FILE_BYTES
    except OSError:
        return True  # whoever starts it finds out
    return available is None or needed <= available


def available_bytes(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int | None:
    """What the machine, and the container that this may be, can still give; None where neither says (macOS)."""
    told = [bytes_left for bytes_left in (_of_machine(meminfo), _of_container(cgroup)) if bytes_left is not None]
    return min(told, default=None)


def _of_machine(meminfo: Path) -> int | None:
    try:
        found = re.search(r"^MemAvailable: +(\d+) kB", meminfo.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _of_container(cgroup: Path) -> int | None:
    """Of a limit, what is not used; files that can be dropped from memory are not counted as used."""
    try:
        limit, used = (cgroup / "memory.max").read_text().strip(), int((cgroup / "memory.current").read_text())
        dropped = re.search(r"^inactive_file (\d+)", (cgroup / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) - used + (int(dropped[1]) if dropped else 0)
