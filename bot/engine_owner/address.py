"""Where an engine answers, whatever runs it: is it ready, is nobody there, how much has it to do."""

import asyncio
import re

import aiohttp
import structlog

from bot.errors import LocalPartError

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
TIMEOUT = aiohttp.ClientTimeout(total=2.0)
REQUESTS = re.compile(
    r"^(?:llamacpp:requests_(?:processing|deferred)|tgi_(?:batch_current_size|queue_size)|vllm:num_requests_(?:running|waiting))"
    r"(?:\{[^}]*\})? (\d+(?:\.\d+)?)",
    re.MULTILINE,
)
"""Of its metrics: what it is answering, and what waits for a place."""


class Address:
    """One address. `api_key` is sent where the engine asks for one."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._is_warned = False

    async def is_healthy(self) -> bool:
        """Whether a model answers there."""
        try:
            return (await self._get("/health"))[0] == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def is_silent(self) -> bool:
        """Whether nobody is there. One that is too busy to answer is."""
        try:
            await self._get("/health")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return True
        except (aiohttp.ClientError, TimeoutError):
            pass
        return False

    async def requests(self) -> int:
        """How many it is answering, or has waiting; 1 where it does not tell, 0 where nobody is there."""
        try:
            status, text = await self._get("/metrics")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return 0
        except (aiohttp.ClientError, TimeoutError):
            return 1
        counts = REQUESTS.findall(text) if status == 200 else []
        if not counts and not self._is_warned:
            self._is_warned = True
            log.warning("engine_load_unknown", engine=self.url, status=status)
        return sum(round(float(count)) for count in counts) if counts else 1

    async def until_healthy(self, seconds: float, what: str) -> None:
        """Raises LocalPartError, with `what` was to answer there."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    if await self.is_healthy():
                        return
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise LocalPartError(
                f"The engine at {self.url} did not answer within {seconds:g} s with {what}; its log says more."
            ) from None

    async def until_silent(self, seconds: float) -> bool:
        """Whether nobody is there any more, after so long at most."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    if await self.is_silent():
                        return True
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            return False

    async def _get(self, path: str) -> tuple[int, str]:
        # A connection of its own each time: behind one address there may be several engines.
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT, headers=self._headers) as session,
            session.get(self.url + path, allow_redirects=False) as response,
        ):
            return response.status, await response.text()
