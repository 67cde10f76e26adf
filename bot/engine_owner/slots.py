"""Engines whose containers serve what a file names, their slot: deploy/engines/serve-slot.sh is the other half."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from bot.engine_owner.address import Address
from bot.errors import LocalPartError

log = structlog.get_logger(__name__)

START_SECONDS = 900.0
"""Reading a model of many gigabytes, and the engine's warming up."""
STOP_SECONDS = 150.0
"""Longer than serve-slot.sh gives an engine to end."""


class Slot:
    """The engine at one address (bot.engine_owner.pool.Place); its file is named by the address's host."""

    def __init__(self, folder: Path, address: Address) -> None:
        self._file = folder / (urlsplit(address.url).hostname or "")
        self._address = address

    @property
    def url(self) -> str:
        return self._address.url

    async def serving(self) -> Path | None:
        try:
            text = (await asyncio.to_thread(self._file.read_text, encoding="utf-8")).strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise LocalPartError(f"The slot {self._file} cannot be read ({error}).") from None
        return Path(text) if text else None

    async def serve(self, path: Path) -> None:
        if await self.serving() != path:
            await self._empty()
            await self._write(f"{path}\n")
        await self._address.until_healthy(START_SECONDS, str(path))

    async def clear(self) -> None:
        try:
            await self._empty()
        except LocalPartError as error:
            log.error("slot_not_cleared", reason=str(error))

    async def requests(self) -> int:
        return await self._address.requests()

    async def _empty(self) -> None:
        """Have nobody answer there: what served before must not be taken for what is started next."""
        await self._write("")
        if not await self._address.until_silent(STOP_SECONDS):
            raise LocalPartError(
                f"The engine at {self.url} goes on to answer though its slot {self._file} is empty: does its container "
                "run serve-slot.sh with that file?"
            )

    async def _write(self, text: str) -> None:
        """Whole or not at all."""
        partial = self._file.with_name(f".{self._file.name}.partial")
        try:
            await asyncio.to_thread(partial.write_text, text, encoding="utf-8")
            await asyncio.to_thread(partial.replace, self._file)
        except OSError as error:
            raise LocalPartError(
                f"The slot {self._file} cannot be written ({error.strerror}); SLOTS_DIR has to be a folder that the "
                "engines' owner may write to."
            ) from None
