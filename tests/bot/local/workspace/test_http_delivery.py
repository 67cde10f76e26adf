"""Delivery over HTTP by hand: signature, forms, url_verification, retries and what stops them."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import Json
from bot.local.workspace.timeline.changes import Change
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import ASHA, GENERAL, eventually, running, turn


class BareReceiver:
    """The app's request URL. Answers each request with `answer()`; url_verification by itself."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], str]] = []
        self.challenges = 0
        self.response = {"status": 200, "text": ""}
        self.headers: dict[str, str] = {}
        self.hangs = False
        self.verifies = True
        self.url = ""

    @property
    def events(self) -> list[Json]:
        return [json.loads(body) for _, body in self.requests]

    def retries(self) -> list[tuple[str | None, str | None]]:
        return [(h.get("X-Slack-Retry-Num"), h.get("X-Slack-Retry-Reason")) for h, _ in self.requests]

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.text()
        if '"url_verification"' in body:
            self.challenges += 1
            challenge = json.loads(body)["challenge"]
            return web.json_response({"challenge": challenge if self.verifies else "wrong"})
        self.requests.append((dict(request.headers), body))
        if self.hangs:
            await asyncio.Event().wait()
        return web.Response(headers=self.headers, **self.response)  # type: ignore[arg-type]


@pytest.fixture
async def receiver() -> AsyncIterator[BareReceiver]:
    receiver = BareReceiver()
    application = web.Application()
    application.router.add_post("/slack/events", receiver.receive)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    yield receiver
    await runner.cleanup()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def workspace(clock: ManualClock, receiver: BareReceiver) -> AsyncIterator[Workspace]:
    async with running(clock=clock, request_url=receiver.url) as workspace:
        yield workspace


async def test_an_event_is_signed_json_after_the_url_is_verified_once(
    workspace: Workspace, receiver: BareReceiver
) -> None:
    await workspace.people.post(ASHA, GENERAL, "good morning ☀")
    await eventually(lambda: workspace.delivery.pending() == 0)
    await workspace.people.post(ASHA, GENERAL, "again")
    await eventually(lambda: workspace.delivery.pending() == 0)
    assert receiver.challenges == 1
    assert [event["event"]["text"] for event in receiver.events] == ["good morning ☀", "again"]

    headers, body = receiver.requests[0]
    timestamp = headers["X-Slack-Request-Timestamp"]
    secret = workspace.identity.signing_secret.encode()
    digest = hmac.new(secret, f"v0:{timestamp}:{body}".encode(), hashlib.sha256).hexdigest()
    assert headers["X-Slack-Signature"] == f"v0={digest}"
    assert abs(int(timestamp) - time.time()) < 300
    assert headers["Content-Type"] == "application/json"
    assert receiver.retries()[0] == (None, None)


async def test_commands_are_forms_and_clicks_are_a_form_of_one_field(
    workspace: Workspace, receiver: BareReceiver
) -> None:
    await workspace.people.command(ASHA, GENERAL, "/dolly", "help me & you")
    await workspace.people.shortcut(ASHA, None, None, "open")
    command, shortcut = (parse_qs(body) for _, body in receiver.requests)
    assert command["command"] == ["/dolly"]
    assert command["text"] == ["help me &amp; you"]
    assert json.loads(shortcut["payload"][0])["type"] == "shortcut"
    assert receiver.requests[0][0]["Content-Type"] == "application/x-www-form-urlencoded"


async def test_a_slow_app_gets_the_event_again_as_http_timeout(
    workspace: Workspace, receiver: BareReceiver, clock: ManualClock
) -> None:
    receiver.hangs = True
    await workspace.people.post(ASHA, GENERAL, "hello")
    await eventually(lambda: len(receiver.requests) == 1)
    await turn(clock, 3)
    await eventually(lambda: len(receiver.requests) == 2)
    receiver.hangs = False
    await turn(clock, 3)
    await turn(clock, 60)
    await eventually(lambda: workspace.delivery.pending() == 0)
    assert receiver.retries() == [(None, None), ("1", "http_timeout"), ("2", "http_timeout")]
    assert len({event["event_id"] for event in receiver.events}) == 1


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
async def test_an_app_that_fails_gets_the_event_four_times_as_http_error(
    workspace: Workspace, receiver: BareReceiver, clock: ManualClock, status: int
) -> None:
    receiver.response = {"status": status, "text": "no"}
    await workspace.people.post(ASHA, GENERAL, "hello")
    await eventually(lambda: len(receiver.requests) == 2)
    await turn(clock, 60)
    await eventually(lambda: len(receiver.requests) == 3)
    await turn(clock, 300)
    await eventually(lambda: workspace.delivery.pending() == 0)
    reasons = [(None, None), ("1", "http_error"), ("2", "http_error"), ("3", "http_error")]
    assert receiver.retries() == reasons


async def test_no_retry_is_respected(workspace: Workspace, receiver: BareReceiver) -> None:
    receiver.response = {"status": 500, "text": ""}
    receiver.headers = {"X-Slack-No-Retry": "1"}
    await workspace.people.post(ASHA, GENERAL, "hello")
    await eventually(lambda: workspace.delivery.pending() == 0)
    assert len(receiver.requests) == 1


async def test_an_app_that_is_not_there_yet_gets_the_event_later(
    workspace: Workspace, receiver: BareReceiver, clock: ManualClock
) -> None:
    workspace.request_url = "http://127.0.0.1:9/slack/events"
    await workspace.people.post(ASHA, GENERAL, "hello")
    await eventually(lambda: len(workspace.delivery.delivered) == 2)
    workspace.request_url = receiver.url
    await turn(clock, 60)
    await eventually(lambda: workspace.delivery.pending() == 0)
    assert receiver.retries() == [("2", "connection_failed")]


async def test_nothing_goes_to_a_url_that_fails_verification(workspace: Workspace, receiver: BareReceiver) -> None:
    receiver.verifies = False
    await workspace.people.post(ASHA, GENERAL, "secret")
    await eventually(lambda: receiver.challenges == 2)
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("body", "shown"),
    [("Here you are", "Here you are"), (json.dumps({"text": "As JSON"}), "As JSON"), ("42", "42")],
)
async def test_a_command_s_answer_is_text_or_json(
    workspace: Workspace, receiver: BareReceiver, body: str, shown: str
) -> None:
    receiver.response = {"status": 200, "text": body}
    await workspace.people.command(ASHA, GENERAL, "/dolly", "help")
    assert [message["text"] for message in workspace.timeline.ephemerals(GENERAL, ASHA)] == [shown]


@pytest.mark.parametrize("is_slow", [True, False])
async def test_a_command_that_is_not_answered_is_told_and_never_repeated(
    workspace: Workspace, receiver: BareReceiver, clock: ManualClock, is_slow: bool
) -> None:
    told: list[Change] = []
    workspace.changes.subscribe(lambda change: told.append(change) if change.kind == "error" else None)
    receiver.hangs = is_slow
    receiver.response = {"status": 500, "text": ""}
    command = asyncio.create_task(workspace.people.command(ASHA, GENERAL, "/dolly", "help"))
    await eventually(lambda: receiver.requests)
    await turn(clock, 3)
    await command
    (error,) = told
    assert error.user_id == ASHA
    reason = "operation_timeout" if is_slow else "dispatch_failed"
    assert error.detail["text"] == f"Dolly did not respond to /dolly ({reason}). Please try again."
    assert len(receiver.requests) == 1
