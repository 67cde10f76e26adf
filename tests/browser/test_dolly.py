"""What a newcomer does after `make run`: the page, Dolly whole, the real engine and the small model."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from bot.local.engine import LocalEngine
from bot.local.store import LocalStore
from tests.browser.conftest import Watched
from tests.scenarios.conftest import running_team

pytestmark = pytest.mark.asyncio(loop_scope="session")

SLOW = 60_000
"""Milliseconds that a small model may take on a busy machine."""


async def ask(page: Page, question: str) -> None:
    """Mention Dolly with the composer's completion, as one types it."""
    box = page.get_by_label("Message #general")
    await box.press_sequentially("@do")
    await expect(page.locator("#composer").get_by_role("option").first).to_be_visible()
    await box.press("Enter")
    await box.press_sequentially(question)
    await box.press("Enter")


async def test_a_newcomer_asks_and_sees_the_answer_stream_in_and_stay(
    browser: Browser, watched: Watched, local_store: LocalStore, llama_engine: LocalEngine
) -> None:
    async with running_team(local_store.url, llama_engine.url, max_tokens=120) as team:
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        context.on("page", watched.watch)
        page = await context.new_page()
        await page.goto(team.workspace.url)
        await ask(page, "tell me a story about a sheep")

        question = page.locator("#messages article", has_text="story about a sheep")
        await question.locator(".thread-link").click(timeout=SLOW)
        answer = page.locator("#thread-messages article", has=page.locator(".badge"))
        await expect(answer.locator(".text")).to_have_text(re.compile(r"\w"), timeout=SLOW)
        await expect(page.locator("#work .stop")).to_be_visible()
        early = await answer.locator(".text").inner_text()
        await expect(page.locator("#thread-messages .streaming")).to_have_count(0, timeout=SLOW)
        whole = await answer.locator(".text").inner_text()
        assert len(whole) > len(early), "it grew while it was watched"

        await page.reload()
        await expect(answer.locator(".text")).to_have_text(whole, use_inner_text=True)

        await page.get_by_role("link", name="Dolly").first.click()
        await page.get_by_role("tab", name="Home").click()
        await expect(page.locator("#home")).to_contain_text("Hi, I'm Dolly", timeout=SLOW)
        await context.close()
