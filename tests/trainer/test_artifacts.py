"""A stage's output is whole or not there."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.artifacts import MANIFEST, read_manifest, write_artifact, write_manifest
from trainer.errors import BadInput, DiskFull, NotWhole


def write(out: Path, text: str = "weights") -> None:
    with write_artifact(out) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "model.bin").write_text(text)
        write_manifest(folder, "base", {"name": "tiny"})


def fail(out: Path, error: Exception) -> None:
    with write_artifact(out) as folder:
        (folder / "half").write_text("half")
        raise error


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_artifact_is_there_with_its_manifest(tmp_path: Path) -> None:
    write(tmp_path / "above" / "base")
    manifest = read_manifest(tmp_path / "above" / "base", "base", check=True)
    assert manifest["name"] == "tiny"
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert manifest["files"] == {"deep/model.bin": {"bytes": 7, "sha256": sha256}}
    assert names_in(tmp_path / "above") == ["base"]


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "base", ZeroDivisionError())
    assert names_in(tmp_path) == []


def test_a_directory_that_holds_something_is_refused_and_stays(tmp_path: Path) -> None:
    write(tmp_path / "base", "first")
    with pytest.raises(BadInput, match="exists already"):
        write(tmp_path / "base", "second")
    assert (tmp_path / "base" / "deep" / "model.bin").read_text() == "first"
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty")
    assert read_manifest(tmp_path / "empty", "base")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_said_and_what_was_there_stays(tmp_path: Path, error: Exception) -> None:
    write(tmp_path / "step-1")
    with pytest.raises(DiskFull, match="is full"):
        fail(tmp_path / "step-2", error)
    assert names_in(tmp_path) == ["step-1"]
    assert read_manifest(tmp_path / "step-1", check=True)


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="there is no /dev/full here")
def test_a_disk_that_is_really_full_is_known(tmp_path: Path) -> None:
    with (
        pytest.raises(DiskFull),
        write_artifact(tmp_path / "base"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")


def test_each_way_of_being_half_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "base")
    model, manifest = tmp_path / "base" / "deep" / "model.bin", tmp_path / "base" / MANIFEST
    with pytest.raises(NotWhole, match="holds a base; a dataset"):
        read_manifest(tmp_path / "base", "dataset")
    model.write_text("weighty")
    assert read_manifest(tmp_path / "base")
    with pytest.raises(NotWhole, match="another SHA-256"):
        read_manifest(tmp_path / "base", check=True)
    model.write_text("cut")
    with pytest.raises(NotWhole, match="3 bytes"):
        read_manifest(tmp_path / "base")
    model.unlink()
    with pytest.raises(NotWhole, match=r"deep/model\.bin is missing"):
        read_manifest(tmp_path / "base")
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**said, "schema": 99}))
    with pytest.raises(NotWhole, match="newer Dolly"):
        read_manifest(tmp_path / "base")
    for damaged in ("{", "[]", '{"kind": "base"}'):
        manifest.write_text(damaged)
        with pytest.raises(NotWhole):
            read_manifest(tmp_path / "base")
    manifest.unlink()
    with pytest.raises(NotWhole, match="half-written"):
        read_manifest(tmp_path / "base")
    with pytest.raises(BadInput, match="no directory"):
        read_manifest(tmp_path / "elsewhere")


def test_what_a_killed_writer_left_is_removed_but_not_what_is_being_written(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from trainer.artifacts import write_artifact\n"
        "with write_artifact(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('half'); print('writing', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "base")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "writing\n"
        write(tmp_path / "base")
        assert len(names_in(tmp_path)) == 2  # the other's stays: it is being written
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    (tmp_path / "base").rename(tmp_path / "first")
    write(tmp_path / "base")
    assert names_in(tmp_path) == ["base", "first"]


def test_a_manifest_is_written_last_and_says_nothing_twice(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no manifest"), write_artifact(tmp_path / "base"):
        pass
    with pytest.raises(ValueError, match="kind"):
        write_manifest(tmp_path, "base", {"kind": "other"})
