"""What is called is Slack, whatever a payload says and wherever an answer leads."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.context.respond.async_respond import AsyncRespond
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL

from bot.slack.afterwards import said
from bot.slack.client import open_session, webhook_at
from bot.slack.hosts import Elsewhere, SlackHosts

SLACK = SlackHosts("https://slack.com/api/")


@pytest.mark.parametrize(
    ("url", "is_slacks"),
    [
        ("https://files.slack.com/files-pri/T1-F1/a.txt", True),
        ("https://hooks.slack.com/commands/T1/1/x", True),
        ("https://acme.slack.com/files/a.txt", True),
        ("https://acme.enterprise.slack.com/files/a.txt", True),
        ("http://files.slack.com/files-pri/T1-F1/a.txt", False),
        ("https://files.slack.com:8443/a.txt", False),
        ("https://files.slack.com@evil.example/a.txt", False),
        ("https://u:p@files.slack.com/a.txt", False),
        ("https://evil.example/files.slack.com/a.txt", False),
        ("https://notslack.com/a.txt", False),
        ("https://files.slack.com.evil.example/a.txt", False),
        ("https://evil.example#.slack.com", False),
        ("https://evil.example\\.slack.com/a.txt", False),
        ("file:///etc/passwd", False),
        ("//files.slack.com/a.txt", False),
        ("https://127.0.0.1/a.txt", False),
        ("http://169.254.169.254/latest/meta-data/", False),
        ("", False),
    ],
)
def test_which_hosts_are_slacks(url: str, is_slacks: bool) -> None:
    try:
        found = SLACK.take_token(URL(url)), SLACK.are_called(URL(url))
    except ValueError:  # no address at all
        found = False, False
    assert found == (is_slacks, is_slacks)


def test_another_slack_has_its_own_hosts() -> None:
    assert SlackHosts("https://slack-gov.com/api/").take_token(URL("https://files.slack-gov.com/a.txt"))


def test_a_stand_in_gets_its_token_at_one_port_alone() -> None:
    local = SlackHosts("http://127.0.0.1:8765/api/")
    assert local.take_token(URL("http://127.0.0.1:8765/files-pri/F1"))
    assert not local.take_token(URL("http://127.0.0.1:8766/files-pri/F1"))
    assert local.are_called(URL("http://127.0.0.1:8766/response/1"))
    for elsewhere in (
        "http://localhost:8765/",
        "http://u@127.0.0.1:8765/",
        "https://127.0.0.1:8765/",
        "http://10.0.0.1/",
    ):
        assert not local.are_called(URL(elsewhere))


@pytest.fixture
async def slack() -> AsyncIterator[tuple[str, list[str]]]:
    """Something in Slack's place that sends everybody on to `localhost`, and what that one was sent."""
    reached: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if request.url.host == "localhost":
            reached.append(await request.text())
            return web.json_response({"ok": True})
        return web.Response(status=307, headers={"Location": str(request.url.with_host("localhost"))})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", reached
    await runner.cleanup()


async def test_no_answer_leads_a_call_of_slacks_api_away(slack: tuple[str, list[str]]) -> None:
    url, reached = slack
    async with open_session(f"{url}/api/") as session:
        client = AsyncWebClient("xoxb-secret", base_url=f"{url}/api/", session=session, retry_handlers=[])
        with pytest.raises(Elsewhere):
            await client.chat_postMessage(channel="C1", text="Only for Slack.")
    assert reached == []
    async with aiohttp.ClientSession() as session, session.post(f"{url}/api/", data="seen") as response:
        assert response.status == 200
    assert reached == ["seen"], "without the guard it would have been"


async def test_nor_a_post_at_a_response_url(slack: tuple[str, list[str]]) -> None:
    url, reached = slack
    async with webhook_at(f"{url}/commands/1") as webhook:
        with pytest.raises(Elsewhere):
            await webhook.send(text="Only for its asker.")
    await said(AsyncRespond(response_url=f"{url}/commands/1"), "Only for who clicked.")
    assert reached == []
