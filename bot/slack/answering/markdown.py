"""Markdown, read with markdown-it-py: where a model wrote code and links, and where a message may end. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline, autolink, backtick, image, link

from bot.slack.answering.addresses import WORD_JOINER

MARKDOWN_CHARACTERS = 11_500
"""Slack takes 12,000 in one message; the rest is for a sentence of Dolly's own."""

ESCAPED = re.compile(r"\\.")
TICK = re.compile("`")
TICKS = re.compile("`+")
LONGEST_OPENING = 99
"""Of backticks, tildes and a fence's language: they are written again where a message ends. More are no sure code."""
ANGLE = re.compile(r"<[^<>\x00-\x20]*$")
UNDECIDED = re.compile(r"(?:\\|!|(?<!~)~~?|(?<![&#;\w])[#;\w]*(&[&#;\w]*))\Z")
"""What an end may begin with. An entity is sought from the start of its word, or each sign of it would be tried."""

DEEPEST = 3
"""Brackets in brackets that are read for links; more would be read over and over. Where there are more, none is one."""

_Rule = Callable[[StateInline, bool], bool]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a line that is more than text."""

    kind: Literal["code", "link"]
    start: int
    end: int
    label: str = ""
    """What a link shows, in Markdown."""
    url: str = ""


# --- code and links ---------------------------------------------------------------------------------------------------


def code_lines(text: str) -> tuple[frozenset[int], frozenset[int]]:
    """The numbers of the lines in fences, and of those among them that open one. An indent alone is no sure code."""
    code: set[int] = set()
    openers: set[int] = set()
    for token in _fences.parse(text):
        if token.type == "fence" and token.map and len(token.markup) <= LONGEST_OPENING:
            code.update(range(*token.map))
            openers.add(token.map[0])
    return frozenset(code), frozenset(openers)


def spans(line: str) -> list[Span]:
    """Code, links and images of one line, in order, the outermost of those that are nested."""
    found: list[Span] = []
    _inline.inline.parse(line, _inline, {"line": line, "spans": found}, [])
    return found


def undecided_from(line: str, found: list[Span]) -> int:
    """From where on the end of a line that goes on may still become code or a link. `found` are its spans."""
    marks = [len(line)]
    outside = _outside(line, found)
    for span in found:
        may_end_later = span.end == len(line) if span.kind == "code" else re.search("`|.<", line[span.start : span.end])
        if may_end_later:
            marks.append(span.start)
    unescaped = ESCAPED.sub("  ", outside)
    for pattern, text in ((TICK, unescaped), (ANGLE, outside), (UNDECIDED, outside)):
        match = pattern.search(text)
        marks += [match.start(match.lastindex or 0)] if match else []
    bracket = _undecided_bracket(unescaped, line, min(marks))
    return min([*marks, bracket])


def _outside(line: str, found: list[Span]) -> str:
    """The line with spaces for its spans."""
    parts, position = [], 0
    for span in found:
        parts += [line[position : span.start], " " * (span.end - span.start)]
        position = span.end
    return "".join([*parts, line[position:]])


def _undecided_bracket(literal: str, line: str, until: int) -> int:
    """The first `[` that may yet begin a link: not closed before `until`, or closed and followed by `(` or nothing."""
    open_at: list[int] = []
    undecided: list[int] = []
    for index, sign in enumerate(literal[:until]):
        if sign == "[":
            open_at.append(index)
        elif sign == "]" and open_at:
            opened = open_at.pop()
            if index + 1 >= len(line) or line[index + 1] == "(":
                undecided.append(opened)
    undecided += open_at
    first = min(undecided, default=len(line))
    return first - 1 if literal[:first].endswith("!") else first


def _recorded(rule: _Rule, read: Callable[[StateInline, int, int], Span | None]) -> _Rule:
    """The rule, which also writes down where in the line it applied."""

    def record(state: StateInline, silent: bool) -> bool:
        start, count = state.pos, len(state.tokens)
        found = rule(state, silent)
        if found and not silent and state.linkLevel == 0 and state.src is state.env.get("line"):
            span = read(state, start, count)
            if span is not None:
                state.env["spans"].append(span)
        return found

    return record


def _code(state: StateInline, start: int, count: int) -> Span | None:
    is_code = any(
        token.type == "code_inline" and len(token.markup) <= LONGEST_OPENING for token in state.tokens[count:]
    )
    return Span("code", start, state.pos) if is_code else None


def _link(state: StateInline, start: int, count: int) -> Span:
    opening = next(token for token in state.tokens[count:] if token.type == "link_open")
    end = state.pos
    label_end = state.md.helpers.parseLinkLabel(state, start, True)
    state.pos = end
    return Span("link", start, end, state.src[start + 1 : label_end], str(opening.attrGet("href") or ""))


def _image(state: StateInline, start: int, count: int) -> Span:
    token = state.tokens[-1]
    return Span("link", start, state.pos, token.content, str(token.attrGet("src") or ""))


def _autolink(state: StateInline, start: int, count: int) -> Span | None:
    url, _, label = state.src[start + 1 : state.pos - 1].partition("|")
    return Span("link", start, state.pos, label, url) if ":" in url or not label else None


# --- messages ---------------------------------------------------------------------------------------------------------


def ended(text: str, sentence: str | None = None) -> str:
    """`text` with an open fence closed, and a sentence of its own below it."""
    fence = _open_fence(text)
    if fence is not None:
        text += fence.closing if text.endswith("\n") else f"\n{fence.closing}"
    return f"{text}\n\n{sentence}" if sentence and text else text or sentence or ""


def pieces(text: str) -> list[str]:
    """`text` in parts that Slack takes, one a message: cut between blocks where it can be.

    Code and tables that go on in the next part are closed, and opened there again.
    """
    parts = []
    while len(text) > MARKDOWN_CHARACTERS:
        head, text = _cut(text)
        parts.append(head)
    return [*parts, text] if text else parts


@dataclass(frozen=True, slots=True)
class _Fence:
    opening: str
    before_lines: str
    marker: str

    @property
    def closing(self) -> str:
        return self.before_lines + self.marker


def _cut(text: str) -> tuple[str, str]:
    """What goes into one message, and what is left, with what has to be opened again."""
    window = text[:MARKDOWN_CHARACTERS]
    tokens = _blocks.parse(window)
    lines = window.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    middle = MARKDOWN_CHARACTERS // 2

    def last(numbers: list[int]) -> int:
        return max((starts[number] for number in numbers if starts[number] >= middle), default=0)

    blocks = [token for token in tokens if token.level == 0 and token.map and token.nesting >= 0]
    between = [block.map[0] for before, block in pairwise(blocks) if block.map and before.type != "heading_open"]
    items = [token.map[0] for token in tokens if token.type == "list_item_open" and token.level == 1 and token.map]
    position = last(between) or last(items)
    if position:
        return text[:position], text[position:]
    if (fence := _open_fence(window)) is not None and len(fence.opening + fence.closing) < middle // 2:
        room = MARKDOWN_CHARACTERS - len(fence.closing) - 1
        position = text.rfind("\n", len(fence.opening) + 1, room) + 1
        if position >= middle:
            return text[:position] + fence.closing, f"{fence.opening}\n{text[position:]}"
        position = _outside_of_escape(text, room)
        before = fence.before_lines + (WORD_JOINER if text[position:].lstrip().startswith(fence.marker[0]) else "")
        return f"{text[:position]}\n{fence.closing}", f"{fence.opening}\n{before}{text[position:]}"
    table = blocks[-1] if blocks and blocks[-1].type == "table_open" else None
    if table is not None and table.map:
        head = "\n".join(lines[table.map[0] : table.map[0] + 2]) + "\n"
        position = text.rfind("\n", 0, MARKDOWN_CHARACTERS) + 1
        if position >= middle and len(head) < middle // 2:
            return text[:position], head + text[position:]
    position = _word_end(text, middle, MARKDOWN_CHARACTERS)
    start, ticks = _code_around(text, position)
    if not ticks:
        return text[:position], text[position:]
    if start >= middle:
        return text[:start], text[start:]
    position = _word_end(text, middle, MARKDOWN_CHARACTERS - len(ticks) - 1)
    return f"{text[:position]} {ticks}", f"{ticks} {text[position:]}"


def _code_around(text: str, position: int) -> tuple[int, str]:
    """Where the code begins that stands in a line on both sides of `position`, and its backticks, if there is any."""
    first = text.rfind("\n", 0, position) + 1
    for span in spans(text[first:].partition("\n")[0]):
        if span.kind == "code" and first + span.start < position < first + span.end:
            ticks = TICKS.match(text, first + span.start)
            return first + span.start, ticks[0] if ticks else ""
    return position, ""


def _word_end(text: str, least: int, most: int) -> int:
    """Where a paragraph that is too long is cut: after a sentence, a line or a word, else anywhere but in an escape."""
    for end in (r"[.!?।。！？](?:\s|(?<=[。！？]))", r"\n", r"\s"):
        found = [match.end() for match in re.finditer(end, text[least:most])]
        if found:
            return least + found[-1]
    return _outside_of_escape(text, most)


def _outside_of_escape(text: str, position: int) -> int:
    escape = re.search(r"&[a-z]{0,3}$", text[max(0, position - 4) : position])
    return position - len(escape[0]) if escape else position


def _open_fence(text: str) -> _Fence | None:
    """The fence that is not closed at the end of `text`."""
    fences = [token for token in _blocks.parse(text) if token.type == "fence"]
    if not fences or not fences[-1].map:
        return None
    fence, lines = fences[-1], text.rstrip("\n").split("\n")
    first, stop = fences[-1].map
    if stop < len(lines):
        return None
    last = lines[-1].lstrip(" \t>") if len(lines) - 1 > first else ""
    if len(last.rstrip()) >= len(fence.markup) and set(last.rstrip()) == {fence.markup[0]}:
        return None
    prefix = lines[first][: lines[first].find(fence.markup)]
    quote = "".join(sign for sign in prefix if sign == ">")
    inside = re.sub(r"[^>\s]", " ", prefix)
    info = fence.info if len(fence.info) <= LONGEST_OPENING else ""
    return _Fence(f"{quote}{fence.markup}{info}", inside, fence.markup)


# --- the library ------------------------------------------------------------------------------------------------------


def _block_parser(*, has_tables: bool) -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).disable("reference")
    markdown.core.ruler.enableOnly(["normalize", "block"])
    return markdown.enable("table") if has_tables else markdown


def _inline_parser() -> MarkdownIt:
    """Takes every address for one, and leaves it as it is written: others judge it."""
    markdown = MarkdownIt("commonmark", {"html": False, "maxNesting": DEEPEST})
    markdown.normalizeLink = lambda url: url  # type: ignore[method-assign]
    markdown.validateLink = lambda url: True  # type: ignore[method-assign]
    for name, rule, read in (
        ("backticks", backtick, _code),
        ("link", link, _link),
        ("image", image, _image),
        ("autolink", autolink, _autolink),
    ):
        markdown.inline.ruler.at(name, _recorded(rule, read))
    return markdown


_blocks = _block_parser(has_tables=True)
_fences = _block_parser(has_tables=False)
"""What is shown has no definitions of references, and may not have all tables: other blocks might begin after both."""
_inline = _inline_parser()
