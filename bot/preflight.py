"""`dolly check`: is each part that Dolly stands on there, and fit for it?"""

from dataclasses import dataclass
from typing import Literal

from bot.errors import EngineError, SlackError, StoreUnavailable
from bot.model_client import ModelClient
from bot.slack.client import authenticate, check_app_token, web_client
from bot.store.connection import connect, inspect

Verdict = Literal["good", "unsafe", "wrong"]

SCOPES = {
    "app_mentions:read": "to hear mentions",
    "chat:write": "to answer",
    "commands": "to offer /dolly",
    "files:read": "to read the files that come with a question",
    "files:write": "to show an admin how a retrain went",
    "im:history": "to hear direct messages",
    "im:read": "to find direct messages that it missed",
    "channels:history": "to read the thread that it is mentioned in",
    "channels:read": "to know in which channels it may have missed something",
    "assistant:write": 'to show "is thinking…"',
    "reactions:read": "to hear what people think of an answer",
    "users:read": "to know who said what in a thread, and in which language to talk to them",
}
"""The scopes that Dolly uses, and what for; deploy/slack-manifest.json asks for them."""

REMEDIES = {
    "invalid_auth": "Slack does not know this token; copy it again from your Slack app's settings.",
    "not_authed": "Slack does not know this token; copy it again from your Slack app's settings.",
    "account_inactive": "The app was removed from the workspace; install it again.",
    "token_revoked": "The token was revoked; install the app again and copy the new one.",
    "token_expired": "The token has expired; copy the current one from your Slack app's settings.",
    "missing_scope": "The app-level token lacks connections:write; make a new one with it.",
    "not_allowed_token_type": "This is the wrong kind of token for this setting.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one part."""

    part: str
    verdict: Verdict
    sentence: str


async def check_slack(bot_token: str, app_token: str | None, api_url: str) -> list[Finding]:
    """Whether both tokens are taken, and what the bot's may do."""
    return [*await _check_bot_token(bot_token, api_url), await _check_events(app_token, api_url)]


async def _check_bot_token(bot_token: str, api_url: str) -> list[Finding]:
    try:
        identity = await authenticate(web_client(bot_token, api_url), patient=False)
    except SlackError as error:
        return [Finding("Slack", "wrong", f"SLACK_BOT_TOKEN: {_remedy(error.reason, api_url)}")]
    findings = [Finding("Slack", "good", f"Dolly is {identity.user} in {identity.team} ({identity.url}).")]
    missing = [f"{scope} ({purpose})" for scope, purpose in SCOPES.items() if scope not in identity.scopes]
    if missing and identity.scopes:
        sentence = f"The bot token lacks {', '.join(missing)}; add it under OAuth & Permissions and install again."
        findings.append(Finding("Slack scopes", "wrong", sentence))
    return findings


async def _check_events(app_token: str | None, api_url: str) -> Finding:
    if app_token is None:
        return Finding("Slack events", "good", "They come by signed HTTP; no app token is set.")
    try:
        await check_app_token(app_token, api_url)
    except SlackError as error:
        return Finding("Slack events", "wrong", f"SLACK_APP_TOKEN: {_remedy(error.reason, api_url)}")
    return Finding("Slack events", "good", "Socket Mode connections can be opened.")


def _remedy(reason: str, api_url: str) -> str:
    return REMEDIES.get(reason, f"{api_url} did not answer as Slack does ({reason}); is it reachable from here?")


async def check_store(redis_url: str, *, cluster: bool = False) -> list[Finding]:
    """Whether the store answers, and keeps what it acknowledged."""
    try:
        client = connect(redis_url, cluster=cluster)
        try:
            report = await inspect(client)
        finally:
            await client.aclose()
    except StoreUnavailable as error:
        return [Finding("Store", "wrong", str(error))]
    if report.safe:
        return [Finding("Store", "good", f"Version {report.version}; what it acknowledges is on disk.")]
    return [Finding("Store", "unsafe", sentence) for sentence in (*report.unsafe, *report.unknown)]


async def check_engine(model: ModelClient, max_tokens: int) -> list[Finding]:
    """Whether the engine answers, and what it serves."""
    try:
        report = await model.describe()
    except EngineError as error:
        return [Finding("Engine", "wrong", str(error))]
    if report.window_tokens <= max_tokens:
        sentence = f"MAX_TOKENS is {max_tokens}, and the engine's window is {report.window_tokens}; set it lower."
        return [Finding("Engine", "wrong", sentence)]
    counting = "exactly" if report.counts_exactly else "by an upper bound"
    sentence = f"{report.stamp} on {report.dialect}: a window of {report.window_tokens} tokens, counted {counting}."
    return [Finding("Engine", "good", sentence)]
