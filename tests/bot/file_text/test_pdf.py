"""PDFs, read by a bounded child: honest ones, broken ones, hostile ones."""

import asyncio
import io
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter

from bot.attachments import Attached, Attachment, Unreadable
from bot.file_text import pdf_child, read_text
from tests.pdfs import pdf, pdf_of
from tests.processes import children_of

SECONDS = 20.0


@pytest.fixture
def children() -> Callable[[], set[int]]:
    """The processes that this one has started during the test and that run."""
    before = children_of(os.getpid())  # servers that other tests have started
    return lambda: children_of(os.getpid()) - before


async def read(content: bytes, *, name: str = "report.pdf", seconds: float = SECONDS) -> Attached:
    return await read_text(Attachment("F1", name, name.rpartition(".")[2], len(content), ""), content, seconds=seconds)


async def fault(content: bytes, *, seconds: float = SECONDS) -> str:
    with pytest.raises(Unreadable) as refused:
        await read(content, seconds=seconds)
    return refused.value.fault


def encrypted(content: bytes, password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(content)))
    writer.encrypt(password, "the owner's", algorithm="AES-256")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


async def test_the_pages_are_read_in_order() -> None:
    found = await read(pdf("The first page", "The second page"))
    assert found == Attached("F1", "report.pdf", "The first page\fThe second page", 30, 2)


async def test_content_and_not_the_name_says_that_it_is_a_pdf() -> None:
    assert (await read(b"\n\n" + pdf("Hello"), name="hello.txt")).text == "Hello"
    assert await fault(b"This is no PDF") == "broken"


async def test_a_pdf_that_anybody_may_open_is_read_though_it_is_encrypted() -> None:
    assert (await read(encrypted(pdf("Hello"), ""))).text == "Hello"


async def test_a_password_is_asked_for() -> None:
    assert await fault(encrypted(pdf("Hello"), "secret")) == "locked"


async def test_pictures_of_pages_hold_no_text() -> None:
    assert await fault(pdf_of([b"<< /Length 12 >>\nstream\n0 0 9 9 re f\nendstream"])) == "scanned"


async def test_a_damaged_pdf_is_said_to_be_damaged() -> None:
    assert await fault(b"%PDF-1.7\n" + b"nonsense " * 100) == "broken"
    assert await fault(pdf("Hello")[:120]) == "broken"


async def test_no_more_pages_are_read_than_allowed() -> None:
    found = await read(pdf(*(f"p{number}" for number in range(pdf_child.PAGES + 5))))
    assert found.pages == pdf_child.PAGES + 5
    assert found.text.count("\f") + 1 == pdf_child.PAGES
    assert found.extent == "the first 1000 of 1005 pages"


async def test_a_bomb_bursts_in_the_child_alone() -> None:
    bomb = zlib.compress(zlib.compress(b"\0" * 150_000_000, 9), 9)
    stream = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n%s\nendstream" % (len(bomb), bomb)
    assert await fault(pdf_of([stream])) in ("broken", "scanned")


async def test_a_page_that_takes_for_ever_is_left_out(children: Callable[[], set[int]]) -> None:
    content = zlib.compress(b"BT /F1 9 Tf (x) Tj ET " * 2_000_000, 9)
    endless = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(content), content)
    good = b"<< /Length 44 >>\nstream\nBT /F1 12 Tf 72 720 Td (Good page) Tj ET\nendstream"
    hostile = pdf_of([good, endless])
    assert len(hostile) < 200_000
    start = time.monotonic()
    found = await read(hostile, seconds=3)
    assert (found.text, found.pages, found.extent) == ("Good page", 2, "the first of 2 pages")
    assert time.monotonic() - start < 6
    assert not children()


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ('print(\'{"pages": 3}\\n{"text": "one"}\', flush=True)\nwhile True: pass', "one"),
        ("while True: pass", "slow"),
        ('print(\'{"pages": 1}\')\nwhile True: print(\'{"text": "\' + "x" * 1_000_000 + \'"}\')', "x" * 1_000_000),
        ("raise SystemExit(9)", "broken"),
    ],
    ids=["loops on a page", "loops at once", "writes without end", "dies"],
)
async def test_a_child_that_loops_is_ended(
    says: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Callable[[], set[int]]
) -> None:
    child = tmp_path / "child.py"
    child.write_text(f"import sys\nsys.stdin.buffer.read()\n{says}\n", encoding="utf-8")
    monkeypatch.setattr("bot.file_text.pdf.CHILD", child)
    if expected in ("slow", "broken"):
        assert await fault(pdf("Hello"), seconds=1) == expected
    else:
        assert (await read(pdf("Hello"), seconds=1)).text.split("\f")[0] == expected
    assert not children()


async def test_the_child_sees_no_secret_and_opens_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    child = tmp_path / "child.py"
    child.write_text(
        f"import runpy, sys, os, json, socket\n"
        f"bound = runpy.run_path({str(pdf_child.__file__)!r})['bound']\n"
        "bound()\n"
        "found = [str(dict(os.environ))]\n"
        "for act in (lambda: socket.create_connection(('127.0.0.1', 9)), lambda: os.system('true'),\n"
        "            lambda: open('/tmp/x-written', 'w')):\n"
        "    try:\n"
        "        act()\n"
        "    except PermissionError:\n"
        "        found.append('refused')\n"
        "print(json.dumps({'pages': 1}))\n"
        "print(json.dumps({'text': ' '.join(found)}))\n",
        encoding="utf-8",
    )
    monkeypatch.setattr("bot.file_text.pdf.CHILD", child)
    found = (await read(pdf("Hello"))).text
    assert "xoxb" not in found
    assert found.endswith("refused refused refused")


async def test_whoever_gives_up_leaves_no_child_behind(children: Callable[[], set[int]]) -> None:
    reading = asyncio.create_task(read(pdf(*["page"] * 900)))
    async with asyncio.timeout(10):
        while not children():
            await asyncio.sleep(0.005)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert not children()
