"""Addresses in a model's text: which of them Slack may make links of, and how the others are shown instead.

A link that a model was talked into carries what it knows to whoever owns the link's host, by a click or by Slack's
preview alone. So an address stays one only if a person wrote exactly it in the conversation, or its host is one that
the admin allows. All others are shown with `[:]` and `[.]` in them: readable, and no link for anybody. Pure.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from linkify_it.tlds import TLDS

TOP_LEVEL = frozenset(name.lower() for name in TLDS)
FILE_ENDINGS = frozenset({"cc", "md", "mov", "pl", "py", "rs", "sh", "so", "zip"})
"""Top-level domains that, in a name of two parts and nothing after it, rather tell of a file."""

RUN = re.compile(r"[^ \t\n]+")
SCHEME = re.compile(
    r"[a-z][a-z0-9+.\-]*:(?=//)"
    r"|(?<![a-z0-9+.\-])(?:callto|facetime|javascript|mailto|sips?|slack|sms|tel|xmpp):(?=\S)",
    re.IGNORECASE,
)
NAME = re.compile(r"[\w@.+\-]+")
PATH = re.compile(r"\.?(?:[/?#\\][^ \t\n]|:\d)")
HTTP = re.compile(r"(https?)://([^/?#@\\]+)(\S*)", re.IGNORECASE)
PLAIN_HTTP = re.compile(r"https?://([a-z0-9.\-]+)(?::\d+)?(?:[/?#][\w\-.~/%?#=&+:@!$]*)?", re.IGNORECASE | re.ASCII)
ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
BROADCAST = re.compile(r"@(?=(?:here|channel|everyone)\b)", re.IGNORECASE)
UNDECIDED = re.compile(r"[\w@.+\-:/?#\\]*$")
"""The end of a text that may become an address, or not."""
CLOSING = {")": "(", "]": "[", "}": "{", ">": "<"}
TRAILING = frozenset(".,;:!?'\"*_~`|<…»”’。，、；：！？」』）】")
WORD_JOINER = "\u2060"
"""Shows nothing, and keeps `@here` from being one."""


@dataclass(frozen=True, slots=True)
class Found:
    """An address in a run of characters."""

    start: int
    end: int
    breaks: tuple[int, ...]
    """The colons and dots that make a link of it."""


class Addresses:
    """Tells addresses that may stay links from those that may not."""

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts if not host.startswith("*."))
        self._parents = tuple(host.lower()[1:] for host in hosts if host.startswith("*."))
        self._heard: set[str] = set()

    def hear(self, texts: Iterable[str]) -> None:
        """Addresses that stand in `texts`, in plain text, may stay links."""
        for text in texts:
            for run in RUN.findall(text):
                for found in _found(run):
                    address = run[found.start : found.end]
                    shorter = re.split(r"[\"'`<>|]", address)[0]
                    self._heard |= {_canonical(_trimmed(address)), _canonical(_trimmed(shorter))}

    def may_stay(self, address: str) -> bool:
        """Whether `address` may be a link as it is written."""
        has_scheme = "://" in address
        if has_scheme and not HTTP.fullmatch(address):
            return False
        if _canonical(address) in self._heard:
            return True
        plain = PLAIN_HTTP.fullmatch(address if has_scheme else f"https://{address}")
        if plain is None or address.count("://") > has_scheme:
            return False
        host = plain[1].lower()
        return host in self._hosts or host.endswith(self._parents)

    def replacements(self, line: str, is_code: bytes) -> tuple[dict[int, str], int]:
        """What stands instead of single characters of `line`, and how many addresses and broadcasts that breaks.

        `is_code` has a byte for each character, 1 where Markdown takes it literally.
        """
        replacements: dict[int, str] = {}
        count = 0
        for match in RUN.finditer(line):
            run, places = _unescaped(match[0], match.start(), is_code)
            is_plain = len(run) == len(match[0])
            for found in _found(run, [bool(is_code[place]) for place in places]):
                if not is_plain:
                    kept = set(places)
                    replacements |= {place: "" for place in range(match.start(), match.end()) if place not in kept}
                if self.may_stay(_trimmed(run[found.start : found.end])):
                    continue
                count += 1
                replacements |= {places[index]: f"[{run[index]}]" for index in found.breaks}
        for match in BROADCAST.finditer(line):
            if not is_code[match.start()]:
                replacements[match.start()] = f"@{WORD_JOINER}"
                count += 1
        return replacements, count


def undecided_from(line: str, is_code: bytes) -> int:
    """From where on the end of a line that goes on may still be shown otherwise."""
    match = re.search(r"[^ \t]+$", line)
    if match is None:
        return len(line)
    run, start = match[0], match.start()
    marks = [len(run)]
    marks += [index for index, sign in enumerate(run) if sign == "\\" and not is_code[start + index]][:1]
    marks += [
        found.breaks[0] for found in _found(run, [bool(flag) for flag in is_code[start:]]) if found.end == len(run)
    ]
    tail = UNDECIDED.search(run)
    assert tail is not None
    marks += [tail.start() + index for index, sign in enumerate(tail[0]) if sign in ".:@"][:1]
    if run.endswith("]"):
        marks.append(len(run) - 1)
    return start + min(marks)


def _unescaped(run: str, start: int, is_code: bytes) -> tuple[str, list[int]]:
    """`run` without Markdown's backslashes, and the place in the line of each character that is left."""
    dropped = {match.start() for match in ESCAPED.finditer(run) if not is_code[start + match.start()]}
    kept = [index for index in range(len(run)) if index not in dropped]
    return "".join(run[index] for index in kept), [start + index for index in kept]


def _found(run: str, is_code: list[bool] | None = None) -> Iterator[Found]:
    """The addresses in a text without white space. What follows a scheme or a path is all taken for the address."""
    scheme = next(
        (
            match
            for match in SCHEME.finditer(run)
            if run.startswith("//", match.end()) or not (is_code and is_code[match.start()])
        ),
        None,
    )
    end = scheme.start() if scheme else len(run)
    position = 0
    while (name := NAME.search(run, position, end)) is not None:
        position = name.end()
        literal = bool(is_code and is_code[name.start()])
        has_path = PATH.match(run, name.end() - name[0].endswith(".")) is not None
        if _is_host(name[0], run[: name.start()], has_path=has_path, is_code=literal):
            stop = len(run) if has_path else name.end()
            breaks = _breaks(run, name.start(), stop)
            if breaks:
                yield Found(name.start(), stop, breaks)
            if has_path:
                return
    if scheme is not None:
        colon = scheme.end() - 1
        breaks = tuple(sorted({colon, *_breaks(run, scheme.start(), len(run))}))
        yield Found(scheme.start(), len(run), breaks)


def _breaks(run: str, start: int, end: int) -> tuple[int, ...]:
    dots = (match.start() for match in re.finditer(r"\.(?=\w)|:(?=//)", run[start:end]))
    return tuple(start + index for index in dots)


def _is_host(name: str, before: str, *, has_path: bool, is_code: bool) -> bool:
    """Whether Slack may take `name` for the host of an address without a scheme."""
    labels = name.rpartition("@")[2].strip(".-+_").lower().split(".")
    if name.startswith(".") and before and not before[-1].isascii():
        labels.insert(0, before[-1])  # its host ends in a letter of a script that NAME does not know whole
    if len(labels) < 2 or not all(labels[-2:]):
        return False
    if len(labels) == 4 and all(label.isdecimal() for label in labels):
        return has_path or "@" in name
    if not _is_top_level(labels[-1]):
        return False
    if has_path or labels[0] == "www":
        return True
    return not is_code and (len(labels) > 2 or "@" in name or labels[-1] not in FILE_ENDINGS)


def _is_top_level(label: str) -> bool:
    if label.isascii():
        return label in TOP_LEVEL
    try:
        return label.encode("idna").decode() in TOP_LEVEL
    except UnicodeError:
        return False


def _trimmed(address: str) -> str:
    """Without the punctuation that is rather its sentence's."""
    while address:
        last = address[-1]
        opening = CLOSING.get(last)
        if last not in TRAILING and (opening is None or address.count(opening) >= address.count(last)):
            break
        address = address[:-1]
    return address


def _canonical(address: str) -> str:
    """The same for addresses that differ only in what means nothing."""
    match = HTTP.fullmatch(address)
    return f"{match[1].lower()}://{match[2].lower()}{match[3] or '/'}" if match else address
