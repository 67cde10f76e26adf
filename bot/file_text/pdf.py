"""The text of a PDF, by a child process with bounds: a hostile one may loop, or swell in memory."""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

from bot.attachments import PAGE_BREAK, Fault, Unreadable

CHILD = Path(__file__).with_name("pdf_child.py")
OUTPUT_BYTES = 16_000_000
"""Twice what the child may write; it escapes what is not ASCII."""


async def read_pdf(content: bytes, *, seconds: float) -> tuple[str, int]:
    """The text of the first pages (PAGE_BREAK between them), and how many pages there are.

    What was read within `seconds` counts; the rest of the pages is left out. Raises Unreadable.
    """
    # -I and no environment: the child learns nothing of Dolly, and finds its library beside the interpreter. It is
    # given a home, or Python would ask the system for the user's.
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-B", str(CHILD)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"HOME": os.devnull},
    )
    written, is_late = bytearray(), False
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(_feed(child, content), _collect(child, written))
    except TimeoutError:
        is_late = True
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        # The rest is read: where reading pauses, asyncio never learns that the pipe was closed, and waits for ever.
        await _drain(child)
        await child.wait()
    return _understood(bytes(written), "slow" if is_late else "broken")


async def _feed(child: asyncio.subprocess.Process, content: bytes) -> None:
    assert child.stdin is not None
    with contextlib.suppress(ConnectionError):  # a child that dies early is known by what it wrote
        child.stdin.write(content)
        await child.stdin.drain()
    child.stdin.close()


async def _collect(child: asyncio.subprocess.Process, written: bytearray) -> None:
    assert child.stdout is not None
    while (piece := await child.stdout.read(65_536)) and len(written) < OUTPUT_BYTES:
        written += piece


async def _drain(child: asyncio.subprocess.Process) -> None:
    assert child.stdout is not None
    while await child.stdout.read(65_536):
        pass


def _understood(written: bytes, otherwise: Fault) -> tuple[str, int]:
    """What the child wrote: how many pages there are, then a page a line; the last line may be broken off."""
    texts: list[str] = []
    pages = 0
    for line in written.split(b"\n")[:-1]:
        said = json.loads(line)
        if "locked" in said:
            raise Unreadable("locked")
        pages = said.get("pages", pages)
        if "text" in said:
            texts.append(said["text"])
    if not texts:
        raise Unreadable(otherwise)
    if not any(text.strip() for text in texts):
        raise Unreadable("scanned")
    return PAGE_BREAK.join(texts), pages
