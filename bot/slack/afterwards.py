"""What a listener does after Slack has its acknowledgement: in the background, and finished at the end."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import structlog
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.slack.client import UNREACHABLE, webhook_at

log = structlog.get_logger(__name__)

FINISH_SECONDS = 2.0


class Afterwards:
    """Work under way. What goes wrong in it is told by the log alone."""

    def __init__(self) -> None:
        self._working: set[asyncio.Task[None]] = set()

    def do(self, work: Awaitable[object]) -> None:
        """Begin it."""
        task = asyncio.create_task(_quietly(work))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    def tell(self, respond: AsyncRespond, sentence: str) -> None:
        """Say something to who clicked or chose, for their eyes only, beside what is there."""
        self.do(said(respond, sentence))

    async def end(self) -> None:
        """Finish what is being done; what takes longer is broken off."""
        if self._working:
            await asyncio.wait(self._working, timeout=FINISH_SECONDS)
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)


async def said(respond: AsyncRespond, sentence: str, *, in_place: bool = False) -> None:
    """Say something at a response_url, as `show` does."""
    await show(respond, in_place=in_place, text=sentence)


async def show(respond: AsyncRespond, *, in_place: bool, **content: Any) -> None:
    """Show something at a response_url to who clicked or chose, for their eyes only; `in_place` of what was clicked on.

    `content` is what Slack takes there: text, blocks, thread_ts. Lost where Slack takes it not.
    """
    if not respond.response_url:  # the click came without an address
        log.warning("response_url_missing")
        return
    try:
        async with webhook_at(respond.response_url) as webhook:
            await webhook.send_dict({"response_type": "ephemeral", "replace_original": in_place, **content})
    except UNREACHABLE as error:
        log.warning("response_url_failed", error=type(error).__name__)


async def _quietly(work: Awaitable[object]) -> None:
    try:
        await work
    except Exception as error:
        log.exception("afterwards_failed", error=type(error).__name__)
