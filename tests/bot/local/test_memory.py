"""How much memory is left, as Linux and a container tell it."""

from pathlib import Path

import pytest

from bot.local import memory

MEMINFO = "MemTotal:       24681152 kB\nMemFree:          612344 kB\nMemAvailable:   20971520 kB\n"
GIB = 1024**3


def container(folder: Path, limit: str, used: int, droppable: int) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1234\nfile 99\ninactive_file {droppable}\nactive_file 7\n")
    return folder


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    path = tmp_path / "meminfo"
    path.write_text(MEMINFO)
    return path


def test_a_machine_tells_what_is_available(meminfo: Path, tmp_path: Path) -> None:
    assert memory.available_bytes(meminfo, tmp_path / "none") == 20 * GIB
    assert memory.available_bytes(meminfo, container(tmp_path, "max", GIB, 0)) == 20 * GIB


def test_a_container_has_what_its_limit_leaves(meminfo: Path, tmp_path: Path) -> None:
    assert memory.available_bytes(meminfo, container(tmp_path, str(8 * GIB), 5 * GIB, 2 * GIB)) == 5 * GIB
    assert memory.available_bytes(meminfo, container(tmp_path, str(80 * GIB), 5 * GIB, 0)) == 20 * GIB


def test_where_nobody_tells_nothing_is_known(tmp_path: Path) -> None:
    assert memory.available_bytes(tmp_path / "none", tmp_path / "none") is None


@pytest.mark.parametrize(("available", "has_room"), [(None, True), (2 * GIB, True), (GIB, False)])
def test_an_engine_needs_its_file_and_room_to_think(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: int | None, has_room: bool
) -> None:
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.truncate(GIB)
    monkeypatch.setattr(memory, "available_bytes", lambda: available)
    assert memory.has_room_for(path) == has_room
    assert memory.has_room_for(tmp_path / "none.gguf")
