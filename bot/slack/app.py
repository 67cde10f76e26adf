"""Dolly as a Slack app: one table of which listener hears what."""

import logging
import re
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import DollyError
from bot.slack.client import Identity
from bot.slack.commands import Commands
from bot.slack.home import Home
from bot.slack.questions import Questions
from bot.words import Words

log = structlog.get_logger(__name__)

ANYTHING = re.compile(".*", re.DOTALL)


def build_app(
    client: AsyncWebClient, identity: Identity, questions: Questions, commands: Commands, home: Home, words: Words
) -> AsyncApp:
    """The Bolt app. A listener stores and returns; only then is Slack told "received".

    `authorize` gives what auth.test said at the start: Bolt's own would ask again with an event in its
    hands, and drop that event if Slack could not answer.
    """

    async def authorize(**_: Any) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=identity.enterprise_id,
            team_id=identity.team_id,
            team=identity.team,
            url=identity.url,
            bot_user_id=identity.bot_user_id,
            bot_id=identity.bot_id,
            bot_token=client.token,
        )

    app = AsyncApp(
        # Bolt gives its loggers the level of this one; its warnings may quote what people wrote.
        logger=logging.getLogger("slack_bolt"),
        client=client,
        authorize=authorize,
        process_before_response=True,
        # Signatures are checked in front, on the bytes as they came (bot/slack/http_events.py).
        request_verification_enabled=False,
        attaching_conversation_kwargs_enabled=False,
    )

    async def nothing(ack: AsyncAck) -> None:
        await ack()

    async def not_in_use(ack: AsyncAck, respond: Any, body: dict[str, Any]) -> None:
        await ack()
        if body.get("response_url"):
            await respond(words.say("button_unknown"), response_type="ephemeral", replace_original=False)

    app.event("app_mention")(questions.mentioned)
    app.event("message")(questions.said)
    app.event("agent_session_stopped")(questions.stop)
    app.event("app_home_opened")(home.opened)
    app.command("/dolly")(commands.dolly)

    # Bolt leaves what no listener hears unacknowledged, and Slack would deliver it again and again.
    app.event(ANYTHING)(nothing)
    app.command(ANYTHING)(commands.unknown)
    app.action(ANYTHING)(not_in_use)
    app.shortcut(ANYTHING)(nothing)
    app.view(ANYTHING)(nothing)
    app.view_closed(ANYTHING)(nothing)
    app.options(ANYTHING)(nothing)

    app.error(_refuse)
    return app


async def _refuse(error: Exception) -> BoltResponse:
    """A listener failed, so nothing is stored: not acknowledged, Slack delivers the event again."""
    if isinstance(error, DollyError):
        log.warning("not_stored", error=type(error).__name__, reason=str(error))
    else:
        log.error("listener_failed", error=type(error).__name__, exc_info=error)
    return BoltResponse(status=503, body="")
