"""A talk in the terminal: words come as they are written, a conversation is remembered until it is reset."""

import io
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from tests.trainer.tiny import tiny_model, tiny_tokenizer
from trainer import chat as chat_module
from trainer.artifacts import write_manifest
from trainer.chat import chat
from trainer.errors import EngineFailed
from trainer.evaluation.engine import Sampling
from trainer.evaluation.local_model import LocalModel
from trainer.records import Message
from trainer.stages.export import export
from trainer.tuning.keys import add_keys

QUIET = Console(quiet=True)


class Parrot:
    """Says what it is told to; keeps what it was asked."""

    def __init__(self, *answers: Sequence[str | BaseException]) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Generator[str, None, None]:
        self.asked.append([message.content for message in messages])
        for delta in self.answers.pop(0):
            if isinstance(delta, BaseException):
                raise delta
            yield delta


def talk(monkeypatch: pytest.MonkeyPatch, parrot: Parrot, *typed: str | BaseException) -> str:
    lines = iter(typed)
    console = Console(file=io.StringIO(), width=80)

    def typing(*_: Any, **__: Any) -> str:
        line = next(lines, EOFError())
        if isinstance(line, BaseException):
            raise line
        return line

    @contextmanager
    def opened(model: Path, console: Console) -> Iterator[Parrot]:
        yield parrot

    monkeypatch.setattr(console, "input", typing)
    monkeypatch.setattr(chat_module, "_opened", opened)
    chat(Path("model"), console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_conversation_goes_on_until_it_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    parrot = Parrot(["Hel", "lo."], ["Red."], ["New."])
    said = talk(monkeypatch, parrot, "Hi", "", "A colour?", "/reset", "Again", "/help", "/exit", "never asked")
    assert parrot.asked == [["Hi"], ["Hi", "Hello.", "A colour?"], ["Again"]]
    assert "model: Hello.\n" in said
    assert "A new conversation." in said
    assert said.count("/reset begins") == 2


def test_ctrl_c_stops_an_answer_and_what_was_said_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    parrot = Parrot(["Once upon", KeyboardInterrupt()], ["Yes."])
    said = talk(monkeypatch, parrot, "A story?", "Was that all?", KeyboardInterrupt())
    assert "Once upon (stopped)" in said
    assert parrot.asked[1] == ["A story?", "Once upon", "Was that all?"]


def test_a_full_window_is_told_and_the_question_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    parrot = Parrot([EngineFailed("The conversation is longer than the model's window: begin a new one.")], ["Yes."])
    said = talk(monkeypatch, parrot, "Long", "Short")
    assert "begin a new one" in said
    assert parrot.asked[1] == ["Short"]


def test_a_model_cannot_write_to_the_terminal_but_text(monkeypatch: pytest.MonkeyPatch) -> None:
    said = talk(monkeypatch, Parrot(["[bold]a[/] \x1b[31mred\x07\nb"]), "Hi")
    assert "[bold]a[/] [31mred\nb" in said


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat") / "base"
    model, tokenizer = tiny_model("llama"), tiny_tokenizer()
    add_keys(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_manifest(folder, "base", {"source": "tiny", "licence": "apache-2.0"})
    return folder


def test_words_that_stream_are_those_of_the_whole_answer(base: Path) -> None:
    local = LocalModel.load(base)
    greedy = Sampling(max_new_tokens=24)
    asked = [Message("user", "Name three primary colours.")]
    (whole,) = local.answers([asked], greedy)
    assert whole is not None
    assert "".join(local.stream(asked, greedy)) == whole.text
    with pytest.raises(EngineFailed, match="begin a new one"):
        list(local.stream([Message("user", "word " * 300)], greedy))


def test_a_model_ends_at_each_stop_that_it_names(base: Path, tmp_path: Path) -> None:
    asked, greedy = [Message("user", "Name three primary colours.")], Sampling(max_new_tokens=24)
    local = LocalModel.load(base)
    ids = local.template.encode_prompt(asked)
    third = int(local.model.generate(torch.tensor([ids]), max_new_tokens=3, do_sample=False)[0, -1])
    named = shutil.copytree(base, tmp_path / "base")
    said = json.loads((named / "generation_config.json").read_text())
    (named / "generation_config.json").write_text(json.dumps(said | {"eos_token_id": [0, third]}))
    (ended,) = LocalModel.load(named).answers([asked], greedy)
    assert ended is not None
    assert (ended.finish, ended.tokens) == ("stop", 3)
    assert "".join(LocalModel.load(named).stream(asked, greedy)) == ended.text


@pytest.mark.timeout(240)  # importing torch takes a minute where other tests have the cores
@pytest.mark.parametrize("kind", ["base", "gguf"])
def test_the_command_in_a_terminal(base: Path, tmp_path: Path, kind: str) -> None:
    """A real terminal, a real model: asked, answered, ended by Ctrl-C without a traceback, with exit status 0."""
    model = base if kind == "base" else export(base, tmp_path / "export", gguf=("f16",), console=QUIET)
    screen, terminal = pty.openpty()
    command = [sys.executable, "-m", "trainer", "chat", str(model)]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
    os.close(terminal)
    try:
        _until(screen, "you:")
        os.write(screen, b"Tell me a story.\n")
        shown = _until(screen, "model:")
        shown += shown.partition("model:")[2] if "you:" in shown.partition("model:")[2] else _until(screen, "you:")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(screen)
    assert "Traceback" not in shown


def _until(screen: int, sign: str) -> str:
    shown = ""
    deadline = time.monotonic() + 160
    while sign not in shown:
        ready, _, _ = select.select([screen], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"no {sign} in {shown!r}"
        shown += os.read(screen, 4096).decode(errors="replace")
    return shown
