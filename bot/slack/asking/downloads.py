"""Fetches files from Slack. The token goes to Slack's own hosts and to no other, wherever an address points."""

import asyncio

import aiohttp
from yarl import URL

from bot.attachments import Unreadable
from bot.errors import SlackUnreachable
from bot.slack.client import UNREACHABLE
from bot.slack.hosts import SlackHosts

REDIRECTS = 3
REDIRECTED = frozenset({301, 302, 303, 307, 308})
PIECE_BYTES = 65_536


class Downloads:
    """Fetches with the bot's token, whole files into memory, up to a limit; through `proxy`, as Slack's client does."""

    def __init__(
        self, session: aiohttp.ClientSession, token: str, hosts: SlackHosts, *, proxy: str | None = None
    ) -> None:
        self._session = session
        self._proxy = proxy
        self._token = token
        self._hosts = hosts

    async def fetch(self, address: str, *, limit_bytes: int, seconds: float) -> bytes:
        """The file at `address`.

        Reads no further than `limit_bytes`, whatever was declared. Raises Unreadable; SlackUnreachable where it may
        work a little later.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._followed(URL(address), limit_bytes)
        except ValueError:
            raise Unreadable("gone") from None
        except TimeoutError:
            raise Unreadable("slow") from None
        except UNREACHABLE as error:
            raise SlackUnreachable("a file", type(error).__name__) from None

    async def _followed(self, url: URL, limit_bytes: int) -> bytes:
        for redirects in range(REDIRECTS + 1):
            if not self._hosts.take_token(url):
                raise Unreadable("elsewhere")
            headers = {"Authorization": f"Bearer {self._token}"}
            getting = self._session.get(url, headers=headers, allow_redirects=False, proxy=self._proxy)
            async with getting as answer:
                if answer.status not in REDIRECTED:
                    return await _content(answer, limit_bytes, is_redirected=redirects > 0)
                url = url.join(URL(answer.headers.get("Location", "")))
        raise Unreadable("refused")


async def _content(answer: aiohttp.ClientResponse, limit_bytes: int, *, is_redirected: bool) -> bytes:
    if answer.status == 429 or answer.status >= 500:
        raise SlackUnreachable("a file", str(answer.status))
    if answer.status in (404, 410):
        raise Unreadable("gone")
    # Slack sends whoever may not have a file to a page on which people sign in.
    if answer.status != 200 or (is_redirected and answer.content_type == "text/html"):
        raise Unreadable("refused")
    content = bytearray()
    async for piece in answer.content.iter_chunked(PIECE_BYTES):
        content += piece
        if len(content) > limit_bytes:
            raise Unreadable("too_large")
    return bytes(content)
