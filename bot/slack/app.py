"""Dolly as a Slack app: one table of which listener hears what."""

import logging
import re
import time
from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.context.respond.async_respond import AsyncRespond
from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot import metrics
from bot.errors import DollyError, NotUnderstood
from bot.slack.admin.letters import ASK_AGAIN, DROP, AdminLetters
from bot.slack.admin.review import AdminReview
from bot.slack.admin.review_form import REVIEW
from bot.slack.afterwards import Afterwards, said
from bot.slack.answering.answer_blocks import FEEDBACK, REGENERATE, STOP
from bot.slack.answering.slash_reply import AGAIN, SHARE
from bot.slack.asking.agent_view import AgentView
from bot.slack.asking.edits import Edits
from bot.slack.asking.message_shortcut import ASK_ABOUT, MessageShortcut
from bot.slack.asking.private_answers import PrivateAnswers
from bot.slack.asking.questions import Questions
from bot.slack.asking.regenerating import Regenerating
from bot.slack.asking.stopping import Stopping
from bot.slack.client import Identity
from bot.slack.commands.channel import CHANNEL_RULES, ChannelCommand
from bot.slack.commands.forget import ForgetCommand
from bot.slack.commands.forget_list import FORGET_CONVERSATION, FORGET_ME
from bot.slack.commands.home import Home
from bot.slack.commands.settings import SETTINGS, SettingsModal
from bot.slack.commands.slash import Commands
from bot.slack.feedback.actions import FeedbackActions
from bot.slack.feedback.form import FIX, WITHDRAW
from bot.slack.feedback.listing import WITHDRAW_LISTED, FeedbackList
from bot.slack.feedback.reactions import Reactions
from bot.slack.hosts import SlackHosts
from bot.slack.people import WordsOf
from bot.slack.unreadable import IgnoreUnreadable

log = structlog.get_logger(__name__)

ANYTHING = re.compile(".*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Listeners:
    """Whoever hears something."""

    questions: Questions
    edits: Edits
    commands: Commands
    forget: ForgetCommand
    home: Home
    settings: SettingsModal
    channel: ChannelCommand
    private: PrivateAnswers
    shortcut: MessageShortcut
    agent_view: AgentView
    letters: AdminLetters
    review: AdminReview
    feedback: FeedbackActions
    feedback_list: FeedbackList
    reactions: Reactions
    stopping: Stopping
    regenerating: Regenerating


def build_app(
    client: AsyncWebClient, identity: Identity, listeners: Listeners, words_of: WordsOf, afterwards: Afterwards
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
        before_authorize=IgnoreUnreadable(SlackHosts(client.base_url)),
        process_before_response=True,
        raise_error_for_unhandled_request=True,
        # Signatures are checked in front, on the bytes as they came (bot/slack/hearing/http_events.py).
        request_verification_enabled=False,
        attaching_conversation_kwargs_enabled=False,
        # Bolt would also keep back that a message of Dolly's own was deleted; the listeners know whose one is.
        ignoring_self_events_enabled=False,
    )

    async def nothing(ack: AsyncAck) -> None:
        await ack()

    async def tab_opened(event: dict[str, Any]) -> None:
        await (listeners.agent_view if event.get("tab") == "messages" else listeners.home).opened(event)

    async def not_in_use(ack: AsyncAck, respond: AsyncRespond, context: AsyncBoltContext) -> None:
        await ack()
        afterwards.do(_tell_not_in_use(respond, context.user_id or "", words_of))

    app.event("app_mention")(listeners.questions.mentioned)
    app.event({"type": "message", "subtype": "message_changed"})(listeners.edits.changed)
    app.event({"type": "message", "subtype": "message_deleted"})(listeners.edits.deleted)
    app.event("message")(listeners.questions.said)
    app.event("agent_session_stopped")(listeners.stopping.natively)
    app.event("app_home_opened")(tab_opened)
    app.event("app_context_changed")(listeners.agent_view.looked_elsewhere)
    app.event("assistant_thread_started")(listeners.agent_view.pane_opened)
    app.event("assistant_thread_context_changed")(listeners.agent_view.looked_elsewhere)
    app.event("app_uninstalled")(listeners.forget.uninstalled)
    app.event("tokens_revoked")(listeners.forget.revoked)
    app.event("reaction_added")(listeners.reactions.added)
    app.event("reaction_removed")(listeners.reactions.removed)
    app.command("/dolly")(listeners.commands.dolly)
    app.action(FORGET_CONVERSATION)(listeners.forget.clicked_conversation)
    app.action(FORGET_ME)(listeners.forget.clicked_me)
    app.action(SETTINGS)(listeners.settings.clicked)
    app.action(ASK_AGAIN)(listeners.letters.ask_again)
    app.action(DROP)(listeners.letters.drop)
    app.action(FEEDBACK)(listeners.feedback.rated)
    app.action(STOP)(listeners.stopping.clicked)
    app.action(REGENERATE)(listeners.regenerating.clicked)
    app.action(FIX)(listeners.feedback.fix)
    app.action(WITHDRAW)(listeners.feedback.withdraw)
    app.action(WITHDRAW_LISTED)(listeners.feedback_list.withdraw)
    app.view(FIX)(listeners.feedback.submitted)
    app.action(SHARE)(listeners.private.share)
    app.action(AGAIN)(listeners.private.again)
    app.shortcut({"type": "message_action", "callback_id": ASK_ABOUT})(listeners.shortcut.chosen)
    app.view(ASK_ABOUT)(listeners.shortcut.submitted)
    app.view(SETTINGS)(listeners.settings.submitted)
    app.view(CHANNEL_RULES)(listeners.channel.submitted)
    app.view(REVIEW)(listeners.review.submitted)

    # Bolt leaves what no listener hears unacknowledged, and Slack would deliver it again and again.
    app.event(ANYTHING)(nothing)
    app.command(ANYTHING)(listeners.commands.unknown)
    app.action(ANYTHING)(not_in_use)
    app.shortcut(ANYTHING)(nothing)
    app.view(ANYTHING)(nothing)
    app.view_closed(ANYTHING)(nothing)
    app.options(ANYTHING)(nothing)

    app.error(_refuse)
    return app


async def dispatch(app: AsyncApp, request: AsyncBoltRequest) -> BoltResponse:
    """What `app` answers to a request from Slack."""
    start = time.perf_counter()
    response = await app.async_dispatch(request)
    if response.status == 200:
        metrics.ack_seconds.observe(time.perf_counter() - start)
    return response


async def _refuse(error: Exception, body: dict[str, Any]) -> BoltResponse:
    """Decide what Slack is told when no listener has returned: "received" only where no redelivery can help."""
    if isinstance(error, BoltUnhandledRequestError):
        log.warning("not_understood", reason="No listener hears this kind.", kind=str(body.get("type"))[:40])
        return BoltResponse(status=200)
    if isinstance(error, NotUnderstood):
        log.warning("not_understood", reason=str(error))
        return BoltResponse(status=200)
    if isinstance(error, DollyError):
        log.warning("not_stored", error=type(error).__name__, reason=str(error))
    else:
        log.error("listener_failed", error=type(error).__name__, exc_info=error)
    return BoltResponse(status=503)


async def _tell_not_in_use(respond: AsyncRespond, user_id: str, words_of: WordsOf) -> None:
    await said(respond, (await words_of(user_id)).say("button_unknown"))
