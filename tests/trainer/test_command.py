"""`dolly-trainer` as it is typed: what it says where something is wrong, and that help needs no torch."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from trainer import __main__ as command
from trainer.__main__ import main
from trainer.artifacts import write_manifest


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["dolly-trainer", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_help_loads_no_torch() -> None:
    asked = "import sys; from trainer.__main__ import app; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", asked], check=True, timeout=60)


def test_a_worker_that_waits_loads_no_torch() -> None:
    """A retrain has a process of its own; it sets how torch's threads wait before torch is there."""
    asked = (
        "import ctypes, sys; import trainer.worker; from trainer.asked import share_processors; share_processors();"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules);"
        "getenv = ctypes.CDLL(None).getenv; getenv.restype = ctypes.c_char_p;"
        "assert getenv(b'OMP_WAIT_POLICY') == b'PASSIVE'"
    )
    subprocess.run([sys.executable, "-c", asked], check=True, timeout=60)


@pytest.mark.parametrize(
    "verb",
    [
        *("import-base", "dataset build", "dataset show", "tune", "export", "evaluate", "chat"),
        *("score", "judge", "self-instruct", "self-instruct-report"),
        *("rate sheet", "rate answers", "rate report"),
        *("review", "retrain", "worker", "models", "promote", "rollback", ""),
    ],
)
def test_each_verb_explains_itself(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, *verb.split(), "--help") == 0
    assert "Usage: dolly-trainer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import-base", "nowhere/./at all", "-o", "x"], "no directory nowhere"),
        (["import-base", "nothing.gguf", "-o", "x"], "nothing.gguf cannot be read"),
        (["rate", "sheet", "ours=answers.jsonl", "-o", "x"], "two models or more"),
        (["rate", "report", "nowhere"], "no directory nowhere"),
        (["dataset", "build", "nothing.json", "-o", "x"], "nothing.json"),
        (["dataset", "build", "a.json", "-o", "x", "--set", "dataset.held_out=3"], "held_out_records"),
        (["dataset", "show", "nothing", "--base", "x"], "nothing"),
        (["tune", "--recipe", "laptop-smolm2", "--base", "b", "--dataset", "d", "-o", "x"], "laptop-smollm2"),
        (["tune", "-r", "laptop-smollm2", "--base", "b", "--dataset", "d", "-o", "x", "--dry-run"], "b"),
        (["export", "nothing", "-o", "x"], "nothing"),
        (["export", "nothing", "-o", "x", "--gguf", "q4_0"], "f16 and q8_0"),
        (["evaluate", "base=nothing", "--dataset", "d", "-o", "x"], "nothing"),
        (["score", "a=nothing.jsonl"], "The answers nothing.jsonl cannot be read"),
        (["judge", "a=nothing.jsonl", "--labels", "l", "-o", "x"], "two models or more"),
        (["chat", "nothing"], "nothing"),
        (["review", "nothing"], "nothing"),
        (["retrain", "--feedback", "nothing"], "nothing"),
        (["retrain", "--feedback", __file__, "--recipe", "loop-smolm2"], "loop-smollm2"),
        (["worker", "--recipe", "loop-smolm2"], "loop-smollm2"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("Error: ")
    assert said in shown.err
    assert "Traceback" not in shown.err + shown.out
    assert not (tmp_path / "x").exists()


def test_what_libraries_tell_each_other_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "app", lambda prog_name: warnings.warn("is to go", FutureWarning, stacklevel=1))
    main()  # here a warning is an error


def test_a_label_is_of_one_model(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(monkeypatch, "evaluate", "candidate=a", "candidate=b", "--dataset", "d", "-o", "x") == 2
    assert "candidate is said of two models" in capsys.readouterr().err


def test_a_model_has_a_label(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(monkeypatch, "evaluate", "exports/1", "--dataset", "d", "-o", "x") == 2
    assert "LABEL=DIRECTORY" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "--suite held-out needs --dataset"),
        (["--suite", "superni"], "--suite superni needs --tasks"),
        (["--dataset", "d", "--tasks", "t"], "--tasks is for --suite superni, which is not asked for"),
        (["--suite", "superni", "--tasks", "t", "--instructions", "i"], "--instructions is for --suite user-252"),
        (["--suite", "superni", "--tasks", "nowhere"], "There is no folder of task files nowhere"),
        (["--suite", "user-252", "--instructions", "nowhere"], "The instructions nowhere cannot be read"),
        (["--suite", "mmlu"], "'mmlu' is not one of"),
    ],
)
def test_a_suite_has_its_place(
    given: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(tmp_path, "export", {})
    assert typed(monkeypatch, "evaluate", f"m={tmp_path}", "-o", "x", *given) == 2
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_secrets_may_be_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trainer.loop_commands.SECRETS", tmp_path)
    (tmp_path / "redis_url").write_text(f"unix://{tmp_path}/of-the-file.sock\n")
    typed(monkeypatch, "models", "--models", str(tmp_path / "models"))
    assert "of-the-file.sock" in capfd.readouterr().err
    typed(monkeypatch, "models", "--models", str(tmp_path / "models"), "--redis-url", f"unix://{tmp_path}/given.sock")
    assert "given.sock" in capfd.readouterr().err
