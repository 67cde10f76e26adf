"""The page's sheet of answers to rate over HTTP: what it shows, keeps and refuses."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from bot.local.workspace.workspace import Workspace

ASHA = "U0ASHA00001"
ITEMS = [{"id": f"{place}f", "question": "Why?", "input": "", "answer": f"So\u2028{place}"} for place in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As `dolly-trainer rate sheet` leaves it."""
    made = tmp_path / "ratings"
    made.mkdir()
    made.joinpath("sheet.jsonl").write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in ITEMS))
    made.joinpath("key.json").write_text('{"items": {"0f": {"label": "secret"}}}')
    return made


@pytest.fixture
async def browser(folder: Path) -> AsyncIterator[ClientSession]:
    workspace = Workspace(ratings=folder)
    await workspace.start()
    async with ClientSession(workspace.url) as session:
        yield session
    await workspace.stop()


async def shown(browser: ClientSession) -> tuple[int, Any]:
    async with browser.get("/page/ratings", params={"user_id": ASHA}) as response:
        return response.status, await response.json()


async def rate(browser: ClientSession, item: Any, rating: Any, **headers: str) -> tuple[int, Any]:
    body = {"user_id": ASHA, "item": item, "rating": rating}
    async with browser.post("/page/rate", json=body, headers=headers) as response:
        return response.status, await response.json()


async def test_what_is_rated_is_kept_and_what_is_taken_back_is_not(browser: ClientSession, folder: Path) -> None:
    for item, rating in (("0f", "A"), ("1f", "B"), ("0f", "D"), ("1f", None)):
        assert await rate(browser, item, rating) == (200, None)
    assert await shown(browser) == (200, {"items": ITEMS, "ratings": [{"item": "0f", "rating": "D"}]})
    lines = [json.loads(line) for line in (folder / "ratings-asha.jsonl").read_text().splitlines()]
    assert [(line["item"], line["rating"]) for line in lines] == [("0f", "A"), ("1f", "B"), ("0f", "D"), ("1f", None)]


async def test_nothing_of_the_key_is_shown(browser: ClientSession) -> None:
    assert "secret" not in json.dumps((await shown(browser))[1])
    for path in ("/static/key.json", "/key.json", "/rate/key.json", "/static/..%2Fkey.json"):
        async with browser.get(path) as response:
            assert response.status == 404
            assert "secret" not in await response.text()


async def test_a_line_that_a_kill_has_cut_off_does_not_count(browser: ClientSession, folder: Path) -> None:
    path = folder / "ratings-asha.jsonl"
    path.write_text('{"item": "0f", "rating": "A"}\n{"item": "1f", "rat')
    assert (await shown(browser))[1]["ratings"] == [{"item": "0f", "rating": "A"}]
    await rate(browser, "2f", "C")
    assert [json.loads(line)["rating"] for line in path.read_text().splitlines()] == ["A", "C"]


async def test_a_whole_last_line_without_its_end_counts_and_stays(browser: ClientSession, folder: Path) -> None:
    path = folder / "ratings-asha.jsonl"
    path.write_text('{"item": "0f", "rating": "A"}')
    assert (await shown(browser))[1]["ratings"] == [{"item": "0f", "rating": "A"}]
    await rate(browser, "2f", "C")
    assert [json.loads(line)["rating"] for line in path.read_text().splitlines()] == ["A", "C"]


@pytest.mark.parametrize(
    ("item", "rating", "status", "said"),
    [
        ("0f", "E", 400, "A, B, C or D"),
        ("0f", ["A"], 400, "is not text"),
        ("9f", "A", 409, "Reload the page"),
        (7, "A", 400, "item is missing or is not text"),
    ],
)
async def test_what_is_no_rating_is_refused(
    browser: ClientSession, folder: Path, item: Any, rating: Any, status: int, said: str
) -> None:
    answered, body = await rate(browser, item, rating)
    assert answered == status
    assert said in body["error"]
    assert not (folder / "ratings-asha.jsonl").exists()


async def test_another_sites_page_cannot_rate(browser: ClientSession, folder: Path) -> None:
    assert (await rate(browser, "0f", "A", Origin="https://elsewhere.example"))[0] == 403
    assert not (folder / "ratings-asha.jsonl").exists()


@pytest.mark.parametrize(
    ("file", "text", "status", "said"),
    [
        ("sheet.jsonl", "nothing\n", 500, "cannot be read as a sheet"),
        ("sheet.jsonl", '{"id": "0f"}\n', 500, "cannot be read as a sheet"),
        ("ratings-asha.jsonl", "nothing\n", 500, "rate report"),
        ("ratings-asha.jsonl", '{"item": "9f", "rating": "A"}\n', 409, "another sheet"),
    ],
)
async def test_files_that_are_none_are_named(
    browser: ClientSession, folder: Path, file: str, text: str, status: int, said: str
) -> None:
    (folder / file).write_text(text)
    answered, body = await shown(browser)
    assert answered == status
    assert said in body["error"]
    assert file in body["error"]


async def test_a_sheet_may_come_while_the_page_is_open(browser: ClientSession, folder: Path) -> None:
    os.rename(folder, folder.with_name("away"))
    assert (await shown(browser))[0] == 404
    async with browser.get("/page/state") as response:
        assert (await response.json())["has_sheet"] is False
    os.rename(folder.with_name("away"), folder)
    async with browser.get("/page/state") as response:
        assert (await response.json())["has_sheet"] is True
