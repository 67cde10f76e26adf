"""Tokens of a data set, coloured by what is learned."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.trainer.tiny import tiny_tokenizer
from trainer.datasets import write_dataset
from trainer.errors import BadInput
from trainer.records import Message, Record
from trainer.stages.show_dataset import LEARNED, coloured, show_dataset
from trainer.template import Encoded

ANSWER = "Rot, gelb und blau \N{GRINNING FACE}."


@pytest.fixture
def built(tmp_path: Path) -> Path:
    messages = (Message("user", "Name three [bold]colours[/]\x1b[31m."), Message("assistant", ANSWER))
    write_dataset(tmp_path / "set", [Record("f:1", messages, "f"), Record("f:2", messages, "f")], [], [], {})
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    return tmp_path


def shown(built: Path, *, template: str = "dolly", split: str = "train", number: int = 1, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=colour, color_system="truecolor" if colour else None)
    show_dataset(built / "set", built / "base", template=template, split=split, number=number, console=console)
    return out.getvalue()


def test_the_answer_and_its_end_key_are_learned(built: Path) -> None:
    text = shown(built)
    assert f"### Response:⏎\n⟦{ANSWER}⏎\n⏎\n### End⟧" in text
    assert "f:1: " in text
    assert "f:2: " not in text
    assert "f:2: " in shown(built, number=5)


def test_nothing_in_a_record_is_obeyed(built: Path) -> None:
    text = shown(built, colour=True)
    assert "\x1b[31m" not in text
    plain = shown(built)
    assert "Name three [bold]colours[/]␛[31m." in plain


def test_colours_say_what_is_learned() -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer("Red").input_ids
    answer = tokenizer(ANSWER).input_ids
    text = coloured(tokenizer, Encoded([*ids, *answer], [False] * len(ids) + [True] * len(answer)))
    assert text.plain == f"Red{ANSWER}"
    learned = [text.plain[span.start : span.end] for span in text.spans if span.style in LEARNED]
    assert "".join(learned) == ANSWER
    assert "\N{GRINNING FACE}" in learned  # of several tokens, and shown as one


@pytest.mark.parametrize(
    ("template", "split", "reason"),
    [
        ("other", "train", "own or dolly, and not other"),
        ("own", "train", "no chat template of its own"),
        ("dolly", "test", "splits train and held_out, and no test"),
        ("dolly", "held_out", "has no records held out"),
    ],
)
def test_what_cannot_be_shown_is_said(built: Path, template: str, split: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        shown(built, template=template, split=split)


def test_a_base_without_a_tokenizer_is_refused(built: Path, tmp_path: Path) -> None:
    for path in (built / "base").iterdir():
        path.unlink()
    with pytest.raises(BadInput, match="has no tokenizer that can be read"):
        shown(built)
    (built / "base").rmdir()
    with pytest.raises(BadInput, match="There is no directory"):
        shown(built)
