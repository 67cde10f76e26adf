"""What an app draws for people: buttons, modals with their faults, a pushed modal, the Home tab, feedback."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.parrot import Parrot
from tests.browser.test_conversation import eventually, mention

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def open_modal(page: Page) -> None:
    await mention(page, "fix me")
    await page.locator(".thread-link").click()
    await page.get_by_role("button", name="Fix this answer").click()
    await expect(page.locator("#modal")).to_be_visible()


async def test_a_modal_tells_faults_under_their_fields_and_is_submitted(page: Page, parrot: Parrot) -> None:
    await open_modal(page)
    modal = page.locator("#modal")
    await expect(modal.get_by_role("heading", name="Fix this answer")).to_be_visible()
    await expect(modal.get_by_label("A better answer")).to_be_focused()

    await modal.get_by_role("button", name="Send").click()
    await expect(modal.locator('[data-fault="better"]')).not_to_be_empty()
    await modal.get_by_label("A better answer").fill("a bad one")
    await modal.get_by_label("What was wrong").select_option("Tone")
    await modal.get_by_label("Everyone").check()
    await modal.get_by_label("Train on it").check()
    await modal.get_by_label("Valid from").fill("2026-11-22")
    await modal.get_by_label("Search: Team").press_sequentially("Blue")
    await modal.get_by_label("Team", exact=True).select_option("Blue team")
    await modal.get_by_role("button", name="Send").click()
    await expect(modal.locator('[data-fault="better"]')).to_have_text("That is not better.")
    await expect(modal.get_by_label("What was wrong")).to_have_value("tone")

    await modal.get_by_label("A better answer").fill("a better one")
    await modal.get_by_role("button", name="Send").click()
    await expect(modal).to_be_hidden()
    view = parrot.heard[-1]["view"]
    assert view["private_metadata"] == "kept"
    values = {block: state["value"] for block, state in view["state"]["values"].items()}
    assert values["better"] == {"type": "plain_text_input", "value": "a better one"}
    assert values["why"]["selected_option"]["value"] == "tone"
    assert values["who"]["selected_option"]["value"] == "everyone"
    assert [option["value"] for option in values["also"]["selected_options"]] == ["train on it"]
    assert values["team"]["selected_option"]["value"] == "blue team"
    assert values["when"]["selected_date"] == "2026-11-22"


async def test_a_pushed_modal_gives_back_the_one_below_with_what_was_typed(page: Page) -> None:
    await open_modal(page)
    modal = page.locator("#modal")
    await modal.get_by_role("button", name="More…").click()
    await expect(modal).to_contain_text("There is more to say.")
    await modal.get_by_role("button", name="Back").click()
    await expect(modal.get_by_label("A better answer")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(modal).to_be_hidden()


async def test_feedback_is_told_to_the_app_and_stays_marked(page: Page, parrot: Parrot) -> None:
    await mention(page, "rate me")
    await page.locator(".thread-link").click()
    good = page.get_by_role("button", name="Good answer")
    await good.click()
    await expect(good).to_have_attribute("aria-pressed", "true")
    await eventually(lambda: bool(parrot.heard))
    assert parrot.heard[0]["actions"][0]["value"] == "good"


async def test_the_home_tab_is_published_and_its_buttons_work(page: Page, parrot: Parrot) -> None:
    await page.get_by_role("link", name="Dolly").click()
    await page.get_by_role("tab", name="Home").click()
    home = page.locator("#home")
    await expect(home).to_contain_text("Hello @Asha, ask me anything.")
    await home.get_by_role("button", name="Say hello").click()
    await eventually(lambda: bool(parrot.heard))
    assert parrot.heard[0]["container"]["type"] == "view"
    await page.get_by_role("tab", name="Messages").click()
    await expect(page.get_by_text("This is you and Dolly")).to_be_visible()
    await page.reload()
    await page.wait_for_url(re.compile("/D0ASHA00001$"))
