"""Slack's events, commands and clicks over signed HTTP, for those who have no Socket Mode."""

import asyncio
import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.slack.app import dispatch

log = structlog.get_logger(__name__)

PATH = "/slack/events"
LARGEST_BODY_BYTES = 1024 * 1024
BODY_SECONDS = 10.0
"""How long a body may take to come; Slack itself waits three seconds for the answer."""
OLDEST_SIGNATURE_SECONDS = 300
TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)
FORM_TYPE = "application/x-www-form-urlencoded"


SERVER_LOG = logging.getLogger("aiohttp.server.slack_events")
"""Where the HTTP server tells of its own mistakes; those of clients would each be a traceback."""
BROKEN_OFF = (web.RequestPayloadError, ConnectionError)
SERVER_LOG.addFilter(
    lambda record: not (record.exc_info and isinstance(record.exc_info[1], (HttpProcessingError, *BROKEN_OFF)))
)


def web_app(app: AsyncApp, signing_secret: str, clock: Callable[[], float] = time.time) -> web.Application:
    """The HTTP server that stands in front of `app`.

    A request is judged in this order: its size (413) and how fast it comes (408), its signature on the raw bytes
    (401), its encoding and form (400). Only then does Bolt see it, which by itself would parse first and answer 500.
    """

    async def receive(request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.read()
        except TimeoutError:
            return _refusal(408, "The body takes too long.")
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, "The body is larger than 1 MiB.")
        except BROKEN_OFF:
            return _refusal(400, "The body broke off.")
        if not signature_holds(request.headers, body, signing_secret, clock()):
            return _refusal(401, "The signature does not fit the body, or is too old.")
        try:
            readable = _readable(request, body)
        except _Malformed as fault:
            return _refusal(400, str(fault))
        return await to_aiohttp_response(await dispatch(app, readable))

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    application = web.Application(client_max_size=LARGEST_BODY_BYTES)
    application.router.add_post(PATH, receive)
    application.router.add_get("/healthz", healthy)
    return application


def signature_holds(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> bool:
    """Whether Slack signed `body` with `secret` within the last five minutes."""
    timestamp = headers.get("X-Slack-Request-Timestamp", "")
    signature = headers.get("X-Slack-Signature", "")
    if not TIMESTAMP.fullmatch(timestamp) or abs(now - int(timestamp)) > OLDEST_SIGNATURE_SECONDS:
        return False
    expected = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(b"v0=" + expected.encode(), signature.encode("utf-8", "replace"))


class _Malformed(Exception):
    """A body that Bolt cannot read; its text says why."""


def _readable(request: web.Request, body: bytes) -> AsyncBoltRequest:
    """The request as Bolt reads it: a JSON object, or a form. Raises _Malformed."""
    try:
        text = body.decode()
        if request.content_type == FORM_TYPE:
            parse_qsl(text, errors="strict")  # Bolt would put replacement characters where it is no UTF-8
    except UnicodeDecodeError:
        raise _Malformed("The body is not UTF-8.") from None
    try:
        return AsyncBoltRequest(body=text, query=request.query_string, headers=dict(request.headers))
    except (ValueError, RecursionError):
        raise _Malformed("The body is not JSON.") from None
    except (AttributeError, KeyError, TypeError):
        raise _Malformed("The body is not a JSON object as Slack sends them.") from None


def _refusal(status: int, sentence: str) -> web.Response:
    log.warning("request_refused", status=status, reason=sentence)
    return web.json_response({"error": sentence}, status=status)
