"""Makes docs/workspace.png, the picture in the README, and with --all the page in every width and theme.

    python -m tests.browser.screenshots [--all FOLDER]

A real workspace, a real app and Chromium; the conversation is the one below. Needs Chromium.
"""

import asyncio
import sys
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from bot.local.workspace.workspace import Workspace
from tests.browser.chromium import launch
from tests.browser.parrot import Parrot

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "workspace.png"
GENERAL, ASHA, BEN, CHEN = "C0GENERAL01", "U0ASHA00001", "U0BEN000001", "U0CHEN00001"
DESKTOP, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)

BEFORE = [
    (BEN, "Morning! The release notes for *2.4* are in the shared folder :memo:"),
    (CHEN, "Thanks <@U0BEN000001>, reading them now"),
    (CHEN, "One thing: `--dry-run` is missing from the list of flags"),
]
QUESTION = "<@U0DOLLYBOT1> how do we write release notes that people read?"
ANSWER = [
    "Three habits help:\n\n",
    "1. **Lead with what changed for the reader**, not with what you did.\n",
    "2. **One line per change**, newest first, each with a link to more.\n",
    "3. **Say what to do**, if anything:\n\n",
    "```shell\nmake upgrade   # about a minute\n```\n\n",
    "Leave out what nobody will notice.",
]
FOLLOW_UP = "And how long should they be?"
SECOND_ANSWER = [
    "Short enough to read ",
    "while the coffee is made: ",
    "about **150 words**. ",
    "Put the rest behind",
    " links.",
]


async def converse(workspace: Workspace, parrot: Parrot) -> str:
    """Say it all, and leave the second answer half written. Returns the ts of the thread."""
    for user_id, text in BEFORE:
        workspace.timeline.post(GENERAL, user_id, text)
    first = workspace.timeline.history(GENERAL)[0][-1]["ts"]
    for user_id in (ASHA, CHEN):
        workspace.timeline.add_reaction(GENERAL, first, user_id, "tada")
    workspace.timeline.add_reaction(GENERAL, first, CHEN, "eyes")
    parrot.pieces, parrot.title = ANSWER, "Release notes"
    thread_ts = str(workspace.timeline.post(GENERAL, ASHA, QUESTION)["ts"])
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


async def take(browser: Browser, workspace: Workspace, thread_ts: str, folder: Path | None) -> None:
    context = await browser.new_context(viewport=DESKTOP, color_scheme="light")
    page = await _open(await context.new_page(), workspace, f"{GENERAL}/{thread_ts}")
    await page.screenshot(path=PICTURE)
    await context.close()
    if folder is None:
        return
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
                if name == "channel" and width == "phone":
                    await page.locator(".back").first.click()
                    await page.screenshot(path=folder / f"sidebar-{width}-{theme}.png")
                if name == "thread":
                    await page.get_by_role("button", name="Fix this answer").first.click()
                    await page.locator("#modal[open]").wait_for()
                    await page.screenshot(path=folder / f"modal-{width}-{theme}.png")
                    await page.keyboard.press("Escape")
                await page.close()
            await context.close()


async def _open(page: Page, workspace: Workspace, place: str) -> Page:
    await page.goto(f"{workspace.url}#/{ASHA}/{place}")
    await page.locator(".place[aria-current]").wait_for(state="attached")
    await page.wait_for_load_state("networkidle")
    await page.evaluate("document.fonts.ready")
    return page


async def main() -> None:
    folder = Path(sys.argv[2]) if sys.argv[1:2] == ["--all"] else None
    workspace = Workspace()
    await workspace.start()
    parrot = Parrot(workspace)
    await parrot.start()
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        try:
            await take(browser, workspace, await converse(workspace, parrot), folder)
        finally:
            await browser.close()
            await parrot.stop()
            await workspace.stop()
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1024} kB")


if __name__ == "__main__":
    asyncio.run(main())
