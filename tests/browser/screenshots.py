"""Makes docs/workspace.png, the picture in the README, or with --all the page in every width and theme.

    python -m tests.browser.screenshots [--all FOLDER]

The README's picture shows Dolly itself, its engine scripted so that the text is the one below; --all shows
the page with the test's own app, which has more to click than Dolly. Needs Chromium.
"""

import asyncio
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from bot.local.store import LocalStore
from bot.local.workspace.workspace import Workspace
from tests.browser.chromium import launch
from tests.browser.parrot import MANIFEST, Parrot
from tests.scenarios.conftest import running_team
from tests.scripted_engine import Script, ScriptedEngine

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "workspace.png"
GENERAL, ASHA, BEN, CHEN = "C0GENERAL01", "U0ASHA00001", "U0BEN000001", "U0CHEN00001"
DESKTOP, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)

BEFORE = [
    (BEN, "Morning! The release notes for *2.4* are in the shared folder :memo:"),
    (CHEN, "Thanks <@U0BEN000001>, reading them now"),
    (CHEN, "One thing: `--dry-run` is missing from the list of flags"),
]
QUESTION = "@dolly how do we write release notes that people read?"
ANSWER = [
    "Three habits help:\n\n",
    "1. **Lead with what changed for the reader**, not with what you did.\n",
    "2. **One line per change**, newest first, each with a link to more.\n",
    "3. **Say what to do**, if anything:\n\n",
    "```shell\nmake upgrade   # about a minute\n```\n\n",
    "Leave out what nobody will notice.",
]
FOLLOW_UP = "And how long should they be?"
SEEN_TOKENS = 10
RATED = {"id": "1", "question": QUESTION.removeprefix("@dolly "), "input": "", "answer": "".join(ANSWER)}
SECOND_ANSWER = [
    "Short enough to read ",
    "while the coffee is made: ",
    "about **150 words**. ",
    "Put the rest behind",
    " links.",
]


def talk(workspace: Workspace) -> None:
    """What people said before."""
    for user_id, text in BEFORE:
        workspace.timeline.post(GENERAL, user_id, text)
    first = workspace.timeline.history(GENERAL)[0][-1]["ts"]
    for user_id in (ASHA, CHEN):
        workspace.timeline.add_reaction(GENERAL, first, user_id, "tada")
    workspace.timeline.add_reaction(GENERAL, first, CHEN, "eyes")


async def picture_dolly(browser: Browser) -> None:
    """Dolly in its workspace, its second answer half written."""
    with TemporaryDirectory() as folder:
        store = LocalStore(Path(folder))
        await store.start()
        script = Script(text="".join(SECOND_ANSWER), end="hang", after=SEEN_TOKENS, tokens_per_second=20)
        async with ScriptedEngine(script) as engine, running_team(store.url, engine.url, max_tokens=400) as team:
            engine.then(Script(text="".join(ANSWER)))
            talk(team.workspace)
            thread_ts = await team.say("asha", QUESTION)
            await team.answered(thread_ts)
            await team.say("asha", f"@dolly {FOLLOW_UP}", thread=thread_ts)
            await _answered(team.workspace, thread_ts, len("Short enough to read while the"))
            context = await browser.new_context(viewport=DESKTOP, color_scheme="light")
            page = await _open(await context.new_page(), team.workspace, f"{GENERAL}/{thread_ts}")
            await page.screenshot(path=PICTURE)
            await context.close()
        await store.stop()


async def converse(workspace: Workspace, parrot: Parrot) -> str:
    """Say it all, and leave the second answer half written. Returns the ts of the thread."""
    talk(workspace)
    await workspace.people.share(CHEN, GENERAL, [("flags.md", b"--dry-run" * 300)], "What I have so far")
    await workspace.people.invite("mia", GENERAL, team_id="T0OTHERCO01")
    parrot.pieces, parrot.title = ANSWER, "Release notes"
    thread_ts = str(workspace.timeline.post(GENERAL, ASHA, QUESTION.replace("@dolly", "<@U0DOLLYBOT1>"))["ts"])
    await _answered(workspace, thread_ts, len("".join(ANSWER)))
    parrot.pieces = SECOND_ANSWER
    parrot.may_write.clear()
    parrot.waits_before = 4
    workspace.timeline.post(GENERAL, ASHA, f"<@U0DOLLYBOT1> {FOLLOW_UP}", thread_ts=thread_ts)
    await _answered(workspace, thread_ts, len("".join(SECOND_ANSWER[:4])))
    return thread_ts


async def _answered(workspace: Workspace, thread_ts: str, length: int) -> None:
    async with asyncio.timeout(20):
        while len(workspace.timeline.replies(GENERAL, thread_ts)[0][-1]["text"]) < length:
            await asyncio.sleep(0.05)


async def take_all(browser: Browser, workspace: Workspace, thread_ts: str, folder: Path) -> None:
    """Every place in every width and theme, one file each."""
    places = {
        "thread": f"{GENERAL}/{thread_ts}",
        "channel": GENERAL,
        "home": "D0ASHA00001/home",
        "direct": "D0ASHA00001",
    }
    for theme in ("light", "dark"):
        for width, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
            context = await browser.new_context(viewport=viewport, color_scheme=theme)
            for name, place in places.items():
                page = await _open(await context.new_page(), workspace, place)
                await page.screenshot(path=folder / f"{name}-{width}-{theme}.png")
                if name == "channel":
                    await _open_what_opens(page, folder, f"{width}-{theme}")
                if name == "channel" and width == "phone":
                    await page.locator(".back").first.click()
                    await page.screenshot(path=folder / f"sidebar-{width}-{theme}.png")
                if name == "thread":
                    await page.get_by_role("button", name="Fix this answer").first.click()
                    await page.locator("#modal[open]").wait_for()
                    await page.screenshot(path=folder / f"modal-{width}-{theme}.png")
                    await page.keyboard.press("Escape")
                await page.close()
            page = await context.new_page()
            await page.goto(f"{workspace.url}rate")
            await page.wait_for_load_state("networkidle")
            await page.screenshot(path=folder / f"rate-{width}-{theme}.png")
            await context.close()


async def _open_what_opens(page: Page, folder: Path, suffix: str) -> None:
    """A message's menu, the slash completion, a question before what cannot be undone, a person to add."""
    await page.locator("#messages article").nth(1).focus()
    await page.keyboard.press("m")
    await page.screenshot(path=folder / f"menu-{suffix}.png")
    await page.keyboard.press("Escape")
    await page.locator('#composer input[type="file"]').set_input_files(PICTURE)
    await page.locator("#composer textarea").press_sequentially("/do")
    await page.screenshot(path=folder / f"slash-{suffix}.png")
    await page.keyboard.press("Tab")
    await page.get_by_role("button", name="Remove workspace.png").click()
    await page.keyboard.type("offer")
    await page.locator("#composer textarea").press("Enter")
    await page.locator(".ephemeral").last.get_by_role("button", name="Forget me").click()
    await page.screenshot(path=folder / f"confirm-{suffix}.png")
    await page.keyboard.press("Escape")
    await page.evaluate("document.getElementById('invite').showModal()")
    await page.screenshot(path=folder / f"invite-{suffix}.png")
    await page.keyboard.press("Escape")


async def _open(page: Page, workspace: Workspace, place: str) -> Page:
    await page.goto(f"{workspace.url}#/{ASHA}/{place}")
    await page.locator(".place[aria-current]").wait_for(state="attached")
    await page.wait_for_load_state("networkidle")
    await page.evaluate("document.fonts.ready")
    return page


def write_sheet(folder: Path) -> None:
    """One answer to rate."""
    (folder / "sheet.jsonl").write_text(json.dumps(RATED) + "\n")


async def picture_all(browser: Browser, folder: Path) -> None:
    """The page with the test's own app."""
    with TemporaryDirectory() as ratings:
        write_sheet(Path(ratings))
        workspace = Workspace(manifest=MANIFEST, ratings=Path(ratings))
        await workspace.start()
        parrot = Parrot(workspace)
        await parrot.start()
        try:
            await take_all(browser, workspace, await converse(workspace, parrot), folder)
        finally:
            await parrot.stop()
            await workspace.stop()


async def main() -> None:
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        try:
            await (picture_all(browser, Path(sys.argv[2])) if sys.argv[1:2] == ["--all"] else picture_dolly(browser))
        finally:
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
