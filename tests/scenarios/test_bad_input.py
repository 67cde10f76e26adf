"""What people and the network send that is no proper question: a sentence, or nothing, and never a crash."""

import asyncio
import gzip
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from bot.slack.hearing.http_events import PATH
from bot.words import Words
from tests.scenarios.conftest import Json, Team, Transport, running_team, until
from tests.scenarios.signed import (
    FORM_TYPE,
    JSON_TYPE,
    as_form,
    as_json,
    command,
    event_callback,
    mention,
    post,
    post_signed,
    signature,
)
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()
ODD: list[Any] = [None, 5, -1.5, True, "", "\ud83d", "a/b c", [], [5], {}, {"id": 5}, "x" * 5000]


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="Yes.")) as engine:
        yield engine


@pytest.fixture
async def http(store_url: str, engine: ScriptedEngine) -> AsyncIterator[Team]:
    """Dolly behind signed HTTP."""
    async with running_team(store_url, engine.url, "http") as team:
        yield team


@pytest.fixture
async def team(store_url: str, engine: ScriptedEngine, transport: Transport) -> AsyncIterator[Team]:
    async with running_team(store_url, engine.url, transport) as team:
        yield team


@pytest.fixture(autouse=True)
def no_traceback(logs: io.StringIO) -> Iterator[None]:
    """Bad input is no mistake of Dolly's."""
    yield
    for line in logs.getvalue().splitlines():
        logged = json.loads(line)
        assert "exception" not in logged, logged
        assert logged["level"] != "error" or logged["logger"].startswith("bot."), logged


# --- what people write ------------------------------------------------------------------------------------


async def test_an_empty_mention_gets_a_greeting(team: Team, engine: ScriptedEngine) -> None:
    root = await team.say("asha", "@dolly")
    assert await team.answered(root) == [WORDS.say("empty_question")]
    assert engine.requests == []


async def test_fifty_thousand_characters_get_a_sentence(team: Team, engine: ScriptedEngine, redis: Redis) -> None:
    place = team.direct("asha")
    root = await team.say("asha", "long words " * 4545, channel=place)
    ephemerals = team.workspace.timeline.ephemerals
    await until(lambda: bool(ephemerals(place, team.person("asha"))))
    (told,) = ephemerals(place, team.person("asha"))
    assert told["text"] == WORDS.say("question_too_long")
    assert team.answers(root, channel=place) == []
    assert engine.requests == []
    async with asyncio.timeout(5):
        while any(":job:" in key for key in await kept(redis)):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("text", ["🎉👩‍👩‍👧‍👦", ":tada: :wave::skin-tone-3:", "\u202e\u200b\u0007?"])
async def test_signs_alone_are_a_question(team: Team, engine: ScriptedEngine, text: str) -> None:
    root = await team.say("asha", f"@dolly {text}")
    assert await team.answered(root) == ["Yes."]
    assert engine.requests[0].messages[-1]["content"] == text


async def test_half_a_character_is_shown_as_such(team: Team, engine: ScriptedEngine) -> None:
    """JSON can carry half a surrogate pair, UTF-8 cannot: neither the store nor the engine could take it."""
    team.workspace.delivery.event(mention(team, text=f"<@{team.bot_id}> what is \ud83d ?"))
    await until(lambda: bool(engine.requests))
    assert engine.requests[0].messages[-1]["content"] == "what is \ufffd ?"


# --- events that mean nothing to Dolly --------------------------------------------------------------------


async def kept(redis: Redis) -> list[str]:
    """The store's keys, without what each Dolly writes at its start, and of its calls."""
    keys = [str(key) for key in await redis.keys("*")]
    return sorted(key for key in keys if not key.endswith((":layout", ":cursors", ":follower")) and ":rate:" not in key)


async def is_ignored(team: Team, payload: Json, redis: Redis) -> None:
    """Acknowledged at once, and nothing comes of it."""
    team.workspace.delivery.event(payload)
    await until(lambda: team.workspace.delivery.pending() == 0, 2)
    (envelope,) = team.workspace.delivery.delivered
    assert envelope.acked
    assert await kept(redis) == []


MEANINGLESS: list[Json] = [
    {"type": "message", "subtype": "channel_join", "user": "U1", "text": "<@{bot}> has joined"},
    {"type": "message", "subtype": "bot_message", "bot_id": "B1", "username": "ci", "text": "<@{bot}> done"},
    {"type": "message", "subtype": "message_deleted", "deleted_ts": "1790000000.000100", "hidden": True},
    {"type": "message", "subtype": "assistant_app_thread", "user": "U1", "text": "<@{bot}>", "channel_type": "im"},
    {"type": "message", "subtype": "one_of_tomorrow", "user": "U1", "text": "<@{bot}> hello"},
    {"type": "message", "user": "U1", "text": "nobody is mentioned", "channel_type": "channel"},
    {"type": "message", "user": "U1", "text": "&lt;@{bot}&gt; is no mention", "channel_type": "channel"},
    {"type": "reaction_added", "user": "U1", "reaction": "eyes", "item": {"type": "message"}},
    {"type": "an_event_of_tomorrow", "more": {"of": ["it"]}},
    {"type": "app_home_opened", "user": "U1", "tab": "messages"},
    {"type": "agent_session_stopped", "user": "U1"},
]


@pytest.mark.parametrize("event", MEANINGLESS, ids=lambda event: event.get("subtype") or event["type"])
async def test_an_event_that_is_no_question_is_ignored(team: Team, redis: Redis, event: Json) -> None:
    text = event.get("text", "").replace("{bot}", team.bot_id)
    place = {"channel": team.channel("general"), "ts": "1790000000.000100", "event_ts": "1790000000.000100"}
    await is_ignored(team, event_callback(team, {**place, **event, "text": text}), redis)


async def test_an_edited_question_is_not_a_new_one(team: Team, engine: ScriptedEngine) -> None:
    root = await team.say("asha", "@dolly hello")
    await team.answered(root)
    await team.workspace.people.edit(team.person("asha"), team.channel("general"), root, "@dolly hello again")
    await until(lambda: len(engine.requests) == 2 and team.workspace.delivery.pending() == 0)
    await team.answered(root)
    assert len(team.answers(root)) == 1, "it is answered anew where its answer stood"
    subtypes = {envelope.payload["event"].get("subtype") for envelope in team.workspace.delivery.delivered}
    assert "message_changed" in subtypes


UNREADABLE: list[Json] = [
    {"channel": None},
    {"ts": None},
    {"channel": {"id": "C1"}},
    {"channel": "C1/../C2"},
    {"ts": "yesterday"},
    {"ts": 1790000000.0001},
    {"thread_ts": "root"},
    {"text": ["hello"]},
    {"user": {"id": "U1"}},
    {"subtype": ["channel_join"], "type": "message", "channel_type": "im"},
    {"type": "app_home_opened", "tab": "home", "user": None},
    {"type": "agent_session_stopped", "channel": None, "thread_ts": "1790000000.000100"},
    {"type": None},
]


@pytest.mark.parametrize("changes", UNREADABLE, ids=str)
async def test_an_event_that_can_never_be_understood_is_acknowledged_and_logged(
    team: Team, redis: Redis, logs: io.StringIO, changes: Json
) -> None:
    await is_ignored(team, mention(team, **changes), redis)
    assert "not_understood" in logs.getvalue()


@pytest.mark.parametrize("event", [None, 5, "hello", [], {}], ids=str)
async def test_nor_is_one_that_is_no_event(team: Team, redis: Redis, logs: io.StringIO, event: Any) -> None:
    await is_ignored(team, event_callback(team, event), redis)
    assert "not_understood" in logs.getvalue()


@pytest.mark.parametrize("changes", [{"user": None}, {"text": None}], ids=str)
async def test_a_mention_without_author_is_ignored_and_without_text_is_empty(
    team: Team, redis: Redis, changes: Json
) -> None:
    team.workspace.delivery.event(mention(team, **changes))
    await until(lambda: team.workspace.delivery.pending() == 0, 2)
    assert bool(await redis.keys("*seen:*")) == ("text" in changes)


# --- requests that Slack never sent -----------------------------------------------------------------------


async def nothing_is_stored(team: Team, redis: Redis) -> None:
    """And Dolly is as well as before."""
    assert await kept(redis) == []
    root = await team.say("asha", "@dolly are you well?")
    assert await team.answered(root) == ["Yes."]


FORGED: dict[str, dict[str, str | None]] = {
    "no signature": {"X-Slack-Signature": None},
    "no timestamp": {"X-Slack-Request-Timestamp": None},
    "another signature": {"X-Slack-Signature": "v0=" + "0" * 64},
    "an empty signature": {"X-Slack-Signature": ""},
    "another version": {"X-Slack-Signature": "v1=" + "0" * 64},
    "a signature that is no ASCII": {"X-Slack-Signature": "v0=ü\udcff"},
    "a timestamp in other digits": {"X-Slack-Request-Timestamp": "١٧٩٠٠٠٠٠٠٠"},
    "a superscript timestamp": {"X-Slack-Request-Timestamp": "1²"},
    "a timestamp of 30 digits": {"X-Slack-Request-Timestamp": "9" * 30},
    "a timestamp of 400 digits": {"X-Slack-Request-Timestamp": "9" * 400},
    "a timestamp of 5,000 digits": {"X-Slack-Request-Timestamp": "9" * 5000},
    "a negative timestamp": {"X-Slack-Request-Timestamp": "-1"},
    "a broken timestamp": {"X-Slack-Request-Timestamp": "1e9"},
    "an infinite timestamp": {"X-Slack-Request-Timestamp": "inf"},
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_request_is_refused(http: Team, redis: Redis, name: str) -> None:
    body = as_json(mention(http))
    headers = {**JSON_TYPE, **signature(http.workspace.identity.signing_secret, body), **FORGED[name]}
    status, _ = await post(http, body, {key: value for key, value in headers.items() if value is not None})
    assert status == 401
    await nothing_is_stored(http, redis)


@pytest.mark.parametrize("seconds", [-301, 302])
async def test_an_old_signature_is_refused(http: Team, redis: Redis, seconds: int) -> None:
    body = as_json(mention(http))
    headers = signature(http.workspace.identity.signing_secret, body, str(int(time.time()) + seconds))
    assert (await post(http, body, {**JSON_TYPE, **headers}))[0] == 401
    await nothing_is_stored(http, redis)


async def test_a_signature_for_another_body_is_refused(http: Team, redis: Redis) -> None:
    headers = signature(http.workspace.identity.signing_secret, as_json(mention(http, text="something else")))
    assert (await post(http, as_json(mention(http)), {**JSON_TYPE, **headers}))[0] == 401
    await nothing_is_stored(http, redis)


MALFORMED: dict[str, tuple[bytes, dict[str, str]]] = {
    "broken JSON": (b'{"event": {"text": "PLANTED PHRASE"', JSON_TYPE),
    "broken JSON said to be a form": (b'{"event": {"text": "PLANTED PHRASE"', FORM_TYPE),
    "broken JSON of no type": (b'{"event": PLANTED PHRASE', {"Content-Type": "text/plain"}),
    "a list": (b'["PLANTED PHRASE"]', JSON_TYPE),
    "a string": (b'"PLANTED PHRASE"', JSON_TYPE),
    "a number": (b"5", JSON_TYPE),
    "null": (b"null", JSON_TYPE),
    "a number of 5,000 digits": (b'{"event": ' + b"9" * 5000 + b"}", JSON_TYPE),
    "a deep nest": (b'{"event": ' + b"[" * 100_000, JSON_TYPE),
    "a deep nest that closes": (b'{"event": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", JSON_TYPE),
    "invalid UTF-8": (b'{"event": "PLANTED PHRASE \xff\xfe"}', JSON_TYPE),
    "UTF-16": ('{"event": "PLANTED PHRASE"}'.encode("utf-16"), JSON_TYPE),
    "invalid UTF-8 in a form": (b"command=%2Fdolly&text=PLANTED+PHRASE+%ff%fe", FORM_TYPE),
    "invalid raw UTF-8 in a form": (b"command=%2Fdolly&text=PLANTED \xff", FORM_TYPE),
    "a bad payload": (b"payload=%7BPLANTED+PHRASE", FORM_TYPE),
    "an empty payload": (b"payload=", FORM_TYPE),
    "a second payload that is bad": (b"payload=%7B%7D&payload=%7BPLANTED+PHRASE", FORM_TYPE),
    "a payload that is a list": (b"payload=%5B%22PLANTED+PHRASE%22%5D", FORM_TYPE),
    "a payload in the wrong shape": (b'{"team": 5, "text": "PLANTED PHRASE"}', JSON_TYPE),
    "authorizations in the wrong shape": (b'{"authorizations": [5], "text": "PLANTED PHRASE"}', JSON_TYPE),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_body_is_refused_and_logged_without_its_text(
    http: Team, redis: Redis, logs: io.StringIO, name: str
) -> None:
    body, content_type = MALFORMED[name]
    status, answer = await post_signed(http, body, **content_type)
    assert status == 400
    assert "PLANTED" not in answer
    assert "PLANTED" not in logs.getvalue()
    assert '"request_refused"' in logs.getvalue()
    await nothing_is_stored(http, redis)


@pytest.mark.parametrize("charset", ["utf-16", "latin-1", "no-such-charset"])
async def test_the_charset_that_a_request_claims_is_of_no_interest(http: Team, charset: str) -> None:
    body = json.dumps(mention(http, text=f"<@{http.bot_id}> çà"), ensure_ascii=False).encode()
    assert (await post_signed(http, body, Content_Type=f"application/json; charset={charset}"))[0] == 200


async def test_more_than_a_mebibyte_is_refused(http: Team, redis: Redis) -> None:
    assert (await post_signed(http, b" " * (2**20 + 1)))[0] == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 2**16

    assert (await post(http, b"", JSON_TYPE, data=pieces()))[0] == 413
    await nothing_is_stored(http, redis)


async def test_nothing_is_unpacked(http: Team, redis: Redis) -> None:
    packed = gzip.compress(b" " * 50 * 2**20)
    for body in (packed, b"no gzip at all"):
        assert (await post_signed(http, body, Content_Encoding="gzip"))[0] == 400
    await nothing_is_stored(http, redis)


async def test_a_body_in_chunks_is_as_good_as_one_in_a_piece(http: Team, engine: ScriptedEngine) -> None:
    body = as_json(mention(http))

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    headers = signature(http.workspace.identity.signing_secret, body)
    assert (await post(http, b"", {**JSON_TYPE, **headers}, data=pieces()))[0] == 200
    await until(lambda: len(engine.requests) == 1)


@pytest.mark.parametrize("genuine_first", [True, False])
async def test_headers_that_come_twice(http: Team, redis: Redis, genuine_first: bool) -> None:
    """The first signature counts."""
    body = as_json(mention(http))
    genuine = list(signature(http.workspace.identity.signing_secret, body).items())
    forged = [(name, "0") for name, _ in genuine]
    headers = [*JSON_TYPE.items(), *(genuine + forged if genuine_first else forged + genuine)]
    assert (await post(http, body, headers))[0] == (200 if genuine_first else 401)
    assert (await post(http, body, [*headers, *JSON_TYPE.items()]))[0] == 400, "one type alone"
    assert bool(await redis.keys("*seen*")) == genuine_first


async def test_a_body_that_never_ends_is_let_go(http: Team, redis: Redis) -> None:
    assert http.service.http_port is not None
    for framing in ("Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\nzzz\r\n{", "no header"):
        with socket.create_connection(("127.0.0.1", http.service.http_port)) as connection:
            connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{framing}".encode())
            await asyncio.sleep(0.05)
    await nothing_is_stored(http, redis)


async def answered(port: int, *pieces: bytes) -> bytes:
    """All that comes back to who sends `pieces`, a moment apart, and then waits; it is over within three seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(3):
            for piece in pieces:
                if not reader.at_eof():
                    writer.write(piece)
                await asyncio.sleep(0.05)
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_who_sends_a_byte_now_and_then_is_not_waited_for(
    store_url: str, engine: ScriptedEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.hearing.transport.HEADER_SECONDS", 0.5)
    monkeypatch.setattr("bot.slack.hearing.http_events.BODY_SECONDS", 0.5)
    async with running_team(store_url, engine.url, "http") as http:
        port = http.service.http_port
        assert port is not None
        begun = f"POST {PATH} HTTP/1.1\r\nHost: dolly\r\n".encode()
        for pieces in ([], [begun], [begun, *[b"X-A: b\r\n"] * 15]):
            assert await answered(port, *pieces) == b""
        answer = await answered(port, begun + b"Content-Length: 100\r\n\r\n", *[b"{"] * 5)
        assert answer.startswith(b"HTTP/1.1 408 ")
        await nothing_is_stored(http, redis)


async def test_who_has_asked_may_keep_the_connection(
    store_url: str, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.hearing.transport.HEADER_SECONDS", 0.2)
    connections, trace = [], aiohttp.TraceConfig()

    async def connected(*_: object) -> None:
        connections.append(time.monotonic())

    trace.on_connection_create_end.append(connected)
    async with (
        running_team(store_url, engine.url, "http") as http,
        aiohttp.ClientSession(trace_configs=[trace]) as session,
    ):
        for _ in range(2):
            async with session.get(f"http://127.0.0.1:{http.service.http_port}/healthz") as response:
                assert await response.text() == "ok"
            await asyncio.sleep(0.4)
    assert len(connections) == 1


async def test_the_same_signed_request_once_more_asks_nothing_anew(http: Team, engine: ScriptedEngine) -> None:
    """Whoever recorded it may send it for five minutes; to all but its first time there is nothing to do."""
    body, asked = as_json(mention(http)), as_form(command(http, text="one"))
    for _ in range(3):
        assert (await post_signed(http, body))[0] == 200
        assert (await post_signed(http, asked, **FORM_TYPE))[0] == 200
    await until(lambda: len(engine.requests) == 2)
    await asyncio.sleep(0.2)
    assert len(engine.requests) == 2


async def test_the_same_signed_command_once_more_does_nothing_anew(http: Team, engine: ScriptedEngine) -> None:
    """What was forgotten by it is not all that is asked since."""
    told = as_form(command(http, text="forget everything"))
    assert (await post_signed(http, told, **FORM_TYPE))[1]
    assert (await post_signed(http, told, **FORM_TYPE)) == (200, "")
    again = as_form(command(http, text="forget everything", trigger_id="2.3.another"))
    assert (await post_signed(http, again, **FORM_TYPE))[1], "the same words by another trigger are another command"


@pytest.mark.parametrize("content_type", ["application/xml", "multipart/form-data; boundary=x", "", "application/JSON"])
async def test_no_content_type_gets_around_the_signature(http: Team, redis: Redis, content_type: str) -> None:
    body = as_json(mention(http))
    assert (await post(http, body, {"Content-Type": content_type}))[0] == 401
    await nothing_is_stored(http, redis)


async def test_no_odd_field_makes_dolly_fail(http: Team) -> None:
    """Each field of an event and of a command in turn is taken away or becomes something odd."""
    verification = {"type": "url_verification", "challenge": "c", "token": "t"}
    for body in (*with_odd_fields(mention(http)), *with_odd_fields(verification)):
        status, _ = await post_signed(http, as_json(body))
        assert status in (200, 400), body
    asked = command(http)
    for body in with_odd_fields(asked):
        if body.get("response_url") == asked["response_url"]:
            body["text"] = ""  # help: nobody is at that address
        status, _ = await post_signed(http, as_form(body), **FORM_TYPE)
        assert status in (200, 400), body


def with_odd_fields(payload: Json) -> Iterator[Json]:
    for name, value in payload.items():
        yield {key: kept for key, kept in payload.items() if key != name}
        yield from ({**payload, name: odd} for odd in ODD)
        if isinstance(value, dict):
            yield from ({**payload, name: inner} for inner in with_odd_fields(value))


# --- requests that ask for no answer in Slack -------------------------------------------------------------


async def test_a_url_verification_is_answered(http: Team) -> None:
    status, answer = await post_signed(
        http, as_json({"type": "url_verification", "challenge": "3eZbrw1a", "token": "t"})
    )
    assert status == 200
    assert json.loads(answer)["challenge"] == "3eZbrw1a"
    status, _ = await post(http, as_json({"type": "url_verification", "challenge": "3eZbrw1a"}), JSON_TYPE)
    assert status == 401, "not signed"


async def test_an_ssl_check_is_answered(http: Team, redis: Redis) -> None:
    assert (await post_signed(http, as_form({"ssl_check": "1", "token": "t"}), **FORM_TYPE))[0] == 200
    assert await kept(redis) == []


async def test_a_load_balancer_is_told_that_dolly_is_well(http: Team) -> None:
    base = f"http://127.0.0.1:{http.service.http_port}"
    async with aiohttp.ClientSession() as session:
        for path, expected in (("/healthz", 200), ("/", 404), ("/slack/install", 404), (PATH, 405)):
            async with session.get(base + path) as response:
                assert response.status == expected, path
