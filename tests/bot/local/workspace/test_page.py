"""The page's own HTTP and WebSocket: what it answers, whom it refuses, and what an open page is told."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from bot.local.workspace.page import page as page_module
from bot.local.workspace.workspace import Workspace

ASHA, BEN, GENERAL, RANDOM = "U0ASHA00001", "U0BEN000001", "C0GENERAL01", "C0RANDOM001"
STATIC = Path(page_module.__file__).parent / "static"
Json = dict[str, Any]


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    workspace = Workspace()
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest.fixture
async def browser(workspace: Workspace) -> AsyncIterator[ClientSession]:
    async with ClientSession(workspace.url) as session:
        yield session


async def read(browser: ClientSession, name: str, **query: str) -> Json:
    async with browser.get(f"/page/{name}", params={"user_id": ASHA, **query}) as response:
        assert response.status == 200
        return dict(await response.json())


async def act(browser: ClientSession, act_name: str, /, **body: Any) -> tuple[int, Any]:
    async with browser.post(f"/page/{act_name}", json={"user_id": ASHA, **body}) as response:
        return response.status, await response.json()


async def test_every_answer_carries_the_security_policy(browser: ClientSession) -> None:
    for path in ("/", "/static/app.js", "/page/state", "/page/channel", "/static/nothing.js"):
        async with browser.get(path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_and_its_files_name_nothing_elsewhere(browser: ClientSession) -> None:
    files = sorted(STATIC.iterdir())
    assert len(files) > 8
    for file in files:
        text = file.read_text()
        assert set(re.findall(r"https?://[^\s\"'<>]+", text)) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"\sstyle=|\son[a-z]+=\"|<script>", text), file.name
        async with browser.get("/" if file.name == "index.html" else f"/static/{file.name}") as response:
            assert response.status == 200
            assert await response.text() == text


@pytest.mark.parametrize("name", ["..%2f..%2fpage.py", "..%5cpage.py", "app.py", "", "%00", "."])
async def test_no_other_file_is_given(browser: ClientSession, name: str) -> None:
    async with browser.get(f"/static/{name}") as response:
        assert response.status == 404


async def test_state_names_people_channels_and_the_command(browser: ClientSession) -> None:
    state = await read(browser, "state")
    assert state["me"] == ASHA
    assert [user["real_name"] for user in state["users"]] == ["Asha", "Ben", "Chen", "Divya", "Dolly"]
    assert {"general", "random", "team-help"} <= {channel["name"] for channel in state["channels"]}
    assert state["commands"][0]["name"] == "/dolly"
    async with browser.get("/page/state", params={"user_id": "U0NOBODY"}) as response:
        assert (await response.json())["me"] == ASHA


async def test_people_have_direct_messages_that_the_app_never_hears(
    browser: ClientSession, workspace: Workspace
) -> None:
    state = await read(browser, "state")
    assert state == await read(browser, "state")
    partners = {channel["partner"]: channel["id"] for channel in state["channels"] if channel["kind"] == "im"}
    assert set(partners) == {"U0DOLLYBOT1", BEN, "U0CHEN00001", "U0DIVYA0001"}
    await act(browser, "post", channel_id=partners[BEN], text="between us")
    for_ben = await read(browser, "channel", channel_id=partners[BEN], user_id=BEN)
    assert "between us" in for_ben["messages"][0]["html"]
    assert not workspace.delivery.delivered
    headers = {"Authorization": f"Bearer {workspace.identity.bot_token}"}
    async with browser.get("/api/conversations.list", params={"types": "im"}, headers=headers) as response:
        listed = {channel["id"] for channel in (await response.json())["channels"]}
    assert partners["U0DOLLYBOT1"] in listed
    assert partners[BEN] not in listed


async def test_what_is_said_is_read_and_paged(browser: ClientSession, workspace: Workspace) -> None:
    for number in range(60):
        workspace.timeline.post(GENERAL, ASHA, f"message {number}")
    newest = await read(browser, "channel", channel_id=GENERAL)
    assert len(newest["messages"]) == 50
    assert newest["has_more"]
    assert "message 59" in newest["messages"][-1]["html"]
    older = await read(browser, "channel", channel_id=GENERAL, before=newest["messages"][0]["ts"])
    assert [f"message {number}<" in item["html"] for number, item in enumerate(older["messages"])] == [True] * 10
    assert not older["has_more"]


async def test_people_act(browser: ClientSession, workspace: Workspace) -> None:
    _, said = await act(browser, "post", channel_id=GENERAL, text="hi @ben & <b>")
    ts = said["ts"]
    assert (await read(browser, "source", channel_id=GENERAL, ts=ts))["text"] == "hi @ben & <b>"
    await act(browser, "react", channel_id=GENERAL, ts=ts, name="tada")
    await act(browser, "post", channel_id=GENERAL, text="reply", thread_ts=ts)
    await act(browser, "edit", channel_id=GENERAL, ts=ts, text="changed")
    root = (await read(browser, "thread", channel_id=GENERAL, thread_ts=ts))["messages"][0]["html"]
    for part in ("changed", "(edited)", "🎉", "1 reply"):
        assert part in root
    await act(browser, "unreact", channel_id=GENERAL, ts=ts, name="tada")
    _, said = await act(browser, "post", channel_id=GENERAL, text="gone soon")
    await act(browser, "delete", channel_id=GENERAL, ts=said["ts"])
    message = workspace.timeline.message(GENERAL, ts)
    assert message is not None
    assert not message.get("reactions")
    assert workspace.timeline.message(GENERAL, said["ts"]) is None


@pytest.mark.parametrize(
    ("name", "body", "status", "sentence"),
    [
        ("post", {"channel_id": GENERAL}, 400, "text is missing"),
        ("post", {"channel_id": GENERAL, "text": 3}, 400, "text is missing or is not text"),
        ("post", {"channel_id": GENERAL, "text": "\ud800"}, 400, "half of a character"),
        ("post", {"channel_id": GENERAL, "text": "   "}, 400, "Write something"),
        ("post", {"channel_id": "C0NOWHERE", "text": "x"}, 400, "does not exist"),
        ("post", {"channel_id": GENERAL, "text": "x", "user_id": "U0NOBODY"}, 404, "Nobody"),
        ("fly", {}, 404, "no such action"),
        ("delete", {"channel_id": GENERAL, "ts": "1.0"}, 400, "no longer there"),
        ("submit", {"view_id": "V0", "state_values": []}, 400, ""),
        ("submit", {"view_id": "V0", "state_values": "x"}, 400, "not an object"),
        ("click", {"where": "1.0", "channel_id": GENERAL, "block_id": "b", "action_id": "a",
                   "choice": {"state_values": {}}}, 400, "cannot carry state_values"),
    ],
)  # fmt: skip
async def test_a_wrong_act_is_answered_with_a_sentence(
    browser: ClientSession, name: str, body: Json, status: int, sentence: str
) -> None:
    got, answer = await act(browser, name, **body)
    assert got == status
    assert sentence in answer["error"]
    assert answer["error"].endswith(".")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe{}", b'"x"', b"[" * 100_000])
async def test_a_malformed_body_is_refused(browser: ClientSession, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with browser.post("/page/post", data=body, headers=headers) as response:
        assert response.status == 400
        assert "JSON" in (await response.json())["error"]


@pytest.mark.parametrize("query", [{}, {"channel_id": "C0NOWHERE"}, {"channel_id": "D0BEN000001"}])
async def test_a_channel_of_others_is_not_read(browser: ClientSession, workspace: Workspace, query: Json) -> None:
    workspace.timeline.direct_channel(BEN)
    for name in ("channel", "thread", "source"):
        async with browser.get(
            f"/page/{name}", params={"user_id": ASHA, "thread_ts": "1", "ts": "1", **query}
        ) as response:
            assert response.status in (400, 404)
            assert (await response.json())["error"].endswith(".")


async def test_other_sites_and_forms_may_not_act(browser: ClientSession, workspace: Workspace) -> None:
    body = {"user_id": ASHA, "channel_id": GENERAL, "text": "forged"}
    own = workspace.url.rstrip("/")
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        async with browser.post("/page/post", json=body, headers=headers) as response:
            assert response.status == 403
        async with browser.get("/page/live", params={"user_id": ASHA}, headers=headers) as response:
            assert response.status == 403
    async with browser.post("/page/post", data=body, headers={"Origin": own}) as response:
        assert response.status == 415
    assert workspace.timeline.history(GENERAL)[0] == []
    async with browser.post("/page/post", json=body, headers={"Origin": own}) as response:
        assert response.status == 200


class Live:
    """An open page's WebSocket."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket

    async def frame(self, kind: str) -> Json:
        """The next frame of a kind."""
        async with asyncio.timeout(5):
            while True:
                frame = dict(await self._socket.receive_json())
                if frame["kind"] == kind:
                    return frame

    async def is_closed(self) -> bool:
        async with asyncio.timeout(5):
            return (await self._socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)


async def live(browser: ClientSession, user_id: str = ASHA) -> Live:
    page = Live(await browser.ws_connect("/page/live", params={"user_id": user_id}))
    await page.frame("hello")
    return page


async def test_an_open_page_is_told_of_messages_and_their_threads(browser: ClientSession, workspace: Workspace) -> None:
    page = await live(browser)
    root = workspace.timeline.post(GENERAL, BEN, "root")
    frame = await page.frame("message")
    assert (frame["is_new"], frame["in_channel"], frame["ts"]) == (True, True, root["ts"])
    workspace.timeline.set_status(GENERAL, root["ts"], "is thinking…")
    assert await page.frame("work") == {
        "kind": "work", "channel_id": GENERAL, "thread_ts": root["ts"], "text": "Dolly is thinking…", "can_stop": True,
    }  # fmt: skip
    workspace.timeline.post(GENERAL, BEN, "reply", thread_ts=root["ts"])
    frame = await page.frame("message")
    assert not frame["in_channel"]
    assert "1 reply" in (await page.frame("message"))["html"]
    workspace.timeline.delete(GENERAL, frame["ts"])
    assert (await page.frame("removed"))["ts"] == frame["ts"]


async def test_a_stream_is_told_as_it_grows(browser: ClientSession, workspace: Workspace) -> None:
    root = workspace.timeline.post(GENERAL, BEN, "root")
    page = await live(browser)
    stream = workspace.timeline.start_stream(GENERAL, root["ts"], markdown_text="**so")
    assert "<strong>so</strong>" in (await page.frame("message"))["html"]
    assert (await page.frame("work"))["can_stop"]
    for _ in range(200):
        workspace.timeline.append_stream(GENERAL, stream["ts"], markdown_text=" and so on")
    workspace.timeline.stop_stream(GENERAL, stream["ts"])
    frames = [await page.frame("message")]
    while frames[-1]["ts"] != stream["ts"]:
        frames.append(await page.frame("message"))
    assert frames[-1]["html"].count("and so on") == 200
    assert len(frames) < 5
    assert not (await page.frame("work"))["can_stop"]


async def test_what_is_for_one_person_is_told_to_no_other(browser: ClientSession, workspace: Workspace) -> None:
    asha, ben = await live(browser, ASHA), await live(browser, BEN)
    workspace.timeline.post_ephemeral(GENERAL, ASHA, "psst")
    workspace.timeline.publish_home(ASHA, {"type": "home", "blocks": []})
    workspace.timeline.post(workspace.timeline.direct_channel(ASHA).id, ASHA, "private")
    workspace.timeline.post(GENERAL, ASHA, "for all")
    assert "Only visible to you" in (await asha.frame("message"))["html"]
    assert 'class="home"' in (await asha.frame("home"))["html"]
    assert "for all" in (await ben.frame("message"))["html"]
    shown = await read(browser, "channel", channel_id=GENERAL, user_id=BEN)
    assert "psst" not in str(shown)


async def test_open_pages_are_closed_when_the_workspace_stops() -> None:
    workspace = Workspace()
    await workspace.start()
    async with ClientSession(workspace.url) as browser:
        page = await live(browser)
        async with asyncio.timeout(3):
            await asyncio.gather(workspace.stop(), page.is_closed())
