"""Text and code: which encoding it is in, and whether it is text at all."""

import codecs
import re

from bot.attachments import PAGE_BREAK, Unreadable

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
CONTROLS = re.compile(r"[\x00-\x07\x0b\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
"""What no text has: all control characters but those that lay it out, and the escape of coloured logs."""
CONTROLS_SHARE = 0.005
FOREIGN_SHARE = 0.3
"""So many characters beyond ASCII in what is read as Windows' Western encoding mean that it is in another one."""
ZEROS_SHARE = 0.2
"""So many zeros in every second byte, and next to none in the others, make UTF-16."""


def read_plain(content: bytes) -> str:
    """The text of a file: UTF-8, UTF-16, UTF-32, or Windows-1252 (Latin-1). Raises Unreadable where it is none."""
    text = _decoded(content)
    if len(CONTROLS.findall(text)) > CONTROLS_SHARE * len(text):
        raise Unreadable("kind")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace(PAGE_BREAK, "\n")
    return CONTROLS.sub("", text)


def _decoded(content: bytes) -> str:
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _strictly(content[len(mark) :], encoding)
    if b"\0" in content:
        return _strictly(content, _utf_16_by_its_zeros(content))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        text = _strictly(content, "cp1252")
    if sum(character > "\x7f" for character in text) > FOREIGN_SHARE * len(text):
        raise Unreadable("encoding")
    return text


def _strictly(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise Unreadable("kind") from None


def _utf_16_by_its_zeros(content: bytes) -> str:
    first, second = content[0::2].count(0), content[1::2].count(0)
    half = len(content) / 2
    if second > ZEROS_SHARE * half and first < second / 100:
        return "utf-16-le"
    if first > ZEROS_SHARE * half and second < first / 100:
        return "utf-16-be"
    raise Unreadable("kind")
