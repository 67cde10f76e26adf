"""Which model answers people now, and what it says to a question."""

from pathlib import Path

import pytest

from tests.trainer.revisions import add
from trainer.errors import BadInput
from trainer.records import Message
from trainer.registry import Registry
from trainer.served import InService, OwnAnswers, in_service
from trainer.serving import Served


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def test_what_the_store_says_comes_first(registry: Registry, made_loop: Path, tmp_path: Path) -> None:
    first, second = add(registry, "one"), add(registry, "two")
    registry.set_current(first, "promote", "test")
    folder = registry.folder_of(second)
    served = Served(second, path=str(folder / "model-q8_0.gguf"))
    base, made = made_loop / "base", tmp_path / "made.gguf"
    expected = InService(second, str(folder), str(folder / "model-q8_0.gguf"))
    assert in_service(served, registry, base, made, "q8_0") == expected
    on_another_machine = Served(second, path="/nowhere/else/model-q8_0.gguf")
    assert in_service(on_another_machine, registry, base, made, "q8_0") == expected
    with pytest.raises(BadInput, match="which is not in"):
        in_service(Served("0009-00000000"), registry, base, made, "q8_0")


def test_without_a_store_the_registry_says_it(registry: Registry, made_loop: Path, tmp_path: Path) -> None:
    revision = add(registry, "one")
    registry.set_current(revision, "promote", "test")
    folder = registry.folder_of(revision)
    found = in_service(None, registry, made_loop / "base", tmp_path / "made.gguf", "f16")
    assert found == InService(revision, str(folder), str(folder / "model-q8_0.gguf"))  # there is no other file


def test_before_any_revision_the_base_answers(registry: Registry, made_loop: Path, tmp_path: Path) -> None:
    base, made, shipped = made_loop / "base", tmp_path / "made.gguf", tmp_path / "shipped.gguf"
    shipped.write_bytes(b"GGUF")
    found = in_service(Served("shipped", path=str(shipped)), registry, base, made, "f16")
    assert found == InService(None, str(base), str(shipped))
    assert in_service(None, registry, base, made, "f16") == InService(None, str(base), str(made))
    assert made.read_bytes().startswith(b"GGUF")  # that nobody had
    before = made.stat().st_mtime_ns
    assert in_service(None, registry, base, made, "f16").gguf == str(made)
    assert made.stat().st_mtime_ns == before


def test_it_answers_the_same_each_time_and_is_followed(registry: Registry, made_loop: Path, tmp_path: Path) -> None:
    model = in_service(None, registry, made_loop / "base", tmp_path / "made.gguf", "f16")
    told: list[tuple[int, int]] = []
    asked = [[Message("user", f"{number}. Name the office.")] for number in range(3)]
    found = []
    for _ in range(2):
        with OwnAnswers(
            model, longest_tokens=24, context_tokens=256, told=lambda *numbers: told.append(numbers)
        ) as answers:
            found.append(answers(asked))
            assert answers([]) == []
    assert found[0] == found[1]
    assert all(found[0])
    assert told == [(1, 3), (2, 3), (3, 3)] * 2
    with OwnAnswers(
        InService(None, model.folder, None), longest_tokens=24, context_tokens=256, told=lambda *_: None
    ) as answers:
        assert answers(asked) == found[0]  # in transformers, for a model that llama.cpp does not serve
