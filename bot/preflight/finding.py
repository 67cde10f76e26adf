"""What was found of one promise that Dolly's operator makes to their team."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Part = Literal["Slack", "Store", "Engine", "This machine"]

Verdict = Literal["safe", "cannot tell", "unsafe", "wrong"]
"""`cannot tell`: nobody but an operator can see it; the sentence says how. `wrong`: Dolly could not work like this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, how it stands, and a sentence or two: what was seen, and what to do where that is not enough."""

    part: Part
    promise: str
    verdict: Verdict
    sentence: str


def exit_code(findings: Sequence[Finding], *, production: bool) -> int:
    """0 where all may stay as it is; in production nothing may be unsafe. What cannot be told is shown, and is no 1."""
    refused = {"wrong", "unsafe"} if production else {"wrong"}
    return int(any(finding.verdict in refused for finding in findings))
