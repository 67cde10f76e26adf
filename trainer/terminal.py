"""A terminal: what it may show of what people and models wrote, and keys that need no Enter."""

import os
import re
import termios
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from select import select
from typing import TextIO

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)?")
"""What a key sends that stands for no character: Escape, or the arrow to the left, ESC [ D (ECMA-48)."""
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_REST_SECONDS = 0.05
"""So long is waited for the rest of a sequence, which a slow line may bring in parts; then it was the key Escape."""
_READ_BYTES = 256


def plain(text: str) -> str:
    """Without what would move the cursor or change the terminal's colours; lines and tabs stay."""
    return _CONTROLS.sub("", text)


@contextmanager
def keys_of(terminal: TextIO) -> Iterator[Callable[[], str]]:
    """Yields what waits for the next key and returns its character; keys pressed ahead are kept.

    Keys that send a sequence are left out: the D in that of an arrow is no D that was pressed. EOFError means Ctrl-D,
    or that the terminal is gone; Ctrl-C is KeyboardInterrupt as ever.
    """
    handle = terminal.fileno()
    before = termios.tcgetattr(handle)
    waiting: deque[str] = deque()

    def next_key() -> str:
        while not waiting:
            pressed = _read(handle)
            if pressed in (b"", b"\x04"):
                raise EOFError
            waiting.extend(_SEQUENCE.sub(b"", pressed).decode(errors="replace"))
        return waiting.popleft()

    try:
        tty.setcbreak(handle)
        yield next_key
    finally:
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(handle, termios.TCSADRAIN, before)


def _read(handle: int) -> bytes:
    """What was pressed, sequences whole; nothing where the terminal is gone."""
    try:
        pressed = os.read(handle, _READ_BYTES)
        while _UNFINISHED.search(pressed) and select([handle], [], [], _REST_SECONDS)[0]:
            if not (rest := os.read(handle, _READ_BYTES)):
                break
            pressed += rest
    except OSError:
        return b""
    return pressed
