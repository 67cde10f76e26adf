"""Where files are fetched from, how much of them, and to whom the token is given: to Slack alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from bot.attachments import Unreadable
from bot.errors import SlackUnreachable
from bot.slack.asking.downloads import Downloads
from bot.slack.hosts import SlackHosts

TOKEN = "xoxb-secret"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Host:
    """A server on a port of its own, and the tokens that it was given."""

    url: str = ""
    given: list[str | None] = field(default_factory=list)
    answers: dict[str, Handler] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.given.append(request.headers.get("Authorization"))
        return await self.answers[request.path](request)


@pytest.fixture
async def hosts() -> AsyncIterator[tuple[Host, Host]]:
    """Slack, and another host."""
    made, runners = (Host(), Host()), []
    for host in made:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", host.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        runners.append(runner)
    yield made
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def to(location: str) -> Handler:
    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": location})

    return redirect


def says(body: bytes, *, status: int = 200, content_type: str = "text/plain") -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, content_type=content_type)

    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    """Says that it has ten bytes' worth, as far as anybody can tell, and never stops."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 10_000)


async def stalls(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"x")
    await asyncio.sleep(60)
    return response


async def fetch(
    session: aiohttp.ClientSession, slack: Host, url: str, *, limit: int = 1000, seconds: float = 5
) -> bytes:
    downloads = Downloads(session, TOKEN, SlackHosts(f"{slack.url}/api/"))
    return await downloads.fetch(url, limit_bytes=limit, seconds=seconds)


async def fault(session: aiohttp.ClientSession, slack: Host, url: str, *, seconds: float = 5) -> str:
    with pytest.raises(Unreadable) as refused:
        await fetch(session, slack, url, seconds=seconds)
    return refused.value.fault


async def test_a_file_is_fetched_with_the_token(session: aiohttp.ClientSession, hosts: tuple[Host, Host]) -> None:
    slack, _ = hosts
    slack.answers = {"/f": says(b"hello"), "/moved": to("/f")}
    assert await fetch(session, slack, f"{slack.url}/f") == b"hello"
    assert await fetch(session, slack, f"{slack.url}/moved") == b"hello"
    assert set(slack.given) == {f"Bearer {TOKEN}"}


async def test_no_other_host_is_even_asked(session: aiohttp.ClientSession, hosts: tuple[Host, Host]) -> None:
    slack, other = hosts
    other.answers = {"/f": says(b"hello")}
    slack.answers = {"/away": to(f"{other.url}/f"), "/nowhere": to("file:///etc/passwd"), "/loop": to("/loop")}
    assert await fault(session, slack, f"{other.url}/f") == "elsewhere"
    assert await fault(session, slack, f"{slack.url}/away") == "elsewhere"
    assert await fault(session, slack, f"{slack.url}/nowhere") == "elsewhere"
    assert await fault(session, slack, f"{slack.url}/loop") == "refused"
    assert other.given == []


async def test_reading_stops_at_the_limit_whatever_was_declared(
    session: aiohttp.ClientSession, hosts: tuple[Host, Host]
) -> None:
    slack, _ = hosts
    slack.answers = {"/endless": endless, "/just": says(b"x" * 1000), "/more": says(b"x" * 1001)}
    assert await fault(session, slack, f"{slack.url}/endless") == "too_large"
    assert len(await fetch(session, slack, f"{slack.url}/just")) == 1000
    assert await fault(session, slack, f"{slack.url}/more") == "too_large"


async def test_a_page_to_sign_in_on_is_a_refusal_and_no_file(
    session: aiohttp.ClientSession, hosts: tuple[Host, Host]
) -> None:
    slack, _ = hosts
    page = says(b"<html>Sign in</html>", content_type="text/html")
    slack.answers = {"/f": to("/?redir=f"), "/": page, "/page.html": page, "/403": says(b"", status=403)}
    assert await fault(session, slack, f"{slack.url}/f") == "refused"
    assert await fault(session, slack, f"{slack.url}/403") == "refused"
    assert await fetch(session, slack, f"{slack.url}/page.html") == b"<html>Sign in</html>"


async def test_what_is_gone_or_slow_is_said_and_what_may_pass_is_tried_again(
    session: aiohttp.ClientSession, hosts: tuple[Host, Host]
) -> None:
    slack, _ = hosts
    slack.answers = {"/gone": says(b"", status=404), "/slow": stalls, "/ill": says(b"", status=503)}
    assert await fault(session, slack, f"{slack.url}/gone") == "gone"
    assert await fault(session, slack, f"{slack.url}/slow", seconds=0.2) == "slow"
    with pytest.raises(SlackUnreachable):
        await fetch(session, slack, f"{slack.url}/ill")
    closed = Host("http://127.0.0.1:1")
    with pytest.raises(SlackUnreachable):
        await fetch(session, closed, "http://127.0.0.1:1/f")


async def test_where_slack_is_behind_a_proxy_files_are_too(
    session: aiohttp.ClientSession, hosts: tuple[Host, Host]
) -> None:
    slack, proxy = hosts
    proxy.answers = {"/f": says(b"hello")}
    downloads = Downloads(session, TOKEN, SlackHosts(f"{slack.url}/api/"), proxy=proxy.url)
    assert await downloads.fetch(f"{slack.url}/f", limit_bytes=10, seconds=5) == b"hello"
    assert (slack.given, len(proxy.given)) == ([], 1)
