"""The page for everyone: by keyboard alone, in the dark, on a phone, without motion, with names for what is there."""

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from bot.local.workspace.workspace import Workspace
from tests.browser.conftest import Watched
from tests.browser.parrot import Parrot
from tests.browser.test_conversation import ANSWER, mention

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_everything_can_be_done_by_keyboard_alone(page: Page, parrot: Parrot) -> None:
    keys = page.keyboard
    await page.locator("body").press("Escape")
    await expect(page.get_by_label("Message #general")).to_be_focused()
    await keys.type("@do")
    await keys.press("Tab")
    await keys.type("hello?")
    await keys.press("Enter")
    await expect(page.locator(".thread-link")).to_contain_text("1 reply")
    await keys.press("Escape")
    await expect(page.locator("#messages article")).to_be_focused()

    await keys.press("r")
    await expect(page.locator("#popup")).to_be_visible()
    await keys.press("ArrowRight")
    await keys.press("ArrowRight")
    await keys.press("Enter")
    await expect(page.locator("#messages .reaction[aria-pressed]")).to_contain_text("❤️")
    await expect(page.locator("#messages article")).to_be_focused()

    await keys.press("t")
    await expect(page.get_by_label("Reply…")).to_be_focused()
    await keys.press("Escape")
    await expect(page.locator("#thread")).to_be_hidden()

    await page.locator("#messages article").focus()
    await keys.press("e")
    await keys.type(" again")
    await keys.press("Enter")
    await expect(page.locator("#messages .edited")).to_be_visible()
    await keys.press("Delete")
    await expect(page.locator("#confirm")).to_be_visible()
    await keys.press("Escape")
    await expect(page.locator("#confirm")).to_be_hidden()

    await keys.press("?")
    await expect(page.locator("#help")).to_be_visible()
    await keys.press("Escape")
    await keys.press("Alt+ArrowDown")
    await expect(page.locator("#channel-name")).to_have_text("# random")
    await page.locator(".place[aria-current]").focus()
    await keys.press("ArrowDown")
    await keys.press("Enter")
    await expect(page.locator("#channel-name")).to_have_text("# team-help")


async def test_what_has_the_focus_is_seen(page: Page) -> None:
    for _ in range(12):
        await page.keyboard.press("Tab")
        shown = await page.evaluate(
            """() => {
              const focused = document.activeElement;
              const ring = (element) => getComputedStyle(element).outlineStyle !== "none";
              const frame = focused.closest(".composer");
              if (frame) return ring(focused) || getComputedStyle(frame).boxShadow !== "none";
              return focused === document.body || ring(focused);
            }"""
        )
        assert shown


async def test_every_control_has_a_name(page: Page, parrot: Parrot) -> None:
    await mention(page, "names?")
    await page.locator(".thread-link").click()
    await expect(page.locator("#thread-messages article", has_text=ANSWER)).to_be_visible()
    await page.get_by_role("button", name="Fix this answer").click()
    await expect(page.locator("#modal")).to_be_visible()
    nameless = await page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, select, textarea")].filter((control) => {
          const words = control.ariaLabel ?? control.title ?? "";
          const label = control.labels?.[0]?.textContent ?? "";
          return !(words + label + control.textContent).trim() && !control.closest("template, #confirm");
        }).map((control) => control.outerHTML)"""
    )
    assert nameless == []


async def background(page: Page, selector: str) -> str:
    return str(await page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).backgroundColor"))


async def test_dark_follows_the_system_and_the_switch(
    browser: Browser, watched: Watched, workspace: Workspace, page: Page
) -> None:
    assert await background(page, "#channel") == "rgb(255, 255, 255)"
    await page.emulate_media(color_scheme="dark")
    dark = await background(page, "#channel")
    assert dark != "rgb(255, 255, 255)"
    switch = page.locator("#theme")
    await switch.click()
    await expect(switch).to_have_attribute("aria-label", "Theme: light")
    assert await background(page, "#channel") == "rgb(255, 255, 255)"
    await switch.click()
    await page.emulate_media(color_scheme="light")
    await page.reload()
    await expect(switch).to_have_attribute("aria-label", "Theme: dark")
    assert await background(page, "#channel") == dark


async def test_a_phone_shows_one_pane_at_a_time(
    browser: Browser, watched: Watched, workspace: Workspace, parrot: Parrot
) -> None:
    context = await browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    context.on("page", watched.watch)
    page = await context.new_page()
    await page.goto(workspace.url)
    sidebar, channel, thread = (page.locator(selector) for selector in ("#sidebar", "#channel", "#thread"))
    await expect(channel).to_be_visible()
    await expect(sidebar).to_be_hidden()
    await mention(page, "small?")
    await page.locator(".thread-link").tap()
    await expect(thread.get_by_text(ANSWER)).to_be_visible()
    await expect(channel).to_be_hidden()
    await page.get_by_role("button", name="Back to the channel").tap()
    await expect(channel).to_be_visible()
    await page.get_by_role("button", name="Back to channels").tap()
    await expect(channel).to_be_hidden()
    await sidebar.get_by_role("link", name="random").tap()
    await expect(page.locator("#channel-name")).to_have_text("# random")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await context.close()


async def test_motion_can_be_reduced(context: BrowserContext, page: Page, parrot: Parrot) -> None:
    await page.emulate_media(reduced_motion="reduce")
    parrot.may_write.clear()
    await mention(page, "still?")
    await expect(page.locator(".thread-status")).to_be_visible()
    assert await page.evaluate("getComputedStyle(document.querySelector('.thread-status')).animationName") == "none"
