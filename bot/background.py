"""Work in the background that goes on for as long as Dolly does, whatever is wrong with one round of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 5.0


async def for_ever(work: Callable[[], Awaitable[None]], name: str) -> NoReturn:
    """Do `work` again and again, until cancelled.

    What it has not caught itself is a mistake of ours. Nobody waits for such work, so its end would show nowhere: the
    mistake is logged under `name`, and the next round begins after a pause.
    """
    while True:
        try:
            await work()
        except Exception as error:
            log.exception("background_failed", work=name, error=type(error).__name__)
            await asyncio.sleep(PAUSE_SECONDS)
