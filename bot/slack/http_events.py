"""Slack's events, commands and clicks over signed HTTP, for those who have no Socket Mode."""

import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp

log = structlog.get_logger(__name__)

PATH = "/slack/events"
LARGEST_BODY_BYTES = 1024 * 1024
OLDEST_SIGNATURE_SECONDS = 300

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def web_app(app: AsyncApp, signing_secret: str, clock: Callable[[], float] = time.time) -> web.Application:
    """The HTTP server that stands in front of `app`.

    A request is judged in this order: its size (413), its signature on the raw bytes (401), its encoding
    and form (400). Only then does Bolt see it, which by itself would parse first and answer 500.
    """

    @web.middleware
    async def judge(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != PATH:
            return await handler(request)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, "The body is larger than 1 MiB.")
        if not signature_holds(request.headers, body, signing_secret, clock()):
            return _refusal(401, "The signature does not fit the body, or is too old.")
        if fault := _fault(request.content_type, body):
            return _refusal(400, fault)
        return await handler(request)

    async def receive(request: web.Request) -> web.StreamResponse:
        return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    application = web.Application(middlewares=[judge], client_max_size=LARGEST_BODY_BYTES)
    application.router.add_post(PATH, receive)
    application.router.add_get("/healthz", healthy)
    return application


def signature_holds(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> bool:
    """Whether Slack signed `body` with `secret` within the last five minutes."""
    timestamp = headers.get("X-Slack-Request-Timestamp", "")
    signature = headers.get("X-Slack-Signature", "")
    if not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp)) > OLDEST_SIGNATURE_SECONDS:
        return False
    expected = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(b"v0=" + expected.encode(), signature.encode("utf-8", "replace"))


def _fault(content_type: str, body: bytes) -> str | None:
    """What is wrong with a body's form; None when Bolt can read it."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return "The body is not UTF-8."
    if content_type == "application/x-www-form-urlencoded":
        try:
            fields = parse_qs(text, errors="strict")
        except UnicodeDecodeError:
            return "The form is not UTF-8."
        text = fields.get("payload", ["{}"])[0]
    try:
        parsed = json.loads(text)
    except ValueError:
        return "The body is not JSON."
    return None if isinstance(parsed, dict) else "The body is not a JSON object."


def _refusal(status: int, sentence: str) -> web.Response:
    log.warning("request_refused", status=status, reason=sentence)
    return web.json_response({"error": sentence}, status=status)
