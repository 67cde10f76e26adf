"""Slack's Web API client, and who Dolly is there."""

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot import metrics, tracing
from bot.errors import DollyError, NotUnderstood, SlackError, SlackUnreachable
from bot.slack.hosts import SlackHosts
from bot.slack.pacing import Pacer, Priority
from bot.slack.payloads import identifier

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 30.0
RATE_LIMITED_CALLS = 4
"""How often a call is made that Slack answers with a rate limit."""
LONGEST_HOLD_SECONDS = 300.0
"""Slack asks for a minute at most, as a rule."""
PASSING = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited"})
"""Slack's error names that a later call may not meet again."""
UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)
"""What a call raises that got no answer from Slack."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What auth.test says of Dolly, and the scopes that its token has."""

    team_id: str
    team: str
    enterprise_id: str | None
    bot_user_id: str
    bot_id: str
    user: str
    url: str
    scopes: frozenset[str]

    @property
    def home_id(self) -> str:
        """The team, or the organisation where one installed the app for all its teams."""
        return self.team_id or self.enterprise_id or ""


class PacedClient(AsyncWebClient):
    """Lets each call wait for its turn, and counts it by its method and Slack's name for how it went."""

    pacer: Pacer
    priority = Priority.ANSWER

    async def api_call(self, api_method: str, **options: Any) -> AsyncSlackResponse:
        arguments = options.get("json") or options.get("params") or {}
        channel_id = str(arguments.get("channel") or "") if isinstance(arguments, Mapping) else ""
        for left in reversed(range(RATE_LIMITED_CALLS)):
            await self.pacer.pass_through(api_method, channel_id, self.priority)
            try:
                return await self._counted_call(api_method, is_last=not left, **options)
            except SlackApiError as error:
                held_seconds = _retry_after(error)
                if held_seconds is None or not left:
                    raise
                await self.pacer.hold(api_method, channel_id, held_seconds)
        raise AssertionError("the last call returned or raised")

    async def _counted_call(self, api_method: str, *, is_last: bool, **options: Any) -> AsyncSlackResponse:
        outcome = "broken_off"
        try:
            with tracing.call(api_method, {}):
                answer = await super().api_call(api_method, **options)
            outcome = "ok"
            return answer
        except SlackApiError as error:
            is_limited = _retry_after(error) is not None
            outcome = "rate_limited" if is_limited and not is_last else error_name(error)
            raise
        except UNREACHABLE:
            outcome = "unreachable"
            raise
        finally:
            metrics.slack_calls.labels(api_method, outcome).inc()


def web_client(
    token: str, api_url: str, session: aiohttp.ClientSession | None = None, pacer: Pacer | None = None
) -> PacedClient:
    """A client that keeps to rate limits, and repeats nothing else: a repeated post could be a second post."""
    client = PacedClient(token=token, base_url=api_url, timeout=TIMEOUT_SECONDS, session=session, retry_handlers=[])
    client.pacer = pacer or Pacer()
    return client


def open_session(address: str) -> aiohttp.ClientSession:
    """Connections to the Slack that `address` belongs to, which lead nowhere else; to be closed."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    return aiohttp.ClientSession(timeout=timeout, middlewares=(SlackHosts(address).only,))


@asynccontextmanager
async def webhook_at(response_url: str, **options: Any) -> AsyncIterator[AsyncWebhookClient]:
    """What posts at a response_url; `options` are the client's own."""
    async with open_session(response_url) as session:
        yield AsyncWebhookClient(response_url, timeout=TIMEOUT_SECONDS, session=session, **options)


def at_priority(client: AsyncWebClient, priority: Priority) -> AsyncWebClient:
    """The same client for calls that let others go first."""
    twin = copy.copy(client)
    if isinstance(twin, PacedClient):
        twin.priority = priority
    return twin


def _retry_after(error: SlackApiError) -> float | None:
    """After how many seconds Slack wants the call again; None where it is no rate limit."""
    response: Any = error.response
    if _status(response) != 429:
        return None
    try:
        return min(max(float(response.headers.get("Retry-After", "1")), 0.0), LONGEST_HOLD_SECONDS)
    except ValueError:
        return 1.0


async def authenticate(client: AsyncWebClient, *, patient: bool = True) -> Identity:
    """Ask Slack who this token is, before any event may come.

    Bolt would ask with the first event, and drop that event if Slack could not answer just then. While
    `patient`, an unreachable or failing Slack is asked again until it answers. Raises SlackError when the
    token is refused, or when Slack cannot be reached and `patient` is off.
    """
    wait_seconds = FIRST_RETRY_SECONDS
    while True:
        try:
            answer = await client.auth_test()
            return _identity(answer.data, answer.headers)
        except NotUnderstood:
            raise SlackError("auth.test", "no_slack_answer") from None
        except SlackApiError as error:
            reason = error_name(error)
            if not patient or not is_passing(error):
                raise SlackError("auth.test", reason) from None
        except UNREACHABLE as error:
            reason = type(error).__name__
            if not patient:
                raise SlackError("auth.test", reason) from None
        log.warning("slack_unreachable", reason=reason, retry_seconds=wait_seconds)
        await asyncio.sleep(wait_seconds)
        wait_seconds = min(wait_seconds * 2, LONGEST_RETRY_SECONDS)


async def time_at_slack(client: AsyncWebClient) -> datetime | None:
    """The clock of whoever answers as Slack, to the second; None where it is not told."""
    try:
        answer = await client.auth_test()
    except (SlackApiError, NotUnderstood, *UNREACHABLE):
        return None
    told = next((value for name, value in answer.headers.items() if name.lower() == "date"), "")
    try:
        return parsedate_to_datetime(told)
    except ValueError:
        return None


async def check_app_token(app_token: str, api_url: str) -> None:
    """Raise SlackError unless a Socket Mode connection can be opened with `app_token`."""
    try:
        await web_client(app_token, api_url).apps_connections_open(app_token=app_token)
    except SlackApiError as error:
        raise SlackError("apps.connections.open", error_name(error)) from None
    except UNREACHABLE as error:
        raise SlackError("apps.connections.open", type(error).__name__) from None


def _identity(answer: Any, headers: Any) -> Identity:
    scopes = next((value for name, value in headers.items() if name.lower() == "x-oauth-scopes"), "")
    return Identity(
        team_id=answer.get("team_id") or "",
        team=answer.get("team") or "",
        enterprise_id=answer.get("enterprise_id"),
        bot_user_id=identifier(answer, "user_id"),
        bot_id=answer.get("bot_id") or "",
        user=answer.get("user") or "",
        url=answer.get("url") or "",
        scopes=frozenset(scope.strip() for scope in scopes.split(",") if scope.strip()),
    )


def error_name(error: SlackApiError) -> str:
    """Slack's own name for what went wrong; `no_slack_answer` where the body was not Slack's."""
    data = getattr(error.response, "data", None)
    name = data.get("error") if isinstance(data, dict) else None
    return str(name or "no_slack_answer")


def failure(method: str, error: Exception) -> DollyError:
    """What a failed call means: SlackError where Slack refused it, SlackUnreachable where it may work later."""
    if not isinstance(error, SlackApiError):
        return SlackUnreachable(method, type(error).__name__)
    kind = SlackUnreachable if is_passing(error) else SlackError
    return kind(method, error_name(error))


def is_passing(error: SlackApiError) -> bool:
    """Whether the same call may be answered well a little later."""
    return error_name(error) in PASSING or _status(error.response) >= 500


def _status(response: Any) -> int:
    """The HTTP status; the client keeps it under another name where the body was no JSON."""
    return int(response.status_code if hasattr(response, "status_code") else response.status)


def is_undone(error: Exception) -> bool:
    """Whether a call that Slack did not answer well was certainly not carried out, though it may work later."""
    if isinstance(error, SlackApiError):
        return error_name(error) == "ratelimited" or not is_passing(error)
    return isinstance(error, aiohttp.ClientConnectorError)
