"""Which processes run, as the kernel tells it."""

from pathlib import Path

import pytest


def running_processes() -> dict[int, int]:
    """Every process's id and its parent's, without those that ended and wait only for their parent to ask.

    Skips the test where there is no /proc.
    """
    if not Path("/proc/self/stat").exists():
        pytest.skip("looks at processes in /proc, which this system does not have")
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if state != "Z":
            found[int(path.parent.name)] = int(parent)
    return found


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a mere entry that waits for its parent to ask for it."""
    return pid in running_processes()


def children_of(pid: int) -> set[int]:
    return {child for child, parent in running_processes().items() if parent == pid}
