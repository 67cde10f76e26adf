"""What people do with the app beyond talking: shortcuts, files, prompts, messages for one, other people's eyes."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from bot.local.workspace.workspace import Workspace
from tests.browser.parrot import Parrot
from tests.browser.test_conversation import eventually, mention

pytestmark = pytest.mark.asyncio(loop_scope="session")

GENERAL, ASHA = "C0GENERAL01", "U0ASHA00001"


def read(path: Path) -> str:
    return path.read_text()


async def test_a_message_s_menu_offers_the_app_s_shortcuts(page: Page, workspace: Workspace, parrot: Parrot) -> None:
    await workspace.people.post(ASHA, GENERAL, "note this")
    message = page.locator("#messages article", has_text="note this")
    await message.hover()
    await message.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Ask Dolly about this").click()
    await expect(page.locator("#modal")).to_contain_text("note this")
    assert parrot.heard[0]["type"] == "message_action"
    assert parrot.heard[0]["callback_id"] == "note"
    await page.keyboard.press("Escape")
    await expect(page.locator("#modal")).to_be_hidden()
    await message.focus()
    await page.keyboard.press("m")
    await expect(page.get_by_role("menuitem")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("menuitem")).to_be_hidden()
    await expect(message).to_be_focused()


async def test_files_are_attached_shown_and_taken_home(page: Page, workspace: Workspace, tmp_path: Path) -> None:
    for name in ("notes.txt", "wrong.txt"):
        (tmp_path / name).write_text("three\nlines\n")
    chooser = page.locator('#composer input[type="file"]')
    await chooser.set_input_files([tmp_path / "notes.txt", tmp_path / "wrong.txt"])
    await page.get_by_role("button", name="Remove wrong.txt").click()
    await page.locator("#composer textarea").fill("read this")
    await page.keyboard.press("Enter")
    chip = page.locator("#messages .file-chip")
    await expect(chip).to_have_text("📄 notes.txt TXT 12 B")
    await expect(page.locator("#composer .attached")).to_be_hidden()
    async with page.expect_download() as download:
        await chip.click()
    assert read(await (await download.value).path()) == "three\nlines\n"
    message = workspace.timeline.history(GENERAL)[0][0]
    assert (message["subtype"], message["text"]) == ("file_share", "read this")


async def test_a_message_for_one_person_has_buttons_that_work(page: Page, workspace: Workspace) -> None:
    box = page.locator("#composer textarea")
    await box.fill("/dolly offer")
    await page.keyboard.press("Enter")
    offer = page.locator(".message.ephemeral")
    await expect(offer).to_contain_text("This is for you alone.")
    await offer.get_by_role("button", name="Share in channel").click()
    await expect(page.locator("#messages")).to_contain_text("Shared with all")
    await expect(offer).to_contain_text("You have shared it.")

    await box.fill("/dolly offer")
    await page.keyboard.press("Enter")
    second = page.locator(".message.ephemeral", has_text="This is for you alone.")
    await second.get_by_role("button", name="Forget me").click()
    question = page.locator("#confirm")
    await expect(question).to_contain_text("All that was said is deleted.")
    await question.get_by_role("button", name="Keep").click()
    await expect(second).to_be_visible()
    await second.get_by_role("button", name="Forget me").click()
    await question.get_by_role("button", name="Forget").click()
    await expect(second).to_be_hidden()


async def test_suggested_prompts_are_sent_by_a_click(page: Page, workspace: Workspace) -> None:
    await page.get_by_role("link", name="Dolly").click()
    await page.locator("#prompts").get_by_role("button", name="Say hello").click()
    await expect(page.locator("#messages")).to_contain_text("Hello, Parrot")
    channel_id = workspace.timeline.direct_channel(ASHA).id
    await expect(page.locator("#thread")).to_be_visible()
    thread_ts = workspace.timeline.history(channel_id)[0][0]["ts"]
    workspace.timeline.set_prompts(channel_id, thread_ts, [{"title": "Shorter", "message": "Say it shorter"}])
    await page.locator("#thread-prompts").get_by_role("button", name="Shorter").click()
    await expect(page.locator("#thread-messages")).to_contain_text("Say it shorter")


async def test_a_choice_on_the_home_tab(page: Page, parrot: Parrot) -> None:
    await page.get_by_role("link", name="Dolly").click()
    await page.get_by_role("tab", name="Home").click()
    await page.locator("#home select").select_option("Long")
    await eventually(lambda: bool(parrot.heard))
    assert parrot.heard[0]["actions"][0]["selected_option"]["value"] == "long"


async def test_one_sees_with_the_eyes_of_another_company(page: Page, workspace: Workspace) -> None:
    await mention(page, "hello")
    await page.locator("#me").select_option("Add a person…")
    dialog = page.locator("#invite")
    await dialog.get_by_label("Name").fill("Mia")
    await dialog.get_by_label("Who they are").select_option("Somebody of another company (Slack Connect)")
    await dialog.get_by_label("Their Slack's language").select_option("hi-IN")
    await dialog.get_by_role("button", name="Add, and be them").click()
    await expect(page.locator("#me option:checked")).to_have_text("Mia (another company)")
    await expect(page.locator(".place[aria-current]")).to_contain_text("general")
    await expect(page.locator(".place", has_text="team-help")).to_have_count(0)
    mia = next(user for user in workspace.timeline.users() if user.name == "mia")
    assert (mia.is_external, mia.locale) == (True, "hi-IN")
    assert workspace.timeline.is_shared(workspace.timeline.channel(GENERAL))  # type: ignore[arg-type]
