"""Debian's Chromium, silent and without a sandbox where root would not get one."""

import os
import shutil

from playwright.async_api import Browser, Playwright

CHROMIUM = shutil.which("chromium")
_FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
]


async def launch(playwright: Playwright) -> Browser:
    flags = _FLAGS + (["--no-sandbox"] if os.geteuid() == 0 else [])
    return await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
