"""Egress: what can be reached from here that Dolly has no business with."""

import asyncio
from collections.abc import Sequence

from bot.preflight.finding import Finding

PROBES = (("1.1.1.1", 53), ("example.com", 443), ("huggingface.co", 443))
"""Where nothing of Dolly ever goes: a resolver, a page, and the hub from which engines fetch models."""

PROBE_SECONDS = 2.0


async def check_egress(proxies: Sequence[str], probes: Sequence[tuple[str, int]] = PROBES) -> list[Finding]:
    """Whether this process reaches what it should not: connections are opened, and closed without a byte sent."""
    are_open = await asyncio.gather(*(_opens(host, port) for host, port in probes))
    reached = [f"{host}:{port}" for (host, port), is_open in zip(probes, are_open, strict=True) if is_open]
    findings = []
    if reached:
        sentence = (
            f"This machine reaches {', '.join(reached)}: whatever ran here could carry off what people ask. Let it "
            "reach Slack, the store and the engine only, by a NetworkPolicy or a firewall (docs/production.md)."
        )
        findings.append(Finding("This machine", "egress", "unsafe", sentence))
    else:
        tried = ", ".join(f"{host}:{port}" for host, port in probes)
        findings.append(Finding("This machine", "egress", "safe", f"None of {tried} can be reached from here."))
    if proxies:
        sentence = (
            f"{', '.join(proxies)}: Slack is spoken to through a proxy, and what else that lets through does not show "
            "from here; let it pass *.slack.com alone (docs/sovereignty.md)."
        )
        findings.append(Finding("This machine", "proxy", "cannot tell", sentence))
    return findings


async def _opens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, UnicodeError, TimeoutError):
        return False
    writer.transport.abort()
    return True
