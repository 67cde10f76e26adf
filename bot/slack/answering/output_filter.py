"""What a model may not make Slack render, taken out while it writes.

Between the model's text and Slack: links are shown as their label and their address, addresses that may not be links
are broken (addresses.py), characters that show nothing are dropped, and `& < >` are escaped, so that no mention, no
broadcast and no link of Slack's own comes through. Code keeps its letters, but for addresses and escapes.

The text is judged line by line, and a line from left to right. What is shown of an unfinished text is always a
beginning of what will be shown of the whole: an end that may yet become something else is held back.
"""

import html
import re
from collections.abc import Collection, Iterable
from itertools import pairwise

from bot import metrics
from bot.slack.answering import addresses, markdown
from bot.slack.answering.addresses import Addresses

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
JOINERS = re.compile("(?<![^\x00-\x7f])[\u200c\u200d]+")
"""Hindi and Persian need them, and emoji; between ASCII letters they only hide an address."""
QUOTE = re.compile(r"(?:[ \t]*(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t])))*")
"""At the start of a line: the marks of quotes, also in lists."""
BLOCK_MARKS = re.compile(r"[ \t\d`~\-+*#>=_|.)]*")
"""At the start of a line: what blocks are made of."""
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
CONTROL = re.compile(r"<[@!#]")
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

WAITING_SHARE = 8
TEXT_SHARE = 64
"""Of what waits to be decided, and of the text: by so much it grows before it is judged anew."""

Piece = tuple[str, bool]
"""Text, and whether Markdown takes it literally."""


class OutputFilter:
    """One answer's text on its way from the model to Slack."""

    def __init__(self, link_hosts: Collection[str] = ()) -> None:
        self._addresses = Addresses(link_hosts)
        self._text = ""
        self._lines: list[str] = []
        """What is shown of the lines that are complete."""
        self._is_code_sure = True
        """Whether backticks mean in the next line what they mean in it alone."""
        self._hits = 0
        self._shown = ""
        self._grown_at = 0
        """How long the text was when more of it was last shown."""
        self._judged_from = 0
        """How long it has to be to be judged again."""

    def hear(self, texts: Iterable[str]) -> None:
        """Addresses in `texts`, plain text that people wrote, may stay links. To be called before `write`."""
        self._addresses.hear(texts)

    def write(self, delta: str) -> None:
        """Add a piece of the model's text."""
        self._text += delta

    @property
    def so_far(self) -> str:
        """What may be shown now: a beginning of what `whole` will be.

        Where the last look at the text brought nothing, the next is taken when enough has come: each costs as much as
        the text is long.
        """
        length = len(self._text)
        if length >= self._judged_from:
            shown = max(self._shown, self._judged(is_whole=False), key=len)  # each is a beginning of the whole
            if shown[len(self._shown) :].strip():
                self._grown_at = length
            self._shown = shown
            waiting = length - self._grown_at
            self._judged_from = length + 1 + (max(waiting // WAITING_SHARE, length // TEXT_SHARE) if waiting else 0)
        return self._shown

    def whole(self) -> str:
        """What is shown of the text when nothing follows it. Counts what was broken."""
        shown = self._judged(is_whole=True)
        metrics.filter_hits.inc(self._hits)
        return shown

    def _judged(self, *, is_whole: bool) -> str:
        """The lines that are complete are judged once; what code they are in depends on those before them only."""
        text = _visible(self._text).lstrip()  # what is shown begins with a word: no indent makes code of its first line
        lines = text.split("\n")
        code, openers = markdown.code_lines(text)
        for number in range(len(self._lines), len(lines) - 1):
            line, hits, is_code_sure = self._line(lines[number], is_code=number in code, is_whole=True)
            self._lines.append(line)
            self._hits += hits
            self._is_code_sure = is_code_sure or number in code or not line.strip()
        last = len(lines) - 1
        if last in openers and not is_whole:  # it may still turn out to be code within its line
            lines[last] = re.split("[`~]", lines[last])[0]
        line, hits, _ = self._line(lines[last], is_code=last in code, is_whole=is_whole)
        if is_whole:
            self._hits += hits
        return "".join(f"{line}\n" for line in self._lines) + line

    def _line(self, line: str, *, is_code: bool, is_whole: bool) -> tuple[str, int, bool]:
        """One line as it is shown, as far as it is decided; how much in it was broken; and whether backticks below it
        mean what they mean alone."""
        pieces, is_code_sure = [(line, True)], True
        if not is_code:
            pieces, is_code_sure = _surely(_pieces(line, is_whole=is_whole), is_code_sure=self._is_code_sure)
        text = "".join(piece for piece, _ in pieces)
        literal = b"".join((b"\1" if flag else b"\0") * len(piece) for piece, flag in pieces)
        instead, hits = self._addresses.replacements(text, literal)
        end = len(text) if is_whole else addresses.undecided_from(text, literal)
        quote = QUOTE.match(text)
        marks = quote.end() if quote else 0
        new_mark = _new_mark(line, text)
        kept = [index for index in range(end) if instead.get(index) != ""]
        shown = []
        for index, following in pairwise([*kept, end]):
            sign = text[index]
            part = instead.get(index)
            if part is None:
                part = sign if sign == ">" and index < marks else ESCAPES.get(sign, sign)
            if index == new_mark:
                part = addresses.WORD_JOINER + part
            if part.endswith("]") and text[following : following + 1] in ("(", ":") and not literal[index]:
                part += " "  # with it, this is no link, and no definition of one
            shown.append(part)
        return "".join(shown), hits + len(CONTROL.findall(text)), is_code_sure


def _visible(text: str) -> str:
    """Without the characters that show nothing."""
    text = text.replace("\u2028", "\n").replace("\u2029", "\n")
    return JOINERS.sub("", UNSEEN.sub("", text))


def _pieces(line: str, *, is_whole: bool) -> list[Piece]:
    """A line of Markdown with the label and the address of each link side by side, as far as it is decided."""
    spans = markdown.spans(line)
    end = len(line) if is_whole else markdown.undecided_from(line, spans)
    pieces: list[Piece] = []
    position = 0
    for span in spans:
        if span.end > end:
            break
        pieces.append((_plain(line[position : span.start]), False))
        if (
            span.kind == "code" and "|" in line[span.start : span.end]
        ):  # a table's cells end there, and so does the code in them
            pieces.append((_plain(line[span.start : span.end]), False))
        elif span.kind == "code":
            pieces.append((line[span.start : span.end], True))
        else:
            pieces += _beside(_pieces(span.label, is_whole=True), _plain(span.url).replace(" ", "%20"))
        position = span.end
    return [*pieces, (_plain(line[position:end]), False)]


def _surely(pieces: list[Piece], *, is_code_sure: bool) -> tuple[list[Piece], bool]:
    """The pieces, of which none is literal after a backtick that stands alone: it turns round what is code."""
    sure = []
    for text, is_literal in pieces:
        sure.append((text, is_literal and is_code_sure))
        is_code_sure &= is_literal or "`" not in text
    return sure, is_code_sure


def _new_mark(line: str, text: str) -> int | None:
    """Where in `text`, which shows `line`, begins what a reader would take for a mark of a block that `line` is not."""
    marks = BLOCK_MARKS.match(text)
    end = marks.end() if marks else 0
    return next((index for index in range(end) if text[index] != line[index : index + 1]), None)


def _beside(label: list[Piece], url: str) -> list[Piece]:
    shown = "".join(text for text, _ in label).strip()
    if not url or shown == url or f"mailto:{shown}" == url:
        return label
    return [*label, (f" ({url})", False)] if shown else [(url, False)]


def _plain(text: str) -> str:
    """Text with Markdown's entities as the characters that they stand for, however often they are wrapped."""
    for _ in range(8):
        plain = ENTITY.sub(lambda match: re.sub(r"\s", " ", html.unescape(match[0])), text)
        if plain == text:
            break
        text = plain
    return _visible(text)
