"""Keys that arrive as terminals send them: at once, ahead, in parts, and with nobody there any more."""

import os
import pty
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from trainer.terminal import keys_of


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """The keyboard's end and the program's."""
    keyboard, program = pty.openpty()
    yield keyboard, program
    for end in (keyboard, program):
        with suppress(OSError):  # a test has closed it
            os.close(end)


def pressed(ends: tuple[int, int], *parts: bytes, rest_seconds: float = 0.01) -> str:
    """What the program reads of these parts, up to the key q."""
    keyboard, program = ends

    def press() -> None:
        for part in parts:
            os.write(keyboard, part)
            time.sleep(rest_seconds)
        os.write(keyboard, b"q")

    with open(program, closefd=False) as terminal, keys_of(terminal) as next_key:
        fingers = threading.Thread(target=press)
        fingers.start()
        keys = ""
        while (key := next_key()) != "q":
            keys += key
        fingers.join()
    return keys


@pytest.mark.parametrize(
    ("parts", "keys"),
    [
        ((b"ab", b"c"), "abc"),
        ((b"a\x1b[Db",), "ab"),  # the arrow to the left
        ((b"a", b"\x1b", b"[D", b"b"), "ab"),
        ((b"\x1b[", b"1;5", b"D", b"\x1bO", b"D", b"c"), "c"),
    ],
)
def test_an_arrow_is_no_letter_in_however_many_parts_it_arrives(
    ends: tuple[int, int], parts: tuple[bytes, ...], keys: str
) -> None:
    assert pressed(ends, *parts) == keys


def test_after_the_key_escape_a_letter_counts(ends: tuple[int, int]) -> None:
    assert pressed(ends, b"\x1b", b"d", rest_seconds=0.2) == "d"


@pytest.mark.parametrize("last", [b"\x04", b"\x1b"])
def test_where_nobody_is_left_the_end_is_told(ends: tuple[int, int], last: bytes) -> None:
    keyboard, program = ends
    with open(program, closefd=False) as terminal, keys_of(terminal) as next_key:
        os.write(keyboard, last)
        if last != b"\x04":
            os.close(keyboard)
        with pytest.raises(EOFError):
            next_key()
