"""No network beyond this machine."""

from typing import Any

LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: whoever would reach another machine gets PermissionError."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
    elif event == "socket.getaddrinfo":
        address = arguments[:1]
    else:
        return
    if isinstance(address, tuple) and address and isinstance(address[0], str | bytes):
        host = address[0].decode() if isinstance(address[0], bytes) else address[0]
        if not host.startswith(LOOPBACK):
            raise PermissionError(f"tests may not reach {host}: no network beyond this machine")
