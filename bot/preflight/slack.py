"""Slack: tokens that are taken, scopes that are needed and no others, a clock by which signatures hold."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

from bot.errors import SlackError
from bot.preflight.addresses import judge_plain
from bot.preflight.clock import judge_clock
from bot.preflight.finding import Finding
from bot.slack.client import Identity, authenticate, check_app_token, time_at_slack, web_client

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

IN_PRIVATE = frozenset({"groups:history", "groups:read", "mpim:history", "mpim:read"})
"""What channels:history and channels:read are where only the invited can read; asked for too, and insisted on not."""

REMEDIES = {
    "invalid_auth": "Slack does not know this token; copy it again from your Slack app's settings.",
    "not_authed": "Slack does not know this token; copy it again from your Slack app's settings.",
    "account_inactive": "The app was removed from the workspace; install it again.",
    "token_revoked": "The token was revoked; install the app again and copy the new one.",
    "token_expired": "The token has expired; copy the current one from your Slack app's settings.",
    "missing_scope": "The app-level token lacks connections:write; make a new one with it.",
    "not_allowed_token_type": "This is the wrong kind of token for this setting.",
}


async def check_slack(
    bot_token: str, app_token: str | None, api_url: str, *, production: bool = False
) -> list[Finding]:
    """Whether both tokens are taken, and what the bot's may do; in `production`, each promise about Slack."""
    findings: list[Finding] = []
    try:
        identity = await authenticate(web_client(bot_token, api_url), patient=False)
    except SlackError as error:
        findings.append(Finding("Slack", "bot token", "wrong", f"SLACK_BOT_TOKEN: {_remedy(error.reason, api_url)}"))
    else:
        sentence = f"Dolly is {identity.user} in {identity.team} ({identity.url})."
        findings.append(Finding("Slack", "bot token", "safe", sentence))
        findings += _scopes(identity, production=production)
        if production:
            findings.append(await _clock(bot_token, api_url))
    findings.append(await _check_events(app_token, api_url))
    if production:
        findings += [_subscriptions(), await _transport(api_url)]
    return findings


def _scopes(identity: Identity, *, production: bool) -> list[Finding]:
    if not identity.scopes:
        sentence = (
            "Slack did not say which scopes the bot token has; compare OAuth & Permissions in your Slack app's "
            "settings with deploy/slack-manifest.json."
        )
        return [Finding("Slack", "scopes", "cannot tell", sentence)] if production else []
    missing = [f"{scope} ({purpose})" for scope, purpose in SCOPES.items() if scope not in identity.scopes]
    if missing:
        sentence = f"The bot token lacks {', '.join(missing)}; add it under OAuth & Permissions and install again."
        return [Finding("Slack", "scopes", "wrong", sentence)]
    if not production:
        return []
    unneeded = sorted(identity.scopes - SCOPES.keys() - IN_PRIVATE)
    if unneeded:
        sentence = (
            f"The bot token may do what Dolly never does: {', '.join(unneeded)}. Whoever steals it may, too; take them "
            "out under OAuth & Permissions, install again, and revoke the old token."
        )
        return [Finding("Slack", "scopes", "unsafe", sentence)]
    return [Finding("Slack", "scopes", "safe", "Those of deploy/slack-manifest.json, and no others.")]


async def _clock(bot_token: str, api_url: str) -> Finding:
    before = datetime.now(UTC)
    told = await time_at_slack(web_client(bot_token, api_url))
    ours = before + (datetime.now(UTC) - before) / 2
    if told is None:
        sentence = "Slack's answer had no Date; see that this machine's clock is kept by NTP (`timedatectl`)."
        return Finding("Slack", "clock", "cannot tell", sentence)
    matter = "signed requests older than five minutes are refused, and questions look older or newer than they are"
    return judge_clock("Slack", "Slack's", (told - ours).total_seconds(), matter)


async def _check_events(app_token: str | None, api_url: str) -> Finding:
    if app_token is None:
        return Finding("Slack", "events", "safe", "They come by signed HTTP; no app token is set.")
    try:
        await check_app_token(app_token, api_url)
    except SlackError as error:
        return Finding("Slack", "events", "wrong", f"SLACK_APP_TOKEN: {_remedy(error.reason, api_url)}")
    return Finding("Slack", "events", "safe", "Socket Mode connections can be opened.")


def _subscriptions() -> Finding:
    sentence = (
        "Slack tells no app which events it gets; compare Event Subscriptions in your Slack app's settings with "
        "deploy/slack-manifest.json, or paste that file under App Manifest."
    )
    return Finding("Slack", "subscriptions", "cannot tell", sentence)


async def _transport(api_url: str) -> Finding:
    parts = urlsplit(api_url)
    if parts.scheme == "https":
        return Finding("Slack", "transport", "safe", f"{parts.hostname} is spoken to by TLS.")
    verdict, reason = await judge_plain(parts.hostname or "")
    remedy = "" if verdict == "safe" else "; let SLACK_API_URL begin with https://"
    return Finding("Slack", "transport", verdict, f"SLACK_API_URL is plain HTTP: {reason}{remedy}.")


def _remedy(reason: str, api_url: str) -> str:
    return REMEDIES.get(reason, f"{api_url} did not answer as Slack does ({reason}); is it reachable from here?")
