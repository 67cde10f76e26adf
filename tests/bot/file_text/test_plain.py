"""Text in the encodings that people use; and what only looks like text."""

import os
import random
import threading
import zlib

import pytest

from bot import file_text
from bot.attachments import Attachment, Unreadable
from bot.file_text.plain import read_plain

TEXT = "Grüße, naïve café: 100 €\nzweite Zeile"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        "\ufeff".encode("utf-16-be") + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.encode("cp1252"),
        TEXT.replace("\n", "\r\n").encode(),
    ],
    ids=["utf-8", "bom", "utf-16", "utf-16-be bom", "utf-16-le bare", "utf-16-be bare", "utf-32", "cp1252", "crlf"],
)
def test_text_is_read_in_any_usual_encoding(content: bytes) -> None:
    assert read_plain(content) == TEXT


def test_other_scripts_are_read_in_utf_8() -> None:
    assert read_plain("नमस्ते दुनिया 🎉".encode()) == "नमस्ते दुनिया 🎉"


def test_what_lays_out_a_log_stays_and_stray_controls_go() -> None:
    assert (
        read_plain(b"\x1b[31mred\x1b[0m\tand\x08 so on" + b"." * 500) == "\x1b[31mred\x1b[0m\tand\x08 so on" + "." * 500
    )
    assert read_plain(b"a\x01b" + b"." * 500) == "ab" + "." * 500


def test_page_breaks_of_a_text_are_none_of_a_pdf() -> None:
    assert read_plain(b"one\x0ctwo") == "one\ntwo"


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)),
        b"\x7fELF\x02\x01\x01" + b"\0" * 200,
        b"PK\x03\x04\x14\0\x06\0" + bytes(range(256)),
        zlib.compress(b"text " * 10_000 + os.urandom(3000)),
        b"a text, and then\0\0\0\0 zeros",
        b"\xff\xfe" + b"\xd8\x00" * 20 + b"\x00",
    ],
    ids=["png", "elf", "zip", "zlib", "zeros", "false bom"],
)
def test_binary_is_refused_whatever_it_is_called(content: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        read_plain(content)
    assert refused.value.fault in ("kind", "encoding")


def test_random_bytes_are_never_text() -> None:
    chance = random.Random(7)
    for _ in range(200):
        with pytest.raises(Unreadable):
            read_plain(chance.randbytes(400))


def test_another_eastern_encoding_is_not_shown_as_garbage() -> None:
    with pytest.raises(Unreadable) as refused:
        read_plain("Это просто текст на русском языке, и довольно длинный".encode("cp1251"))
    assert refused.value.fault == "encoding"


async def test_long_texts_are_read_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def read(content: bytes) -> str:
        threads.append(threading.get_ident())
        return read_plain(content)

    monkeypatch.setattr(file_text, "read_plain", read)
    found = await file_text.read_text(Attachment("F1", "notes.txt", "text", 5, ""), b"Hello", seconds=1)
    assert found.text == "Hello"
    assert threads != [threading.get_ident()]
