"""Clocks that have to agree."""

from bot.preflight.finding import Finding, Part

SKEW_SECONDS = 60.0
"""Slack's signatures are refused five minutes after they were made; a clock that is off by one has a fault."""


def judge_clock(part: Part, whose: str, ahead_seconds: float, matter: str) -> Finding:
    """`ahead_seconds`: by how much their clock is ahead of this machine's. `matter`: what goes wrong with it."""
    seconds = abs(ahead_seconds)
    if seconds <= SKEW_SECONDS:
        return Finding(
            part,
            "clock",
            "safe",
            f"{whose[0].upper()}{whose[1:]} clock and this machine's agree within {max(seconds, 1):.0f} s.",
        )
    direction = "behind" if ahead_seconds > 0 else "ahead of"
    sentence = f"This machine's clock is {seconds:.0f} s {direction} {whose}: {matter}. Keep both by NTP."
    return Finding(part, "clock", "unsafe", sentence)
