"""A real workspace, a real app and a real browser for the page's tests."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from bot.local.workspace.workspace import Workspace
from tests.browser.chromium import CHROMIUM, launch
from tests.browser.parrot import MANIFEST, Parrot

expect.set_options(timeout=15_000)  # a busy machine is slow, and that is no fault of the page


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, one for the session."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        yield browser
        await browser.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "workspace.sqlite"


@pytest_asyncio.fixture(loop_scope="session")
async def workspace(database: Path) -> AsyncIterator[Workspace]:
    workspace = Workspace(database, manifest=MANIFEST, ratings=database.parent / "ratings")
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def parrot(workspace: Workspace) -> AsyncIterator[Parrot]:
    parrot = Parrot(workspace)
    await parrot.start()
    yield parrot
    await parrot.stop()


@dataclass
class Watched:
    """What went wrong in the browser while a test ran."""

    faults: list[str] = field(default_factory=list)
    is_server_down: bool = False
    """Set while a test stops the server: failed requests are then no fault."""

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("console", self._on_console)
        page.on("request", self._on_request)
        page.on("websocket", self._on_request)

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not self.is_server_down:
            self.faults.append(f"{message.type}: {message.text} {message.location}")

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:")):
            self.faults.append(f"request to {request.url}")


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Fails the test that leaves an error in the console, or asks anything of another machine."""
    watched = Watched()
    yield watched
    assert watched.faults == []


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, watched: Watched, parrot: Parrot) -> AsyncIterator[BrowserContext]:
    """A browser profile of its own, at desktop size; closed before the servers are."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, permissions=["clipboard-write"])
    context.set_default_timeout(30_000)
    context.on("page", watched.watch)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext, workspace: Workspace) -> Page:
    """The page, open on #general as Asha."""
    page = await context.new_page()
    await page.goto(workspace.url)
    await page.wait_for_selector("#channel-name:has-text('general')")
    return page
