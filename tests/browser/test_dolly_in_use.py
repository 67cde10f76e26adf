"""What people do with Dolly on the page from then on: settings, home, channel, stop; its engine scripted."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from redis.asyncio import Redis

from bot.local.store import LocalStore
from bot.store.connection import connect
from bot.words import Words
from tests.browser.conftest import Watched
from tests.scenarios.conftest import Team, running_team
from tests.scenarios.corrections import LOOM, OFFICE, Reviewers
from tests.scripted_engine import Script, ScriptedEngine

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = Words()
ANSWER = "A loom is a **frame** to weave on."
MARKDOWN = f"""\
## Looms

{ANSWER}

1. Floor looms
   - counterbalance

| Loom | Shafts |
|------|--------|
| jack | 8 |

```python
weave("<warp>")
```

> Who weaves knows knots.
"""


@dataclass
class Desk:
    """Somebody at the page."""

    page: Page
    team: Team
    engine: ScriptedEngine

    async def type(self, text: str) -> None:
        box = self.page.locator("#composer textarea")
        await box.fill(text)
        await box.press("Enter")

    async def go(self, place: str) -> None:
        await self.page.goto(f"{self.team.workspace.url}#/{self.team.person('asha')}/{place}")

    async def asked(self, question: str = "what is a loom?") -> str:
        """Ask, open the thread and wait for the whole answer."""
        ts = await self.team.say("asha", f"@dolly {question}")
        await self.team.answered(ts)
        await self.go(f"{self.team.channel('general')}/{ts}")
        await expect(self.page.locator("#thread-messages")).to_contain_text("A loom is a frame")
        return ts


@pytest_asyncio.fixture(loop_scope="session")
async def desk(browser: Browser, watched: Watched, local_store: LocalStore, redis: Redis) -> AsyncIterator[Desk]:
    async with (
        ScriptedEngine(Script(text=ANSWER)) as engine,
        running_team(local_store.url, engine.url, max_tokens=200) as team,
    ):
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        context.on("page", watched.watch)
        desk = Desk(await context.new_page(), team, engine)
        await desk.go(team.channel("general"))
        yield desk
        await context.close()


async def test_settings_are_found_by_the_slash_and_kept(desk: Desk) -> None:
    page = desk.page
    await page.locator("#composer textarea").press_sequentially("/do")
    await expect(page.locator("#composer").get_by_role("option").first).to_contain_text("/dolly")
    await page.keyboard.press("Tab")
    await page.keyboard.type("settings")
    await page.keyboard.press("Enter")
    form = page.locator("#modal")
    await expect(form.get_by_role("heading", name=WORDS.say("settings_title"))).to_be_visible()
    await form.get_by_label(WORDS.say("settings_short")).check()
    await form.get_by_label(WORDS.say("settings_language")).select_option("Deutsch")
    await form.get_by_label(WORDS.say("settings_instructions")).fill("I weave at home.")
    await form.get_by_role("button", name=WORDS.say("form_save")).click()
    await expect(form).to_be_hidden()

    await desk.asked()
    told = desk.engine.requests[-1].messages[0]["content"]
    assert "Answer in German." in told
    assert "I weave at home." in told


async def test_the_home_tab_forgets_after_a_question_back(desk: Desk) -> None:
    page = desk.page
    await desk.asked()
    await page.get_by_role("link", name="Dolly").first.click()
    await page.get_by_role("tab", name="Home").click()
    home = page.locator("#home")
    await expect(home).to_contain_text("what is a loom?")
    await home.get_by_role("button", name=WORDS.say("forget_all_button")).click()
    await page.locator("#confirm").get_by_role("button", name=WORDS.say("forget_button")).click()
    await expect(home).to_contain_text(WORDS.say("forgotten_all"))
    await expect(home).not_to_contain_text("what is a loom?")


async def test_what_holds_in_the_channel_is_set_in_a_form(desk: Desk) -> None:
    page = desk.page
    await desk.type("/dolly channel")
    form = page.locator("#modal")
    await expect(form.get_by_role("heading", name=WORDS.say("channel_title"))).to_be_visible()
    await form.get_by_label(WORDS.say("channel_follow")).check()
    await form.get_by_label(WORDS.say("channel_prompt")).fill("Speak of looms.")
    await form.get_by_role("button", name=WORDS.say("form_save")).click()
    await expect(form).to_be_hidden()
    await desk.asked()
    reply = page.get_by_role("combobox", name="Reply…")
    await reply.fill("and without a mention?")
    await reply.press("Enter")
    await expect(page.locator("#thread-messages article", has_text="A loom is a frame")).to_have_count(2)
    assert "Speak of looms." in desk.engine.requests[-1].messages[0]["content"]


async def test_an_answer_stops_where_one_says_stop(desk: Desk) -> None:
    page = desk.page
    desk.engine.then(Script(text="word " * 400, tokens_per_second=20))
    ts = await desk.team.say("asha", "@dolly write a lot")
    await desk.go(f"{desk.team.channel('general')}/{ts}")
    answer = page.locator("#thread-messages article", has=page.locator(".badge"))
    await expect(answer).to_contain_text("word word")
    await page.locator("#work .stop").click()
    await expect(page.locator("#thread-messages .streaming")).to_have_count(0)
    await expect(page.locator("#work .stop")).to_be_hidden()
    assert len(await answer.locator(".text").inner_text()) < 1500


async def test_a_thumb_down_opens_the_answer_to_be_put_right(desk: Desk) -> None:
    page = desk.page
    await desk.asked()
    answer = page.locator("#thread-messages article", has=page.locator(".badge"))
    await answer.get_by_role("group", name="Feedback").get_by_role("button").nth(1).click()
    form = page.locator("#modal")
    await expect(form).to_be_visible()
    box = form.locator("textarea").first
    await expect(box).to_have_value(ANSWER)
    await box.fill("A loom is a machine to weave on.")
    await form.get_by_role("button", name=WORDS.say("form_save")).click()
    await expect(form).to_be_hidden()


async def test_the_page_draws_the_markdown_of_an_answer(desk: Desk) -> None:
    desk.engine.script = Script(text=MARKDOWN)
    await desk.asked()
    answer = desk.page.locator("#thread-messages article", has=desk.page.locator(".badge")).locator(".text")
    await expect(answer.get_by_role("heading")).to_have_text("Looms")
    await expect(answer.locator("ol > li > ul > li")).to_have_text("counterbalance")
    await expect(answer.locator("table th").first).to_have_text("Loom")
    await expect(answer.locator("table td").last).to_have_text("8")
    await expect(answer.locator("pre code")).to_have_text('weave("<warp>")')
    await expect(answer.locator("blockquote")).to_have_text("Who weaves knows knots.")
    await expect(answer.locator("strong")).to_have_text("frame")


async def test_an_admin_reviews_corrections_in_a_form(desk: Desk, local_store: LocalStore) -> None:
    """What is typed while the model still thinks stays; the next correction's boxes are its own."""
    redis = connect(local_store.url)  # in this test's loop
    reviewers = Reviewers(desk.team, redis)
    await reviewers.agree()
    office = await reviewers.corrected(OFFICE, "From eight to six.")
    loom = await reviewers.corrected(LOOM, "A frame for weaving.")
    desk.engine.script = Script(text="Who invented the loom?", first_token_seconds=1)
    await desk.go(reviewers.general)
    await desk.type("/dolly admin review")
    form = desk.page.locator("#modal")
    correction, neighbours = form.locator("textarea").nth(0), form.locator("textarea").nth(1)
    await expect(correction).to_have_value("A frame for weaving.")
    await neighbours.fill("What is a carpet?")
    await form.get_by_label("Who invented the loom?").check()
    await expect(neighbours).to_have_value("What is a carpet?")
    await form.get_by_role("button", name=WORDS.say("review_next")).click()
    await expect(correction).to_have_value("From eight to six.")
    await expect(neighbours).to_have_value("")
    await form.get_by_label(WORDS.say("review_reject")).check()
    await form.get_by_role("button", name=WORDS.say("review_next")).click()
    await expect(form).to_contain_text("1 approved, 1 rejected, 0 skipped.")
    assert (await reviewers.kept(loom)).neighbours == ("What is a carpet?", "Who invented the loom?")
    assert (await reviewers.kept(office)).review == "rejected"
    await redis.aclose()
