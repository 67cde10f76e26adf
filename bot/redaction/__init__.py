"""Secrets and personal data, taken out of a text before it leaves the store for training.

What is found becomes a placeholder, `[e-mail]`; how many of each kind is counted. What is meant to be learned stays:
door codes, prices, dates, versions, ports, order numbers. Names of people in running text are found by Presidio alone,
for whoever installs it (names.py).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bot.redaction.credentials import CREDENTIALS
from bot.redaction.found import Finder, Found
from bot.redaction.identifiers import IDENTIFIERS
from bot.redaction.phones import phones

ROUNDS = 5
"""Where two things overlap, what is left of one may be seen only once the other is gone."""
PLACEHOLDER = re.compile(r"\[[A-Za-z][A-Za-z -]*\]")


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without what was found in it."""

    text: str
    counts: Counter[str] = field(default_factory=Counter)
    """How many of each kind: "e-mail", "secret", "phone number" …"""


class Redaction:
    """Redacts texts, a few milliseconds each; what was redacted has nothing more to redact."""

    def __init__(self, phone_regions: Sequence[str] = (), *more: Finder) -> None:
        """`phone_regions` are the countries whose phone numbers are known without their +code, as `IN` (ISO 3166).

        `more` finds what the others do not.
        """
        self._finders = (*CREDENTIALS, *IDENTIFIERS, phones(phone_regions), *more)

    def redact(self, text: str) -> Redacted:
        """`text` with placeholders in place of what is secret or personal."""
        counts: Counter[str] = Counter()
        for _ in range(ROUNDS):
            before = text
            for find in self._finders:
                text = _replaced(text, find(text), counts)
            if text == before:
                break
        return Redacted(text, counts)


def _replaced(text: str, found: Iterable[Found], counts: Counter[str]) -> str:
    """`text` with a placeholder for each of `found` but those that touch one; counted in `counts`."""
    placeholders = [match.span() for match in PLACEHOLDER.finditer(text)]
    parts, done = [], 0
    for start, end, kind in found:
        if any(begin < end and start < stop for begin, stop in placeholders):
            continue
        parts += [text[done:start], f"[{kind}]"]
        done = end
        counts[kind] += 1
    return "".join([*parts, text[done:]])
