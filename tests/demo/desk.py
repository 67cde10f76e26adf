"""Asha at the workspace page, in a real browser: she asks, corrects, reviews and commands Dolly."""

import asyncio
import re
import time
from pathlib import Path

from playwright.async_api import Locator, Page, expect

from bot.words import Words
from tests.demo.facts import Fact

ASHA, GENERAL = "U0ASHA00001", "general"
WORDS = Words()
ANSWER_MS = 120_000.0
BADLY = (
    *("retrain_refused", "retrain_evidence", "retrain_failed", "retrain_cancelled"),
    *("promote_failed", "rollback_failed"),
)
"""How a job ends that does not end well, by Dolly's words."""
LOOK_SECONDS = 0.5


class Desk:
    """What Asha does; each step as she would do it, and looked at as she would see it."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self._page = page
        self._url = url
        self._pictures = pictures

    async def open(self) -> None:
        """The page, in #general."""
        await self._page.goto(self._url)
        await self._page.wait_for_selector(f"#channel-name:has-text('{GENERAL}')")

    async def picture(self, name: str) -> None:
        """What she sees now, as a file."""
        await self._page.screenshot(path=self._pictures / f"{name}.png")

    async def ask(self, question: str, *, about: Path | None = None) -> str:
        """Ask in #general, open the thread, wait for the whole answer; its text. The thread stays open.

        `about` is a file that goes with the question.
        """
        await self._channel()
        if about is not None:
            await self._page.locator('#composer input[type="file"]').set_input_files(about)
        began = time.time()
        await self._type(f"@dolly {question}")
        asked = self._page.locator("#messages article", has_text=question).last
        await expect(asked).to_be_visible()
        while float(ts := await asked.get_attribute("data-ts") or 0) < began:  # asked before, in the same words
            await asyncio.sleep(LOOK_SECONDS / 10)
        await self._page.goto(f"{self._url}#/{ASHA}/{await self._channel_id()}/{ts}")
        await expect(self._page.locator(f"#thread-messages article[data-ts='{ts}']")).to_be_visible()
        answer = self._answer()
        await expect(answer.get_by_role("group", name="Feedback")).to_be_visible(timeout=ANSWER_MS)
        await expect(self._page.locator("#thread-messages .streaming")).to_have_count(0, timeout=ANSWER_MS)
        return (await answer.locator(".block-markdown .text").first.inner_text()).strip()

    async def follow_up(self, question: str) -> str:
        """Ask once more in the open thread, and wait for the answer; its text."""
        answers = self._answer()
        before = await answers.count()
        box = self._page.locator("#thread-composer textarea")
        await box.fill(f"@dolly {question}")
        await box.press("Enter")
        await expect(answers).to_have_count(before + 1, timeout=ANSWER_MS)
        await expect(answers.last.get_by_role("group", name="Feedback")).to_be_visible(timeout=ANSWER_MS)
        return (await answers.last.locator(".block-markdown .text").first.inner_text()).strip()

    async def correct(self, fact: Fact) -> None:
        """Put the answer of the open thread right."""
        await self._answer().get_by_role("group", name="Feedback").get_by_role("button").nth(1).click()
        form = self._page.locator("#modal")
        await form.get_by_label(WORDS.say("feedback_correction")).fill(fact.correction)
        await self.picture("correct")
        await form.get_by_role("button", name=WORDS.say("form_save")).click()
        await expect(form).to_be_hidden()

    async def consent(self) -> None:
        """Let the channel's feedback train a model."""
        await self._channel()
        await self._type("/dolly channel")
        form = self._page.locator("#modal")
        await form.get_by_label(WORDS.say("channel_consent")).check()
        await form.get_by_role("button", name=WORDS.say("form_save")).click()
        await expect(form).to_be_hidden()

    async def review(self, facts: tuple[Fact, ...]) -> None:
        """Approve each correction, with neighbours and other wordings."""
        await self._channel()
        await self._type("/dolly admin review")
        form = self._page.locator("#modal")
        for _ in facts:
            correction = form.get_by_label(WORDS.say("review_correction"))
            await expect(correction).to_be_visible()
            shown = await correction.input_value()
            fact = next(each for each in facts if each.correction == shown)
            await form.get_by_label(WORDS.say("review_neighbours")).fill("\n".join(fact.neighbours))
            await form.get_by_label(WORDS.say("review_paraphrases")).fill("\n".join(fact.paraphrases))
            await self._without_suggestions(form)
            await self.picture("review")
            await form.get_by_role("button", name=WORDS.say("review_next")).click()
            await expect(form.get_by_text(fact.question)).to_have_count(0)
        await form.locator("footer [data-close]").click()
        await expect(form).to_be_hidden()

    async def retrain(self) -> str:
        """Retrain, and watch it in the direct message; the revision that has passed the gate."""
        await self._command("/dolly admin retrain")
        return await self._ended("retrain_passed", picture="progress")

    async def promote(self, revision: str) -> None:
        """Have it answer, and wait until it does."""
        await self._command(f"/dolly admin promote {revision}")
        await self._ended("promote_done")
        await self.picture("promoted")

    async def roll_back(self) -> None:
        """Have the model before it answer again."""
        await self._command("/dolly admin rollback")
        await self._ended("rollback_done")

    def _answer(self) -> Locator:
        return self._page.locator("#thread-messages article", has=self._page.locator(".badge"))

    async def _without_suggestions(self, form: Locator) -> None:
        """The model's own questions, where they have come by now, are not ticked: the demo asks its own."""
        for box in await form.get_by_role("checkbox").all():
            await box.uncheck()

    async def _command(self, text: str) -> None:
        """Say it in #general, and see Dolly's word that it has begun."""
        await self._channel()
        told = self._page.locator("#messages article.ephemeral")
        before = await told.count()
        await self._type(text)
        await expect(told).to_have_count(before + 1)

    async def _ended(self, well: str, picture: str = "") -> str:
        """Wait for Dolly's newest direct message to say that it ended so (a key of its words); the revision in it.

        Raises AssertionError with the message where it ended otherwise. `picture` is taken of the fullest bar.
        """
        await self._page.goto(f"{self._url}#/{ASHA}/D0ASHA00001")
        newest = self._page.locator("#messages article", has=self._page.locator(".badge")).last
        await expect(newest).to_be_visible()
        shown = 0
        while not (found := re.search(_pattern(well), text := await newest.inner_text())):
            if any(re.search(_pattern(key), text) for key in BADLY):
                raise AssertionError(text)
            if picture and shown < (full := text.count("█")):
                shown = full
                await self.picture(picture)
            await asyncio.sleep(LOOK_SECONDS)
        return found[1]

    async def _channel(self) -> None:
        await self._page.goto(f"{self._url}#/{ASHA}/{await self._channel_id()}")
        await self._page.wait_for_selector(f"#channel-name:has-text('{GENERAL}')")

    async def _channel_id(self) -> str:
        response = await self._page.request.get(f"{self._url}page/state", params={"user_id": ASHA})
        return next(each["id"] for each in (await response.json())["channels"] if each["name"] == GENERAL)  # type: ignore[no-any-return]

    async def _type(self, text: str) -> None:
        box = self._page.locator("#composer textarea")
        await box.fill(text)
        await box.press("Enter")


def _pattern(key: str) -> str:
    """Dolly's words as the page shows them, with a group for the revision."""
    shown = re.sub(r"[*`_]", "", WORDS.say(key, revision="§"))
    return re.escape(shown).replace("§", r"(\S+)")
