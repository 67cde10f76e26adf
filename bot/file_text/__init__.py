"""What a file says: text and code in the encodings that people use, and PDFs. Content decides, names only hint."""

import asyncio

from bot.attachments import Attached, Attachment, Unreadable
from bot.file_text.pdf import read_pdf
from bot.file_text.plain import read_plain

PDF_HEAD = b"%PDF-"
PDF_HEAD_BYTES = 1024
"""A PDF may begin with other bytes, so far."""

# fmt: off
NO_TEXT = frozenset((
    "7z", "aac", "avi", "bmp", "canvas", "dmg", "doc", "docx", "epub", "exe", "flv", "gdoc", "gif", "gpres",
    "gsheet", "gz", "gzip", "heic", "heif", "ico", "jar", "jpeg", "jpg", "keynote", "m4a", "m4v", "mkv", "mov",
    "mp3", "mp4", "mpg", "numbers", "odp", "ods", "odt", "ogg", "otf", "pages", "png", "ppt", "pptx", "psd", "quip",
    "rar", "sketch", "space", "tar", "tiff", "ttf", "wav", "webm", "webp", "wmv", "xls", "xlsx", "zip",
))
# fmt: on
"""Slack's names for kinds that hold no plain text: such files are not even fetched."""


def may_be_read(attachment: Attachment) -> bool:
    """Whether a file is worth fetching."""
    return attachment.filetype not in NO_TEXT


async def read_text(attachment: Attachment, content: bytes, *, seconds: float) -> Attached:
    """The text of a file. Raises Unreadable."""
    pages = 0
    if PDF_HEAD in content[:PDF_HEAD_BYTES]:
        text, pages = await read_pdf(content, seconds=seconds)
    elif attachment.filetype == "pdf":
        raise Unreadable("broken")
    else:
        text = await asyncio.to_thread(read_plain, content)
    if not text.strip():
        raise Unreadable("scanned" if pages else "empty")
    return Attached(attachment.id, attachment.name, text, len(text), pages)
