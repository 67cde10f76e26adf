"""Bytes to and from the engine: huggingface_hub's HTTP client, carried by aiohttp.

httpx's own transport takes twice the memory for an open stream, and reads HTTP in Python; aiohttp is there for Slack.
"""

import functools
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # the httpx it uses: httpx2 in 2.x
from yarl import URL

_IDLE_SECONDS = 2
"""Engines close an idle connection after 5 s; one that is taken up at that very moment fails."""

_SEPARATORS = {b"\xc2\x85": rb"\u0085", b"\xe2\x80\xa8": rb"\u2028", b"\xe2\x80\xa9": rb"\u2029"}
_BEGINNINGS = (b"\xe2\x80", b"\xe2", b"\xc2")


class EngineTransport(httpx.AsyncBaseTransport):
    """Connections of its own, to be closed with it; proxies and .netrc of the environment have no say."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seconds = request.extensions["timeout"]
        with _failures_of_httpx():
            response = await self._open_session().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=await request.aread() or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=seconds["connect"], sock_read=seconds["read"]),
            )
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Body(response))

    def _open_session(self) -> aiohttp.ClientSession:
        """The session; made with the first request, because it belongs to that one's event loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=_tls(), limit=0, keepalive_timeout=_IDLE_SECONDS)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class Lent(httpx.AsyncBaseTransport):
    """A transport for several HTTP clients: none of them closes it."""

    def __init__(self, transport: EngineTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)


class _Body(httpx.AsyncByteStream):
    """A response's bytes; closing it before their end closes the connection.

    The line separators of Unicode are escaped, as JSON may have them: httpx ends lines at U+0085, U+2028 and U+2029
    too, engines write them as they are, and one of them in an answer would break the event that holds it.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if "content-encoding" in self._response.headers:
            async for part in self._parts():
                yield part
            return
        held = b""
        async for part in self._parts():
            part = held + part
            held = next((start for start in _BEGINNINGS if part.endswith(start)), b"")
            part = part[: len(part) - len(held)]
            for separator, escape in _SEPARATORS.items():
                part = part.replace(separator, escape)
            if part:
                yield part
        if held:
            yield held

    async def _parts(self) -> AsyncIterator[bytes]:
        content = self._response.content
        while True:
            with _failures_of_httpx():
                part = await content.readany()
            if not part:
                return
            yield part

    async def aclose(self) -> None:
        self._response.close()


@contextmanager
def _failures_of_httpx() -> Iterator[None]:
    """Raises aiohttp's failures as httpx.TransportError, which is what huggingface_hub and refusals.py know."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except TimeoutError as error:  # aiohttp's others are among these
        raise httpx.ReadTimeout(str(error)) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(str(error)) from error
    except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
        raise httpx.RemoteProtocolError(str(error)) from error


@functools.cache
def _tls() -> ssl.SSLContext:
    """Takes 20 ms to make, so it is shared. SSL_CERT_FILE names the certificate of a team's own authority."""
    context: Any = httpx.create_ssl_context()
    return context  # type: ignore[no-any-return]
