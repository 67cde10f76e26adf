"""Findings by the promise that they are of."""

from collections.abc import Iterable

from bot.preflight import Finding


def by_promise(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Each promise's finding; a promise with two is a fault."""
    found: dict[str, Finding] = {}
    for finding in findings:
        assert finding.promise not in found, finding
        found[finding.promise] = finding
    return found


def verdicts(findings: Iterable[Finding]) -> dict[str, str]:
    return {promise: finding.verdict for promise, finding in by_promise(findings).items()}
