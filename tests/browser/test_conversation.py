"""People talk with the app on the page: mention, stream, thread, stop, commands, drafts, and what a reload keeps."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from bot.local.workspace.workspace import Workspace
from tests.browser.conftest import Watched
from tests.browser.parrot import Parrot

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWER = "It is forty-two, as everybody knows."


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.02)


async def height(element: Locator) -> float:
    box = await element.bounding_box()
    assert box is not None
    return box["height"]


async def mention(page: Page, question: str) -> None:
    box = page.get_by_label("Message #general")
    await box.press_sequentially("hey @do")
    await expect(page.locator("#composer").get_by_role("option")).to_have_text(re.compile("Dolly"))
    await box.press("Enter")
    await box.press_sequentially(question)
    await box.press("Enter")


async def test_a_mention_is_answered_in_its_thread_as_it_is_written(page: Page, parrot: Parrot) -> None:
    parrot.may_write.clear()
    await mention(page, "what is *six times seven*?")
    question = page.locator("#messages article", has_text="six times seven")
    await expect(question.locator("strong")).to_have_text("six times seven")
    await expect(question.locator(".mention")).to_have_text("@Dolly")
    await expect(question.locator(".thread-status")).to_be_visible()

    await question.locator(".thread-link").click()
    answer = page.locator("#thread-messages article.streaming")
    await expect(answer.locator(".text")).to_have_text("It is")
    await expect(page.locator("#work .stop")).to_be_visible()

    parrot.may_write.set()
    answer = page.locator("#thread-messages article", has_text=ANSWER)
    await expect(answer.locator("strong")).to_have_text("forty-two")
    await expect(page.locator("#thread-messages .streaming")).to_have_count(0)
    await expect(page.locator("#work .stop")).to_have_count(0)
    await expect(question.locator(".thread-link")).to_have_text("1 reply")
    await expect(answer.locator(".badge")).to_have_text("APP")

    await page.reload()
    await expect(page.locator("#thread-messages article", has_text=ANSWER)).to_be_visible()
    await expect(question).to_be_visible()


async def test_half_of_bold_never_shows_its_stars(page: Page, parrot: Parrot) -> None:
    parrot.pieces = [
        "A ",
        "**bo",
        "ld**",
        " word.\n\n```python\n",
        "print(1)\n",
        "```\n\n| a | b |\n",
        "|--|--|\n| 1 | 2 |\n",
    ]
    await page.evaluate(
        """() => {
          window.seen = [];
          new MutationObserver(() => {
            for (const text of document.querySelectorAll("#thread-messages .text")) window.seen.push(text.textContent);
          }).observe(document.getElementById("thread-messages"), { childList: true, subtree: true });
        }"""
    )
    parrot.may_write.clear()
    await mention(page, "go")
    await page.locator(".thread-link").click()
    parrot.may_write.set()
    await expect(page.locator("#thread-messages td")).to_have_text(["1", "2"])
    await expect(page.locator("#thread-messages .language")).to_have_text("python")
    seen = await page.evaluate("window.seen")
    assert len(seen) > 4
    assert not [text for text in seen if "*" in text or "`" in text or "|" in text]


async def test_stop_ends_what_is_being_written(page: Page, parrot: Parrot) -> None:
    parrot.may_write.clear()
    await mention(page, "tell me everything")
    await page.locator(".thread-link").click()
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("#thread-messages .ending")).to_have_text("Stopped.")
    parrot.may_write.set()
    await eventually(lambda: {"refused": "stopped_by_user"} in parrot.heard)
    assert any(heard.get("type") == "agent_session_stopped" for heard in parrot.heard)


async def test_a_direct_message_opens_its_thread_and_goes_on_there(page: Page, parrot: Parrot) -> None:
    await page.get_by_role("link", name="Dolly").click()
    await expect(page.get_by_text("This is you and Dolly")).to_be_visible()
    await page.get_by_label("Message Dolly").press_sequentially("What can you do?\n")
    await expect(page.locator("#thread-messages article", has_text=ANSWER)).to_be_visible()
    await page.get_by_label("Reply…").press_sequentially("And why?\n")
    await expect(page.locator("#thread-messages article", has_text=ANSWER)).to_have_count(2)
    await expect(page.locator("#messages .thread-link")).to_contain_text("3 replies")


async def test_a_command_is_completed_and_answered_to_its_person_only(
    page: Page, context: BrowserContext, workspace: Workspace, parrot: Parrot
) -> None:
    ben = await context.new_page()
    await ben.goto(f"{workspace.url}#/U0BEN000001/C0GENERAL01")
    box = page.get_by_label("Message #general")
    await box.press_sequentially("/do")
    await expect(page.locator("#composer").get_by_role("option")).to_have_text(re.compile("/dolly.*Ask Dolly"))
    await box.press("Tab")
    await box.press_sequentially("help me")
    await box.press("Enter")
    reply = page.locator("article.ephemeral")
    await expect(reply).to_contain_text("You said: help me")
    await expect(reply).to_contain_text("Only visible to you")
    assert parrot.heard[-1]["text"] == "help me"
    await box.press_sequentially("after\n")
    await expect(ben.locator("#messages article", has_text="after")).to_be_visible()
    await expect(ben.locator("article.ephemeral")).to_have_count(0)


async def test_what_fails_is_told_in_a_sentence(page: Page, watched: Watched) -> None:
    box = page.get_by_label("Message #general")
    await box.press_sequentially("/nothing here\n")
    await expect(page.locator(".notice")).to_contain_text("/nothing is not a command here")
    await expect(box).to_have_value("/nothing here")
    assert len(watched.faults) == 1
    assert "400 (Bad Request)" in watched.faults.pop()


async def test_an_app_that_does_not_answer_is_told(page: Page, workspace: Workspace, parrot: Parrot) -> None:
    await parrot.stop()
    await page.get_by_label("Message #general").press_sequentially("/dolly hello\n")
    await expect(page.locator(".notice")).to_contain_text("Dolly did not respond")


async def test_people_see_each_other_and_what_they_missed(
    page: Page, context: BrowserContext, workspace: Workspace
) -> None:
    ben = await context.new_page()
    await ben.goto(f"{workspace.url}#/U0BEN000001/C0RANDOM001")
    await expect(ben.locator("#me")).to_have_value("U0BEN000001")
    await page.bring_to_front()
    await page.get_by_label("Message #general").press_sequentially("hello @ben \n")
    await expect(ben.locator(".place.unread")).to_contain_text("general")
    await expect(ben.locator(".place.unread .count")).to_have_text("1")
    await ben.bring_to_front()
    await ben.get_by_role("link", name=re.compile("general")).click()
    await expect(ben.locator(".mention-me")).to_have_text("@Ben")
    await expect(ben.locator(".place.unread")).to_have_count(0)

    await ben.locator("#messages article").hover()
    await expect(ben.get_by_role("button", name="Edit message")).to_have_count(0)
    await ben.get_by_role("button", name="Add a reaction").click()
    await ben.get_by_role("menuitem", name="tada").click()
    reaction = page.locator("#messages .reaction", has_text="🎉")
    await expect(reaction).to_have_attribute("aria-pressed", "false")
    await reaction.click()
    await expect(reaction).to_have_text("🎉 2")
    await reaction.click()
    await expect(reaction).to_have_text("🎉 1")


async def test_own_messages_are_edited_and_deleted(page: Page) -> None:
    box = page.get_by_label("Message #general")
    await box.press_sequentially("one <two> @ben \n")
    await expect(page.locator("#messages article")).to_have_count(1)
    await box.press("ArrowUp")
    edit = page.get_by_role("textbox", name="Edit message")
    await expect(edit).to_have_value("one <two> @ben")
    await edit.fill("three & four")
    await edit.press("Enter")
    await expect(page.locator("#messages article")).to_contain_text("three & four(edited)")
    await page.locator("#messages article").hover()
    await page.get_by_role("button", name="Delete message").click()
    await page.locator("#confirm").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("This is the very beginning of #general")).to_be_visible()


async def test_older_messages_are_shown_on_demand_and_unread_ones_marked(page: Page, workspace: Workspace) -> None:
    for number in range(60):
        workspace.timeline.post("C0GENERAL01", "U0BEN000001", f"message {number}")
    await expect(page.locator("#messages article")).to_have_count(60)
    await page.get_by_role("link", name=re.compile("random")).click()
    await expect(page.locator("#channel-name")).to_have_text("# random")
    workspace.timeline.post("C0GENERAL01", "U0BEN000001", "since then")
    await expect(page.locator(".place.unread")).to_contain_text("general")
    await page.get_by_role("link", name=re.compile("general")).click()
    await expect(page.locator("#messages article")).to_have_count(50)
    await expect(page.locator("#messages .new-line + article")).to_contain_text("since then")
    await expect(page.get_by_text("since then")).to_be_in_viewport()
    await page.get_by_role("button", name="Show older messages").click()
    await expect(page.locator("#messages article")).to_have_count(61)
    await expect(page.locator("#messages article").first).to_contain_text("message 0")
    await expect(page.get_by_role("button", name="Show older messages")).to_have_count(0)
    await expect(page.locator("#messages article:not(.grouped)")).to_have_count(2)


async def test_drafts_stay_with_their_conversation(page: Page) -> None:
    await page.get_by_label("Message #general").fill("not yet")
    await page.get_by_role("link", name=re.compile("random")).click()
    await expect(page.get_by_label("Message #random")).to_have_value("")
    await page.reload()
    await page.get_by_role("link", name=re.compile("general")).click()
    await expect(page.get_by_label("Message #general")).to_have_value("not yet")


async def test_shift_enter_is_a_new_line_and_the_box_grows(page: Page) -> None:
    box = page.get_by_label("Message #general")
    before = await height(box)
    for _ in range(4):
        await box.press_sequentially("line")
        await box.press("Shift+Enter")
    assert await height(box) > before + 40
    await box.press("Enter")
    await expect(page.locator("#messages .text")).to_contain_text("line\nline", use_inner_text=True)


async def test_another_person_is_chosen_and_kept(page: Page, context: BrowserContext, workspace: Workspace) -> None:
    await page.get_by_label("You are").select_option("Chen")
    await expect(page.locator("#my-avatar text")).to_have_text("C")
    await page.get_by_label("Message #general").press_sequentially("from Chen\n")
    await expect(page.locator("#messages .author")).to_have_text("Chen")
    second = await context.new_page()
    await second.goto(workspace.url)
    await expect(second.locator("#me")).to_have_value("U0CHEN00001")


async def test_the_page_comes_back_with_the_server(
    page: Page, workspace: Workspace, parrot: Parrot, watched: Watched, database: Path
) -> None:
    await page.get_by_label("Message #general").press_sequentially("before\n")
    await expect(page.locator("#messages article")).to_have_count(1)
    watched.is_server_down = True
    await parrot.stop()
    port = int(workspace.url.rsplit(":", 1)[1].strip("/"))
    await workspace.stop()
    await expect(page.locator("#offline")).to_be_visible()
    again = Workspace(database, port=port)
    await again.start()
    try:
        again.timeline.post("C0GENERAL01", "U0BEN000001", "meanwhile")
        await expect(page.locator("#messages article", has_text="meanwhile")).to_be_visible()
        await expect(page.locator("#messages article", has_text="before")).to_be_visible()
        await expect(page.locator("#offline")).to_be_hidden()
    finally:
        await again.stop()
        await workspace.start()
