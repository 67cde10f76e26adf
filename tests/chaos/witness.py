"""The workspace as the judge sees it: what was delivered and acked, what stands in the threads, who calls Slack.

It also makes deliveries as unreliable as Slack's own: some come twice, some late, all over sockets that get cut.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from bot.conversation import AGAIN
from bot.local.workspace import Workspace
from bot.local.workspace.delivery import delivery as workspace_delivery
from bot.local.workspace.delivery.delivery import Delivery
from bot.local.workspace.delivery.envelopes import Envelope, NotAcknowledged
from bot.local.workspace.delivery.response_urls import ResponseUrls
from bot.local.workspace.timeline.changes import Change
from bot.local.workspace.web_api.server import WebApi
from bot.slack.permalinks import linked_thread
from bot.words import Words, languages
from tests.chaos.judge import Asked, Shown
from tests.chaos.markers import questions_in, whole_answers_in

Json = dict[str, Any]
Posted = Callable[[int, str], Awaitable[None]]

RETRY_WAITS_SECONDS = (0.0, 4.0, 20.0)
"""Slack's at once, one minute and five, so that a run of minutes has all three."""
TWICE_SHARE = 0.2
TWICE_WITHIN_SECONDS = 15.0
LATE_SHARE = 0.1
LATE_WITHIN_SECONDS = 1.5


class Witness:
    """Starts a workspace and sees all that goes in and out. `posted` is told the replica's port and the method."""

    def __init__(self, chance: random.Random) -> None:
        self.workspace = Workspace()
        self.asked: dict[int, Asked] = {}
        self.whole_at: dict[int, float] = {}
        self.spoken_at: dict[str, float] = {}
        """When Dolly last changed anything in a conversation."""
        self.taken_back: dict[int, float | None] = {}
        """The questions that were deleted, or whose thread is to be forgotten; and when Dolly had heard of it."""
        self.calls: Counter[str] = Counter()
        self.duplicates = 0
        self.posted: Posted | None = None
        self.auth_fails_for: set[int] = set()
        """The ports of replicas whose auth.test fails."""
        self._chance = chance
        self._later: set[asyncio.Task[None]] = set()
        self._response_urls: dict[str, int] = {}
        self._slash_answers: list[Shown] = []
        self._unwatched = WebApi._answer, ResponseUrls._use
        self._slacks_waits = workspace_delivery.RETRY_WAITS_SECONDS
        self._hints = {Words(language).say("thread_hint") for language in languages()}
        self._forgetting = {Words(language).say("forget_begun") for language in languages()}

    async def start(self) -> None:
        self._watch_calls()
        await self.workspace.start()
        self._watch_deliveries(self.workspace.delivery)
        self.workspace.changes.subscribe(self._on_change)

    async def stop(self) -> None:
        for task in tuple(self._later):
            task.cancel()
        await self.workspace.stop()
        WebApi._answer, ResponseUrls._use = self._unwatched  # type: ignore[method-assign]
        workspace_delivery.RETRY_WAITS_SECONDS = self._slacks_waits

    @property
    def port(self) -> int:
        port = urlsplit(self.workspace.url).port
        assert port is not None
        return port

    def expect(self, asked: Asked) -> None:
        """A question that is about to be asked, or whose ts has become known."""
        seen = self.asked.get(asked.number, asked)
        self.asked[asked.number] = replace(asked, sent=seen.sent, acked=seen.acked)

    def shown(self) -> list[Shown]:
        """Dolly's messages as they stand now, without what it says once in each direct channel."""
        timeline, own = self.workspace.timeline, self.workspace.identity.bot_user_id
        found = []
        for conversation in {a.conversation for a in self.asked.values() if not a.is_command}:
            channel_id, _, root_ts = conversation.partition("/")
            for message in timeline.replies(channel_id, root_ts)[0]:
                if message.get("user") == own and message["text"] not in self._hints:
                    streaming = timeline.stream_state(channel_id, message["ts"]) == "streaming"
                    found.append(Shown(conversation, message["ts"], message["text"], streaming, _job_ts(message)))
        return found + self._slash_answers

    # --- deliveries ---------------------------------------------------------------------------------------

    def _watch_deliveries(self, delivery: Delivery) -> None:
        attempt, deliver = delivery._attempt, delivery._deliver_event
        workspace_delivery.RETRY_WAITS_SECONDS = RETRY_WAITS_SECONDS

        async def attempt_seen(envelope: Envelope) -> Json:
            numbers = _asked_in(envelope)
            if envelope.kind == "slash_commands" and numbers:
                self._response_urls[envelope.payload["response_url"].rpartition("/")[2]] = numbers[0]
            for number in numbers:
                if (asked := self.asked.get(number)) and asked.sent is None:
                    self.asked[number] = replace(asked, sent=time.time())
            answer = await attempt(envelope)
            if envelope.kind == "slash_commands":  # a command is answered in any case, be it with a refusal
                numbers = questions_in(answer.get("text", ""))
            for number in numbers:
                if (asked := self.asked.get(number)) and asked.acked is None:
                    self.asked[number] = replace(asked, acked=time.time())
            for number in self._taken_back_in(envelope, answer):
                self.taken_back[number] = self.taken_back.get(number) or time.time()
            return answer

        async def deliver_unreliably(payload: Json) -> None:
            if self._chance.random() < LATE_SHARE:
                await asyncio.sleep(self._chance.uniform(0, LATE_WITHIN_SECONDS))
            if self._chance.random() < TWICE_SHARE:
                self._soon(self._deliver_again(attempt_seen, payload))
            await deliver(payload)

        delivery._attempt = attempt_seen  # type: ignore[method-assign]
        delivery._deliver_event = deliver_unreliably  # type: ignore[method-assign]

    def _taken_back_in(self, envelope: Envelope, answer: Json) -> list[int]:
        """The questions that Dolly has just been told to forget, of those that it had by then."""
        if envelope.kind == "slash_commands" and answer.get("text") in self._forgetting:
            linked = linked_thread(envelope.payload["text"].split()[-1])
            conversation = "/".join(linked) if linked else ""
            return [n for n, a in self.asked.items() if a.conversation == conversation and a.acked is not None]
        event = envelope.payload.get("event", {})
        if event.get("subtype") != "message_deleted":
            return []
        return [n for n in self.taken_back if self.asked[n].ts == event["deleted_ts"]]

    async def _deliver_again(self, attempt: Callable[[Envelope], Awaitable[Json]], payload: Json) -> None:
        """The same event once more, as Slack does where an acknowledgement was lost."""
        await asyncio.sleep(self._chance.uniform(0, TWICE_WITHIN_SECONDS))
        self.duplicates += 1
        with suppress(NotAcknowledged):
            await attempt(Envelope("events_api", payload, retry_attempt=1, retry_reason="timeout"))

    def _soon(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    # --- calls of Slack's Web API -------------------------------------------------------------------------

    def _watch_calls(self) -> None:
        """Each replica calls through a port of its own, and shows it as the host that it means to speak to."""
        (answer, use), witness = self._unwatched, self

        async def answer_seen(api: WebApi, request: web.Request) -> web.Response:
            method, port = request.match_info["method"], _port(request)
            witness.calls[method] += 1
            if method == "auth.test" and port in witness.auth_fails_for:
                return web.json_response({"ok": False, "error": "internal_error"}, status=503)
            response = await answer(api, request)
            if method == "apps.connections.open":
                return _through(request, response)
            if witness.posted is not None and response.status == 200:
                await witness.posted(port, method)
            return response

        async def use_seen(urls: ResponseUrls, request: web.Request) -> web.Response:
            witness.calls["response_url"] += 1
            response = await use(urls, request)
            number = witness._response_urls.get(request.match_info["id"])
            if number is not None and response.status == 200:
                text = (await request.json())["text"]
                witness._slash_answers.append(Shown(witness.asked[number].conversation, str(number), text))
            return response

        WebApi._answer = answer_seen  # type: ignore[assignment, method-assign]
        ResponseUrls._use = use_seen  # type: ignore[assignment, method-assign]

    # --- what people see ----------------------------------------------------------------------------------

    def _on_change(self, change: Change) -> None:
        message = change.message
        if message is None or message.get("user") != self.workspace.identity.bot_user_id:
            return
        self.spoken_at[f"{change.channel_id}/{change.thread_ts}"] = time.time()
        if change.detail.get("state") != "streaming":
            for number in whole_answers_in(message["text"]):
                self.whole_at.setdefault(number, time.time())


def _asked_in(envelope: Envelope) -> list[int]:
    """The question that an event or a command asks; what people do not say themselves asks nothing."""
    if envelope.kind == "slash_commands":
        return questions_in(envelope.payload["text"])
    event = envelope.payload.get("event", {})
    if event.get("type") not in ("message", "app_mention") or event.get("subtype") or event.get("bot_id"):
        return []
    return questions_in(event.get("text", ""))


def _job_ts(message: Json) -> str | None:
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    job_id = payload.get("job_id")
    return job_id.rpartition("/")[2].rstrip(AGAIN) if isinstance(job_id, str) else None


def _port(request: web.Request) -> int:
    return int(request.host.rpartition(":")[2])


def _through(request: web.Request, response: web.Response) -> web.Response:
    """The answer of apps.connections.open, its socket reached the way that this call came."""
    assert isinstance(response.body, bytes)
    body = json.loads(response.body)
    if body.get("ok"):
        parts = urlsplit(body["url"])
        body["url"] = parts._replace(netloc=request.host).geturl()
    return web.json_response(body)
