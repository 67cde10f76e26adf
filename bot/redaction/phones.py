"""Phone numbers, by Google's library of every country's numbering plan (phonenumbers)."""

import re
from collections.abc import Iterator, Sequence

from phonenumbers import Leniency, PhoneNumberMatcher

from bot.redaction.found import Finder, Found

KIND = "phone number"

ENOUGH_DIGITS = re.compile(r"(?:\d[^\w\n]{0,3}){7}")
"""Without so many in a row there is no phone number, and the library need not look."""
NUMBER = re.compile(r"[1-9]\d{0,2}(?:[ .,]\d{3})+|\d+\.\d+")
"""With thousands set apart, or decimals."""
CALLED = re.compile(
    r"(?:phone|tel|call|mobile|cell|fax|whatsapp|sms|dial|फ़ोन|फोन|मोबाइल|कॉल)[^\d\n,;\]]{0,20}$", re.IGNORECASE
)
"""What stands before digits that are a phone number, however they are written."""


def phones(regions: Sequence[str]) -> Finder:
    """Finds numbers with a +code of any country, and those of `regions` (ISO 3166) as they are written there.

    Digits in one piece may be anything: they are a phone number only after a word that says so.
    """

    def find(text: str) -> Iterator[Found]:
        if not ENOUGH_DIGITS.search(text):
            return
        found: list[Found] = []
        for region in (None, *regions):
            leniency = Leniency.VALID if region is None else Leniency.STRICT_GROUPING
            for match in PhoneNumberMatcher(text, region, leniency=leniency):
                if _is_written_as_one(text, match.start, match.raw_string) and not any(
                    match.start < end and start < match.end for start, end, _ in found
                ):
                    found.append(Found(match.start, match.end, KIND))
        yield from sorted(found)

    return find


def _is_written_as_one(text: str, start: int, raw: str) -> bool:
    if raw.startswith(("+", "＋")) or CALLED.search(text[:start]):
        return True
    return not raw.isdecimal() and not NUMBER.fullmatch(raw)
