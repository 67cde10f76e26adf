"""Revisions are whole or not there, named by their weights, and kept while they are of use."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.trainer.revisions import LACKING, PASSED, REFUSED, add, write_export
from trainer.artifacts import read_manifest, sha256_of, write_artifact, write_manifest
from trainer.errors import BadInput, NotWhole
from trainer.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def test_a_revision_says_what_it_is_made_of(registry: Registry, tmp_path: Path) -> None:
    revision = add(registry, "first", job="j1", parent=None)
    folder = registry.folder_of(revision)
    assert revision == f"0001-{sha256_of(folder / 'model.safetensors')[:8]}"
    manifest = read_manifest(folder, "export", check=True)
    assert manifest["gguf"] == {"q8_0": "model-q8_0.gguf"}
    origin = manifest["registry"]
    assert origin["revision"] == revision
    assert origin["base"] == {"name": "team/small"}
    assert (origin["parent"], origin["job"]) == (None, "j1")
    assert origin["dataset"]["feedback"] == ["a1", "b2"]
    assert origin["recipe"]["name"] == "loop-smollm2"
    assert origin["gate"] == PASSED
    assert {"made", "code"} <= origin.keys()
    assert registry.of_job("j1") == revision
    assert registry.of_job("j2") is None
    assert registry.history.lines()[-1].items() >= {"act": "add", "revision": revision, "by": "U1"}.items()


def test_revisions_are_numbered_and_no_number_comes_twice(registry: Registry) -> None:
    made = [add(registry, f"weights {number}") for number in range(8)]
    assert [revision[:4] for revision in made] == [f"000{number}" for number in range(1, 9)]
    assert registry.revisions() == made
    assert registry.prune(newest=0) == made
    assert add(registry, "one more")[:4] == "0009"


def test_the_weights_of_several_files_have_one_name(registry: Registry, tmp_path: Path) -> None:
    names = [registry.add(write_files(tmp_path / each, a="a", b=each), {}) for each in ("b", "c")]
    assert names[0][5:] != names[1][5:]


def write_files(out: Path, **weights: str) -> Path:
    """An export of these safetensors files alone."""
    with write_artifact(out) as folder:
        for name, text in weights.items():
            (folder / f"{name}.safetensors").write_text(text)
        (folder / "config.json").write_text("{}")
        write_manifest(folder, "export", {})
    return out


def test_an_export_that_is_not_what_was_written_is_not_kept(registry: Registry, tmp_path: Path) -> None:
    export = write_export(tmp_path / "export")
    (export / "model.safetensors").write_text("weighty")
    with pytest.raises(NotWhole, match="other hashes"):
        registry.add(export, {})
    with pytest.raises(BadInput, match="no weights"):
        registry.add(write_files(tmp_path / "bare"), {})
    assert registry.revisions() == []
    assert [path.name for path in registry.folder.iterdir()] == [".lock"]


def test_what_was_changed_after_it_was_kept_is_refused(registry: Registry, tmp_path: Path) -> None:
    revision = add(registry, "first")
    gguf = registry.folder_of(revision) / "model-q8_0.gguf"
    gguf.write_text("GGUF fIrst")
    assert registry.manifest(revision)
    with pytest.raises(NotWhole, match=r"model-q8_0\.gguf has another SHA-256"):
        registry.manifest(revision, check=True)


def test_the_export_may_go_once_it_is_kept(registry: Registry, tmp_path: Path) -> None:
    revision = add(registry, "first")
    shutil.rmtree(tmp_path / "exports")
    assert registry.manifest(revision, check=True)


def test_an_unknown_revision_is_told_with_the_nearest(registry: Registry) -> None:
    with pytest.raises(BadInput, match="it has none yet"):
        registry.named("0001")
    first, second = add(registry, "first"), add(registry, "second")
    assert registry.named(first) == first
    assert registry.named("0002") == second
    with pytest.raises(BadInput, match=f"did you mean {first}"):
        registry.manifest(first[:-1] + "x")
    with pytest.raises(BadInput, match=f"the newest is {second}"):
        registry.named("banana")
    with pytest.raises(BadInput, match="There is no revision 000 "):
        registry.named("000")  # both begin so


def test_current_and_what_was_before(registry: Registry) -> None:
    assert (registry.current(), registry.previous()) == (None, None)
    first, second = add(registry, "first"), add(registry, "second")
    registry.set_current(first, "promote", "U1")
    assert (registry.current(), registry.previous()) == (first, None)
    assert os.readlink(registry.folder / "current") == first
    registry.set_current(second, "promote", "U1")
    registry.set_current(second, "promote", "U1")  # after a kill
    assert (registry.current(), registry.previous()) == (second, first)
    registry.set_current(first, "rollback", "U2")
    assert (registry.current(), registry.previous()) == (first, second)
    assert registry.was_served(second)
    registry.set_current(None, "rollback", "U2")
    assert (registry.current(), registry.previous()) == (None, first)


def test_what_is_of_no_more_use_is_removed(registry: Registry) -> None:
    made = [add(registry, f"weights {number}") for number in range(10)]
    registry.set_current(made[0], "promote", "U1")
    registry.set_current(made[1], "promote", "U1")
    assert registry.prune(keep=[made[2]]) == made[3:5]
    assert registry.revisions() == [*made[:3], *made[5:]]
    assert registry.prune(keep=[made[2]]) == []
    assert registry.current() == made[1]
    assert registry.prune(newest=100) == []
    assert [line["revision"] for line in registry.history.lines() if line["act"] == "prune"] == made[3:5]


def test_half_written_ones_are_no_revisions_and_go(registry: Registry, tmp_path: Path) -> None:
    whole = add(registry, "first")
    (registry.folder / "0007-0123abcd").mkdir()  # no manifest
    script = (
        "import os, sys, signal; from pathlib import Path; from trainer import registry\n"
        "registry._link = lambda source, target: os.kill(os.getpid(), signal.SIGKILL)\n"
        "registry.Registry(Path(sys.argv[1])).add(Path(sys.argv[2]), {})\n"
    )
    export = write_export(tmp_path / "export", "second")
    killed = subprocess.run([sys.executable, "-c", script, str(registry.folder), str(export)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert any(".partial-" in path.name for path in registry.folder.iterdir())
    assert registry.revisions() == [whole]
    second = registry.add(export, {})
    assert second[:4] == "0002"
    assert not any(".partial-" in path.name for path in registry.folder.iterdir())


def test_a_torn_line_of_the_history_is_passed_over(registry: Registry) -> None:
    first = add(registry, "first")
    with (registry.folder / "history.jsonl").open("a") as file:
        file.write('{"at": "2026-')
    registry.set_current(first, "promote", "U1")
    assert [line["act"] for line in registry.history.lines()] == ["add", "promote"]


def test_who_learned_from_a_record(registry: Registry) -> None:
    first = add(registry, "first")
    second = add(registry, "second", dataset={"feedback": ["b2", "c3"]})
    add(registry, "third", dataset={"feedback": []})
    assert registry.learned_from(["b2"]) == {first: ["b2"], second: ["b2"]}
    assert registry.learned_from(["c3", "a1", "x"]) == {first: ["a1"], second: ["c3"]}


def test_verdicts(registry: Registry) -> None:
    passed, refused = add(registry, "first"), add(registry, "second", gate=REFUSED)
    lacking, bare = add(registry, "third", gate=LACKING), add(registry, "fourth", gate=None)
    both = add(registry, "fifth", gate=LACKING | {"refusals": [*LACKING["refusals"], *REFUSED["refusals"]]})
    assert registry.verdict(passed) == ("passed", ())
    assert registry.verdict(refused) == ("refused", ("It stops less.",))
    assert registry.verdict(lacking)[0] == "not enough evidence"
    assert registry.verdict(bare) == ("not judged", ())
    for revision in (lacking, both):
        registry.allow(revision, "U1")
    assert registry.verdict(lacking) == ("allowed", ())
    assert registry.verdict(both)[0] == "refused"


def test_several_add_at_once(registry: Registry) -> None:
    threads = [threading.Thread(target=add, args=(registry, f"weights {number}")) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [revision[:4] for revision in registry.revisions()] == [f"000{number}" for number in range(1, 7)]
    assert len((registry.folder / "history.jsonl").read_text().splitlines()) == 6


def test_a_folder_that_cannot_be_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("no folder")
    with pytest.raises(BadInput, match="cannot be written"):
        Registry(tmp_path / "models").set_current(None, "rollback", "U1")
    assert Registry(tmp_path / "nowhere").revisions() == []
