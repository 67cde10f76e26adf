"""Something in a text that is not to leave the store, and how it is found."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple


class Found(NamedTuple):
    """Where it is, and what: `kind` is what stands in its place, in brackets."""

    start: int
    end: int
    kind: str


Finder = Callable[[str], Iterable[Found]]
"""All of some kind in a text, from left to right, none over another."""


def matching(kind: str, pattern: str, is_one: Callable[[re.Match[str]], bool] = lambda _: True) -> Finder:
    """Finds what matches `pattern` (verbose) and `is_one`; where the pattern has a group `value`, that alone."""
    compiled = re.compile(pattern, re.VERBOSE)
    place: str | int = "value" if "value" in compiled.groupindex else 0

    def find(text: str) -> Iterator[Found]:
        for match in compiled.finditer(text):
            if is_one(match):
                yield Found(*match.span(place), kind)

    return find
