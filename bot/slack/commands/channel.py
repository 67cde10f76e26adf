"""`/dolly channel`: what holds in one channel, set in a form by an admin or by who made the channel."""

from dataclasses import replace
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.audit import AuditLog
from bot.errors import StoreUnavailable
from bot.preferences import CHANNEL_PROMPT_CHARACTERS, ChannelRules
from bot.slack import blocks
from bot.slack.authority import Authority
from bot.slack.client import UNREACHABLE, failure
from bot.slack.payloads import checked, identifier, typed
from bot.slack.people import WordsOf
from bot.store.connection import store_errors
from bot.store.preferences import PreferenceStore
from bot.words import Words

log = structlog.get_logger(__name__)

CHANNEL_RULES = "channel_rules"
"""Id of the form."""
RULES, PROMPT = "rules", "system_prompt"
ALLOWED, FOLLOWS, CONSENT = "allowed", "follows", "consent"
STORE_SECONDS = 0.6
"""Of the three that Slack waits; who may set the rules is asked of Slack besides."""


class ChannelCommand:
    """Listeners: the command's verb, and the form when it is submitted."""

    def __init__(
        self,
        client: AsyncWebClient,
        preferences: PreferenceStore,
        authority: Authority,
        audit: AuditLog,
        words_of: WordsOf,
    ) -> None:
        self._client = client
        self._preferences = preferences
        self._authority = authority
        self._audit = audit
        self._words_of = words_of

    async def command(self, ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any], rest: str) -> bool:
        """`/dolly channel` and `/dolly channel follow on|off`; with other words behind it, it is a question."""
        if rest not in ("", "follow on", "follow off"):
            return False
        user_id, channel_id = identifier(command, "user_id"), identifier(command, "channel_id")
        words = await self._words_of(user_id)
        try:
            if channel_id.startswith("D"):
                said = words.say("channel_direct")
            elif not await self._authority.may_set(user_id, channel_id):
                said = words.say("channel_refused")
            elif rest:
                said = await self._follow(user_id, channel_id, words, follows=rest == "follow on")
            else:
                said = await self._open(channel_id, identifier(command, "trigger_id"), words)
        except StoreUnavailable as error:
            said = words.say(error.words_key)
        await ack(said) if said else await ack()
        return True

    async def submitted(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Listener of the form: what was chosen holds from now on, or the form stays open with the reason."""
        user_id = identifier(body.get("user") or {}, "id")
        channel_id = identifier({"channel": view.get("private_metadata")}, "channel")
        chosen, prompt = checked(view, RULES), typed(view, PROMPT)[:CHANNEL_PROMPT_CHARACTERS]
        rules = ChannelRules(ALLOWED in chosen, FOLLOWS in chosen, prompt, CONSENT in chosen)
        words = await self._words_of(user_id)
        try:
            if await self._authority.may_set(user_id, channel_id):
                await self._set(user_id, channel_id, rules)
                await ack()
            else:
                await ack(response_action="errors", errors={RULES: words.say("channel_refused")})
        except StoreUnavailable as error:
            await ack(response_action="errors", errors={RULES: words.say(error.words_key)})

    async def _follow(self, user_id: str, channel_id: str, words: Words, *, follows: bool) -> str:
        async with store_errors(STORE_SECONDS):
            now = await self._preferences.of_channel(channel_id)
        await self._set(user_id, channel_id, replace(now, follows=follows))
        return words.say("channel_follows") if follows else words.say("channel_follows_not")

    async def _set(self, user_id: str, channel_id: str, rules: ChannelRules) -> None:
        async with store_errors(STORE_SECONDS):
            await self._preferences.set_channel(channel_id, rules)
        self._audit.acted(user_id, "set_channel", channel_id)

    async def _open(self, channel_id: str, trigger_id: str, words: Words) -> str:
        """Show the form; the sentence that says why it could not be shown, or nothing."""
        async with store_errors(STORE_SECONDS):
            now = await self._preferences.of_channel(channel_id)
        try:
            await self._client.views_open(trigger_id=trigger_id, view=_form(words, channel_id, now))
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("channel_form_not_opened", reason=str(failure("views.open", error)))
            return words.say("form_not_opened")
        return ""


def _form(words: Words, channel_id: str, now: ChannelRules) -> blocks.Block:
    options = [
        blocks.option(words.say("channel_allowed"), ALLOWED),
        blocks.option(words.say("channel_follow"), FOLLOWS, words.say("channel_follow_hint")),
        blocks.option(words.say("channel_consent"), CONSENT, words.say("channel_consent_hint")),
    ]
    holds = {ALLOWED: now.is_allowed, FOLLOWS: now.follows, CONSENT: now.training_consent}
    return blocks.modal(
        CHANNEL_RULES,
        [
            blocks.section(words.say("channel_intro", channel=f"<#{channel_id}>")),
            blocks.field(
                words.say("channel_rules"),
                RULES,
                blocks.checkboxes(RULES, options, {value for value, is_held in holds.items() if is_held}),
            ),
            blocks.field(
                words.say("channel_prompt"),
                PROMPT,
                blocks.text_input(PROMPT, now.system_prompt, most_characters=CHANNEL_PROMPT_CHARACTERS),
                hint=words.say("channel_prompt_hint"),
            ),
        ],
        title=words.say("channel_title"),
        submit=words.say("form_save"),
        close=words.say("form_cancel"),
        metadata=channel_id,
    )
