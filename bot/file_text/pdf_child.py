"""Reads a PDF on its standard input and writes what it says, a JSON object a line. Run as a script by pdf.py.

It stands alone: nothing of Dolly is imported, for a hostile PDF is all that it ever meets. The first line says how many
pages there are ({"pages": 12}) or that a password is needed ({"locked": true}); each further line is a page
({"text": "…"}). Where a bound is met, the lines end.
"""

import contextlib
import io
import json
import os
import re
import resource
import sys

MEMORY_BYTES = 512 * 1024 * 1024
CPU_SECONDS = 120
PAGES = 1_000
CHARACTERS = 1_000_000
RECURSION = 2_000

UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""Control characters but tab and newline, and halves of surrogate pairs, which fonts without a proper table give."""


def bound() -> None:
    """No more memory and time than a document needs, no files written, no connections, no other programs."""
    sys.setrecursionlimit(RECURSION)
    for limit, most in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):  # macOS does not bound memory so
            resource.setrlimit(limit, (most, most))

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event.startswith(("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system")):
            raise PermissionError(f"reading a PDF needs no {event}")

    sys.addaudithook(refuse)


def say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def read(content: bytes) -> None:
    # Imported here, when all bounds are set.
    from pypdf import PasswordType, PdfReader

    reader = PdfReader(io.BytesIO(content))
    # Many PDFs that anybody may open are encrypted with an empty password.
    if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
        say({"locked": True})
        return
    say({"pages": len(reader.pages)})
    left = CHARACTERS
    for number in range(min(len(reader.pages), PAGES)):
        try:
            text = UNWANTED.sub("", reader.pages[number].extract_text())
        except MemoryError:
            raise
        except Exception:
            text = ""  # one page that is broken is no reason to leave out the others
        left -= len(text)
        if left < 0:
            return
        say({"text": text})


if __name__ == "__main__":
    bound()
    # What went wrong is plain from what is not written; a traceback would quote the document.
    with contextlib.suppress(Exception):
        read(sys.stdin.buffer.read())
