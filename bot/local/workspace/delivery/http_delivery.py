"""Delivery over HTTP: signed POSTs to the app's request URL, as Slack sends them."""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from urllib.parse import urlencode

import aiohttp

from bot.local.workspace.delivery.envelopes import Envelope, NotAcknowledged
from bot.local.workspace.records import AppIdentity, Json

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
RETRY_REASONS = {"timeout": "http_timeout"}


class HttpDelivery:
    """The way to the app's request URL. It must pass url_verification before anything else goes there."""

    def __init__(self, request_url: Callable[[], str | None], identity: AppIdentity) -> None:
        self.request_url = request_url
        self._verified_url: str | None = None
        self._signing_secret = identity.signing_secret.encode()
        self._verification_token = identity.verification_token
        # No limit of its own: the delivery's three seconds run on the workspace's clock.
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))

    async def send(self, envelope: Envelope) -> Json:
        """POST it, and return the answer's JSON object; a plain text answer is {"text": …}."""
        url = self.request_url()
        if url is None:
            raise NotAcknowledged("connection_failed")
        try:
            if url != self._verified_url:
                await self._verify(url)
            return await self._post(url, *_body(envelope), headers=_retry_headers(envelope))
        except aiohttp.ClientError as error:
            raise NotAcknowledged("connection_failed") from error

    async def stop(self) -> None:
        await self._session.close()

    async def _verify(self, url: str) -> None:
        challenge = secrets.token_hex(16)
        question = {"token": self._verification_token, "challenge": challenge, "type": "url_verification"}
        answer = await self._post(url, json.dumps(question), JSON_TYPE, headers={})
        # Slack takes the challenge as JSON or as plain text.
        if challenge not in (answer.get("challenge"), answer.get("text")):
            raise NotAcknowledged("http_error")
        self._verified_url = url

    async def _post(self, url: str, body: str, content_type: str, *, headers: dict[str, str]) -> Json:
        headers = {**headers, **self._signature(body), "Content-Type": content_type}
        async with self._session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as response:
            text = await response.text(errors="replace")
            if not 200 <= response.status < 300:
                raise NotAcknowledged("http_error", final=response.headers.get("X-Slack-No-Retry") == "1")
        try:
            answer = json.loads(text)
        except ValueError:
            return {"text": text} if text else {}
        return answer if isinstance(answer, dict) else {"text": text}

    def _signature(self, body: str) -> dict[str, str]:
        # The app compares the timestamp with its own clock, so this one is never the workspace's.
        timestamp = str(int(time.time()))
        digest = hmac.new(self._signing_secret, f"v0:{timestamp}:{body}".encode(), hashlib.sha256)
        return {
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": f"v0={digest.hexdigest()}",
        }


def _body(envelope: Envelope) -> tuple[str, str]:
    """Body and content type: events as JSON, commands as a form, interactions as a form of one field."""
    if envelope.kind == "events_api":
        return json.dumps(envelope.payload), JSON_TYPE
    if envelope.kind == "slash_commands":
        return urlencode(envelope.payload), FORM_TYPE
    return urlencode({"payload": json.dumps(envelope.payload)}), FORM_TYPE


def _retry_headers(envelope: Envelope) -> dict[str, str]:
    if not envelope.retry_attempt:
        return {}
    reason = RETRY_REASONS.get(envelope.retry_reason, envelope.retry_reason)
    return {"X-Slack-Retry-Num": str(envelope.retry_attempt), "X-Slack-Retry-Reason": reason}
