"""Addresses in a model's text: which of them Slack may make links of, and how the others are shown instead.

A link that a model was talked into carries what it knows to whoever owns the link's host, by a click or by Slack's
preview alone. So an address stays one only if a person wrote exactly it in the conversation, or its host is one that
the admin allows. All others are shown with `[:]` and `[.]` in them: readable, and no link for anybody. Pure.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from linkify_it.tlds import TLDS

TOP_LEVEL = frozenset(name.lower() for name in TLDS)
FILE_ENDINGS = frozenset({"cc", "md", "mov", "pl", "py", "rs", "sh", "so", "zip"})
"""Top-level domains that, in a name of two parts and nothing after it, rather tell of a file."""

RUN = re.compile(r"[^ \t\n]+")
SCHEME = re.compile(
    r"[a-z][a-z0-9+.\-]{0,40}:(?=//)"
    r"|(?<![a-z0-9])(?:callto|facetime|javascript|mailto|sips?|slack|sms|tel|xmpp):(?=\S)",
    re.IGNORECASE,
)
NAME = re.compile(r"[\w@.+\-]+")
NAME_END = re.compile(r"(?<![\w@.+\-])[\w@.+\-]+\Z")  # without what is before it, it would be tried at each sign
PATH = re.compile(r"\.?(?:[/?#\\][^ \t\n]|:\d)")
HTTP = re.compile(r"(https?)://([^/?#@\\]+)([/?#]\S*)?", re.IGNORECASE)
PLAIN_HTTP = re.compile(r"https?://([a-z0-9.\-]+)(?::\d+)?(?:[/?#][\w\-.~/%?#=&+:@!$]*)?", re.IGNORECASE | re.ASCII)
ESCAPED = re.compile(r"\\([!-/:-@\[-_{-}])")
"""Markdown's escapes, but for those of what opens code."""
BROADCAST = re.compile(r"@(?=(?:here|channel|everyone)\b)", re.IGNORECASE)
UNDECIDED = re.compile(r"(?<![\w@.+\-:/?#\\])[\w@.+\-:/?#\\]+\Z")
"""The end of a text that may become an address, or not."""
CLOSING = {")": "(", "]": "[", "}": "{"}
TRAILING = frozenset(".,;:!?'\"*_~`|…»”’。，、；：！？」』）】")
OPENING = re.compile(r"[(\[*_\"'`]{0,4}")
LONGEST_ADDRESS = 2_000
"""What is longer is never a link: it would take long to tell, where thousands stand side by side without spaces."""
TRAILING_CHARACTERS = 4
"""More could tell something, where Slack takes them for a part of the link."""
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
                    if found.end - found.start > LONGEST_ADDRESS:
                        continue
                    address = run[found.start : found.end]
                    shorter = re.split(r"[\"'`<>|]", address)[0]
                    self._heard |= {_canonical(_trimmed(address)), _canonical(_trimmed(shorter))}

    def may_stay(self, found: str) -> bool:
        """Whether an address may be a link as it is written, a little of its sentence's punctuation behind it."""
        if len(found) > LONGEST_ADDRESS:
            return False
        address = _trimmed(found)
        if len(found) - len(address) > TRAILING_CHARACTERS:
            return False
        has_scheme = SCHEME.match(address) is not None
        if has_scheme and not HTTP.fullmatch(address):
            return False
        if _canonical(address) in self._heard:
            return True
        plain = PLAIN_HTTP.fullmatch(address if has_scheme else f"https://{address}")
        if plain is None or address.count("://") > int(has_scheme):
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
            literally = list(range(*match.span()))
            without = _without_escapes(line, literally, is_code)
            addresses, breaks = self._broken(line, without, is_code)
            if addresses and len(without) < len(literally):
                replacements |= {place: "" for place in set(literally) - set(without)}
            if breaks or not addresses:  # some may read the backslashes as they stand
                breaks |= self._broken(line, literally, is_code)[1]
            replacements |= breaks
            count += bool(breaks)
        for match in BROADCAST.finditer(line):
            if not is_code[match.start()]:
                replacements[match.start()] = f"@{WORD_JOINER}"
                count += 1
        return replacements, count

    def _broken(self, line: str, places: list[int], is_code: bytes) -> tuple[int, dict[int, str]]:
        """How many addresses the characters at `places` hold, and what stands instead of what makes them links."""
        run = "".join(line[place] for place in places)
        found = list(_found(run, [bool(is_code[place]) for place in places]))
        broken = [each for each in found if not self.may_stay(run[each.start : each.end])]
        return len(found), {places[index]: f"[{run[index]}]" for each in broken for index in each.breaks}


def undecided_from(line: str, is_code: bytes) -> int:
    """From where on the end of a line that goes on may still be shown otherwise."""
    start = max(line.rfind(" "), line.rfind("\t")) + 1
    run = line[start:]
    marks = [len(run)]
    marks += [index for index, sign in enumerate(run) if sign == "\\" and not is_code[start + index]][:1]
    marks += [
        found.breaks[0] for found in _found(run, [bool(flag) for flag in is_code[start:]]) if found.end == len(run)
    ]
    if tail := UNDECIDED.search(run):
        marks += [tail.start() + index for index, sign in enumerate(tail[0]) if sign in ".:@"][:1]
    if run.endswith("]"):
        marks.append(len(run) - 1)
    return start + min(marks)


def _without_escapes(line: str, places: list[int], is_code: bytes) -> list[int]:
    """`places` without those of Markdown's backslashes."""
    first = places[0]
    run = line[first : places[-1] + 1]
    dropped = {first + match.start() for match in ESCAPED.finditer(run) if not is_code[first + match.start()]}
    return [place for place in places if place not in dropped]


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
    end = len(run)
    if scheme is not None:
        end = scheme.start()
        if (glued := NAME_END.search(run[:end])) and "." in glued[0]:  # `7.com://`: a host as well as a scheme
            end = glued.start()
    position = 0 if "." in run else end  # a host has one
    while (name := NAME.search(run, position, end)) is not None:
        position = name.end()
        literal = bool(is_code and is_code[name.start()])
        has_path = PATH.match(run, name.end() - name[0].endswith(".")) is not None
        if _is_host(name[0], run[max(0, name.start() - 1) : name.start()], has_path=has_path, is_code=literal):
            stop = len(run) if has_path else name.end()
            breaks = _breaks(run, name.start(), stop)
            start = _beginning(run, name.start())
            if breaks:
                yield Found(start, stop, breaks)
            if has_path:
                return
    if scheme is not None:
        colon = scheme.end() - 1
        yield Found(end, len(run), tuple(sorted({colon, *_breaks(run, end, len(run))})))


def _beginning(run: str, start: int) -> int:
    """Where an address without a scheme begins, for those who take nearly every sign for a part of a name."""
    opening = OPENING.match(run)
    return min(start, opening.end()) if opening else start


def _breaks(run: str, start: int, end: int) -> tuple[int, ...]:
    dots = (match.start() for match in re.finditer(r"\.(?=\w)|:(?=//)|(?<=[a-zA-Z]):(?=[^ ])", run[start:end]))
    return tuple(start + index for index in dots)


def _is_host(name: str, before: str, *, has_path: bool, is_code: bool) -> bool:
    """Whether Slack may take `name`, or the half of it before or after an @, for an address without a scheme.

    `before` is the sign before it, if there is one."""
    if before and not before.isascii() and unicodedata.category(before)[0] in "LMSC":
        name = before + name  # of a script that NAME does not know whole
    is_mail = "@" in name.strip("@")
    for labels in _readings(name):
        if len(labels) == 4 and all(label.isdecimal() for label in labels):
            is_host = has_path or is_mail
        elif not _is_top_level(labels[-1]):
            is_host = False
        elif has_path or labels[0] == "www":
            is_host = True
        else:
            is_host = not is_code and (
                len(labels) > 2 or is_mail or not "".join(labels).isascii() or labels[-1] not in FILE_ENDINGS
            )
        if is_host:
            return True
    return False


def _readings(name: str) -> Iterator[list[str]]:
    """The labels of what may be a host in `name`: each part of an address of mail, and what stands before a word of
    another script (`www.example.net.हिन्दी`), where some end a name."""
    for part in re.split(r"[@+]", name):
        labels = part.strip(".-_").lower().split(".")
        other = next((index for index, label in enumerate(labels) if not label.isascii()), len(labels))
        for reading in (labels, labels[:other]):
            if len(reading) > 1 and all(reading[-2:]):
                yield reading


def _is_top_level(label: str) -> bool:
    if label.isascii():
        return label in TOP_LEVEL
    try:
        return label.encode("idna").decode() in TOP_LEVEL
    except UnicodeError:
        return False


def _trimmed(address: str) -> str:
    """Without the punctuation that is rather its sentence's."""
    end = len(address)
    surplus: dict[str, int] = {}
    while end:
        last = address[end - 1]
        if opening := CLOSING.get(last):
            surplus.setdefault(last, address.count(last) - address.count(opening))
            if surplus[last] <= 0:
                break
            surplus[last] -= 1
        elif last not in TRAILING:
            break
        end -= 1
    return address[:end]


def _canonical(address: str) -> str:
    """The same for addresses that differ only in what means nothing."""
    match = HTTP.fullmatch(address)
    return f"{match[1].lower()}://{match[2].lower()}{match[3] or '/'}" if match else address
