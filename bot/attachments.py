"""Files that people attach to what they say: what is needed to fetch one, what it says, how a model reads it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

SUMMARISE = "Summarise what is attached, in the language that it is written in."
"""What is asked where somebody attaches a file and writes nothing."""

PAGE_BREAK = "\f"
"""Stands between the pages of a text that has some."""

Fault = Literal[
    "kind", "encoding", "empty", "too_large", "locked", "scanned", "broken", "slow", "refused", "elsewhere", "gone"
]
"""Why a file was not read. bot.slack.asking.attachments has a sentence for each."""


class Unreadable(Exception):
    """A file that cannot be read."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that hangs on a message in Slack."""

    id: str
    name: str
    filetype: str
    """Slack's own name for what it is, such as `python` or `pdf`; "" where it does not say."""
    size_bytes: int
    """What Slack says; 0 where it does not."""
    url: str
    """Where it is, for whoever has the token; "" where files.info must be asked (Slack Connect)."""


@dataclass(frozen=True, slots=True)
class Attached:
    """What a file says, as far as it was read and is kept; nothing where it could not be read."""

    id: str
    name: str
    text: str = ""
    characters: int = 0
    """How many were read, of which `text` may be the first."""
    pages: int = 0
    """How many the file has, of which `text` may have the first; 0 for what has no pages."""
    unread: str = ""
    """What its owner is told where it could not be read."""

    @property
    def percent(self) -> int:
        """How much of the file `text` is, counted in pages where it has some."""
        whole, part = self.characters, len(self.text)
        if self.pages > 1:
            whole, part = self.pages, self.text.count(PAGE_BREAK) + 1
        return max(100 * part // max(whole, 1), 1)

    @property
    def extent(self) -> str:
        """Which part of the file `text` is; "" where it is all of it."""
        pages = self.text.count(PAGE_BREAK) + 1
        if self.pages > pages > 1:
            return f"the first {pages} of {self.pages} pages"
        if len(self.text) < self.characters:
            return f"the first {len(self.text)} of {self.characters} characters"
        return f"the first of {self.pages} pages" if self.pages > pages else ""

    @property
    def block(self) -> str:
        """As a model reads it: its name and its text, in a fence that is longer than any in the text."""
        if not self.text:
            reason = "there is no room for it here" if self.characters else "it could not be read"
            return f"Attached file {self.name}: {reason}."
        longest = max((len(run) for run in re.findall("`{3,}", self.text)), default=2)
        fence = "`" * (longest + 1)
        text = self.text
        if self.pages > 1:
            text = "\n".join(f"[page {n}]\n{page}" for n, page in enumerate(text.split(PAGE_BREAK), start=1))
        part = f" (cut: {self.extent})" if self.extent else ""
        return f"Attached file {self.name}{part}:\n{fence}\n{text}\n{fence}"


def cut(attached: Sequence[Attached], characters: int) -> tuple[Attached, ...]:
    """So much of the beginnings of `attached` as has `characters` together: the short ones whole, if they can be."""
    left, shortened = characters, dict[int, Attached]()
    by_length = sorted(range(len(attached)), key=lambda index: len(attached[index].text))
    for others, index in zip(range(len(attached) - 1, -1, -1), by_length, strict=True):
        shortened[index] = _shortened(attached[index], left // (others + 1))
        left -= len(shortened[index].text)
    return tuple(shortened[index] for index in range(len(attached)))


def _shortened(attached: Attached, characters: int) -> Attached:
    """Cut at the end of a page, else of a line, where there is one in the last half."""
    if len(attached.text) <= characters:
        return attached
    text = attached.text[: max(characters, 0)]
    for end in (PAGE_BREAK, "\n"):
        if (place := text.rfind(end)) > len(text) // 2:
            return replace(attached, text=text[:place])
    return replace(attached, text=text)
