"""Who can read along on the way to an address, judged by where it is."""

import asyncio
import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

Distance = Literal["this machine", "private", "public", "unknown"]
"""`private`: all its addresses are of networks that the Internet does not carry."""

RESOLVE_SECONDS = 3.0


async def distance(host: str) -> Distance:
    """How far away a host is, by its addresses; `unknown` where its name has none."""
    addresses = await _addresses(host.strip("[]"))
    if not addresses:
        return "unknown"
    if all(address.is_loopback for address in addresses):
        return "this machine"
    return "public" if any(address.is_global for address in addresses) else "private"


async def judge_plain(host: str) -> tuple[Literal["safe", "cannot tell", "unsafe"], str]:
    """Whether a connection without TLS to `host` may be, and a clause that says why."""
    match await distance(host):
        case "this machine":
            return "safe", "the connection does not leave this machine"
        case "private":
            return "cannot tell", f"{host} is in a private network, and without TLS whoever is in it can read along"
        case "public":
            return "unsafe", f"{host} is a public address, and without TLS all between here and there can read along"
    return "cannot tell", f"{host} cannot be resolved from here, and without TLS whoever is between can read along"


async def _addresses(host: str) -> Collection[IPv4Address | IPv6Address]:
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return []
    return {ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found}
