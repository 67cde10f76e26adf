"""What Dolly shows, searched for what nobody may ever see in it. Pure."""

import html
import re
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from bot.local.workspace.page.rendering.markdown import to_html
from bot.local.workspace.page.rendering.names import Names

LEAK = "leak-model"
"""In each host that the scripted model writes; people never write it."""

HOST = rf"{LEAK}(?:-2)?\.(?:com|io|net)(?![\w-])"
LIVE = re.compile(rf"(?i)(?<![\w-])(?:x\.)?{HOST}")
LIVE_IN_CODE = re.compile(rf"(?i)https?://[\w.-]*{HOST}")
"""In code Slack makes links of whole addresses only."""
REFERENCE = re.compile(r"<([@!#][^<>\s]{0,80})>?")
DATE = re.compile(r"!date\^\d+\^")
BROADCAST = re.compile(r"(?i)@(?:here|channel|everyone)\b")
INSIDES = re.compile(r"Traceback \(most|\b\w+(?:Error|Exception)\(|File \"/|\.py\", line|/site-packages/")
UNSEEN = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2061-\u206f\ufeff\x00-\x08]")
PINGING = {"broadcast", "user", "usergroup"}
"""Elements of rich_text that call people."""


def faults_of_text(text: str, *, own_ids: frozenset[str] | None, is_answer: bool = False) -> Iterator[str]:
    """Sentences about a text that Slack renders. `own_ids` are those that Dolly may name itself; None stands for all,
    where nobody is called by it: in what one person sees alone.

    An answer is Markdown that a model wrote: what it says is searched as it is read, too.
    """
    for match in REFERENCE.finditer(text):
        is_name = match[1][0] != "!" and (own_ids is None or match[1].split("|")[0][1:] in own_ids)
        if not is_name and not DATE.match(match[1]):
            yield f"forbidden: {match[0]}"
    if INSIDES.search(text):
        yield f"traceback: {INSIDES.findall(text)[:3]}"
    read = [(html.unescape(text), True)]
    if is_answer and len(text) < 60_000:
        read += _read(text)
    for piece, is_code in read:
        plain = UNSEEN.sub("", unicodedata.normalize("NFKC", piece))
        live = (LIVE_IN_CODE if is_code else LIVE).findall(plain)
        if live:
            yield f"forbidden: the live address {live[:3]}"
        if is_answer and not is_code and BROADCAST.search(plain):
            yield f"forbidden: {BROADCAST.findall(plain)[:3]}"


def faults_of(shown: Any, *, own_ids: frozenset[str] | None, is_answer: bool = False) -> Iterator[str]:
    """Sentences about a message, a view, or a part of one, as it stands in Slack."""
    if isinstance(shown, list):
        for part in shown:
            yield from faults_of(part, own_ids=own_ids, is_answer=is_answer)
    elif isinstance(shown, dict):
        kind = shown.get("type")
        if kind in PINGING and (own_ids is None or shown.get("user_id") not in own_ids):
            yield f"forbidden: an element of type {kind}"
        for name, part in shown.items():
            if not isinstance(part, str):
                yield from faults_of(part, own_ids=own_ids, is_answer=is_answer)
            elif name in ("text", "title", "fallback") and kind != "plain_text":
                yield from faults_of_text(part, own_ids=own_ids, is_answer=is_answer)
            elif INSIDES.search(part):
                yield f"traceback: {INSIDES.findall(part)[:3]}"


class _Reader(HTMLParser):
    """The pieces of text of a rendered message, and the addresses of its links."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[tuple[str, bool]] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in ("code", "pre")
        self.pieces += [(value, True) for name, value in attrs if name == "href" and value]

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("code", "pre")

    def handle_data(self, data: str) -> None:
        self.pieces.append((data, self._code > 0))


def _read(text: str) -> list[tuple[str, bool]]:
    reader = _Reader()
    reader.feed(to_html(text, Names()))
    return reader.pieces
