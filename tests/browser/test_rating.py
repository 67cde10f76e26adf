"""People rate answers on the page: blindly, by keys and by buttons, each in their own file, which the trainer reads."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from rich.console import Console

from bot.local.workspace.workspace import Workspace
from tests.browser.conftest import Watched
from tests.browser.parrot import Parrot
from tests.trainer.evaluation.test_answer_files import PREDICTION, written
from trainer.evaluation.rating_sheet import read_sheet
from trainer.stages.rate import make_sheet, report_ratings

pytestmark = pytest.mark.asyncio(loop_scope="session")

BEN = "U0BEN000001"
QUIET = Console(quiet=True)


@pytest.fixture
def sheet(database: Path, tmp_path: Path) -> Path:
    """Two questions, of which one has no input, and two models."""
    asked = [PREDICTION | {"instruction": "Add."}, PREDICTION | {"instruction": "Write a note.", "input": ""}]
    files = {
        label: written(tmp_path / f"{label}.jsonl", *(row | {"response": f"<b>{said}</b>\n\n{said}"} for row in asked))
        for label, said in (("ours", "two"), ("theirs", ""))
    }
    make_sheet(files, database.parent / "ratings", number=252, seed=2, console=QUIET)
    return database.parent / "ratings"


def ratings(sheet: Path, name: str) -> list[Any]:
    lines = (sheet / f"ratings-{name}.jsonl").read_text().splitlines()
    places = {item.id: place for place, item in enumerate(read_sheet(sheet))}
    return [(places[line["item"]], line["rating"]) for line in map(json.loads, lines)]


async def test_answers_are_rated_by_keys_and_by_buttons(page: Page, sheet: Path, parrot: Parrot) -> None:
    await page.reload()
    await page.get_by_role("link", name="Rate answers").click()
    await expect(page.locator("#position")).to_have_text("Rated 0 of 4")
    first, *_ = read_sheet(sheet)
    assert await page.locator("#answer").text_content() == first.answer  # as text: nothing of it is markup
    await expect(page.locator("#input")).to_have_text("1 and 1")
    await page.keyboard.press("b")
    await expect(page.locator("#position")).to_have_text("Rated 1 of 4")
    await page.keyboard.press("s")  # the second waits
    await expect(page.locator("#input")).to_be_hidden()
    await page.get_by_role("button", name="D irrelevant or invalid").click()
    await expect(page.locator("#position")).to_have_text("Rated 2 of 4")
    await page.get_by_role("button", name="Undo").click()
    await expect(page.locator("#position")).to_have_text("Rated 1 of 4")
    await page.keyboard.press("A")
    await expect(page.locator("#position")).to_have_text("Rated 2 of 4")
    assert ratings(sheet, "asha") == [(0, "B"), (2, "D"), (2, None), (2, "A")]

    await page.reload()
    await expect(page.locator("#position")).to_have_text("Rated 2 of 4")
    for number in (3, 4):
        await page.keyboard.press("c")
        await expect(page.locator("#progress")).to_have_js_property("value", number)
    await expect(page.get_by_text("You have rated every answer.")).to_be_visible()
    assert len(report_ratings(sheet, console=QUIET).models) == 2


async def test_each_person_rates_for_themselves(page: Page, sheet: Path, workspace: Workspace) -> None:
    await page.goto(f"{workspace.url}rate")
    await expect(page.locator("#me")).to_have_value("U0ASHA00001")
    await page.keyboard.press("a")
    await expect(page.locator("#position")).to_have_text("Rated 1 of 4")
    await page.locator("#me").select_option("Ben")
    await expect(page.locator("#position")).to_have_text("Rated 0 of 4")
    await page.locator("h1").click()
    await page.keyboard.press("d")
    await expect(page.locator("#position")).to_have_text("Rated 1 of 4")
    assert (ratings(sheet, "asha"), ratings(sheet, "ben")) == ([(0, "A")], [(0, "D")])
    (agreement,) = report_ratings(sheet, console=QUIET).agreements
    assert (agreement.first, agreement.second, agreement.common) == ("asha", "ben", 1)
    await page.get_by_role("link", name="Back to the workspace").click()
    await expect(page.locator("#me")).to_have_value(BEN)


async def test_without_a_sheet_there_is_no_link(page: Page, watched: Watched, workspace: Workspace) -> None:
    await expect(page.locator("#my-avatar svg, #my-avatar .avatar").first).to_be_attached()
    await expect(page.get_by_role("link", name="Rate answers")).to_be_hidden()
    watched.is_server_down = True  # a console tells of the 404
    await page.goto(f"{workspace.url}rate")
    await expect(page.get_by_text("dolly-trainer rate sheet")).to_be_visible()
    await expect(page.locator(".letter").first).to_be_disabled()


async def test_a_rating_that_cannot_be_kept_is_told_and_asked_again(page: Page, sheet: Path, watched: Watched) -> None:
    await page.goto(page.url.partition("#")[0] + "rate")
    await expect(page.locator("#position")).to_have_text("Rated 0 of 4")
    (sheet / "ratings-asha.jsonl").mkdir()
    watched.is_server_down = True  # a console tells of the 500
    await page.keyboard.press("a")
    await expect(page.locator("#notices")).to_contain_text("Your rating was not kept")
    await expect(page.locator("#position")).to_have_text("Rated 0 of 4")


async def test_on_a_phone_and_in_the_dark(
    browser: Browser, watched: Watched, workspace: Workspace, sheet: Path, parrot: Parrot
) -> None:
    context = await browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, color_scheme="dark")
    context.on("page", watched.watch)
    page = await context.new_page()
    await page.goto(f"{workspace.url}rate")
    await page.get_by_role("button", name="A valid and satisfying").tap()
    await expect(page.locator("#position")).to_have_text("Rated 1 of 4")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    assert await page.evaluate("getComputedStyle(document.querySelector('#rate-main')).backgroundColor") != (
        "rgb(255, 255, 255)"
    )
    nameless = await page.evaluate(
        """() => [...document.querySelectorAll("button, a, select, progress")].filter((control) => {
          const label = control.labels?.[0]?.textContent ?? "";
          return !((control.ariaLabel ?? "") + label + control.textContent).trim();
        }).map((control) => control.outerHTML)"""
    )
    assert nameless == []
    await context.close()
