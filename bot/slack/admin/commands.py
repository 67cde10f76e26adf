"""`/dolly admin …`: for those who administer Dolly. Nobody else is told what there is."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.errors import DollyError
from bot.slack.afterwards import Afterwards, show
from bot.slack.authority import Authority
from bot.slack.payloads import identifier, text
from bot.slack.people import WordsOf
from bot.words import Words

log = structlog.get_logger(__name__)

AdminVerb = Callable[[str, str, Words], Awaitable[dict[str, Any]]]
"""What an admin's word does: given who says it, what follows it as Slack sent it, and the words of the answer, it gives
the text, and perhaps the blocks, of a message that only they see. Each writes its act into the audit log."""
AdminForm = Callable[[str, str, Words, str], Awaitable[dict[str, Any]]]
"""As an AdminVerb, with the trigger that opens a form; it gives {} once that is open."""

ANSWER_SECONDS = 1.5
"""What takes longer is told after the acknowledgement, for which Slack waits three seconds."""


class AdminCommands:
    """Listener of the command's verb. Who administers Dolly is asked each time: it may have changed."""

    def __init__(
        self,
        authority: Authority,
        verbs: Mapping[str, AdminVerb],
        forms: Mapping[str, AdminForm],
        words_of: WordsOf,
        afterwards: Afterwards,
    ) -> None:
        self._authority = authority
        self._verbs = verbs
        self._forms = forms
        self._words_of = words_of
        self._afterwards = afterwards

    async def command(self, ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any], rest: str) -> bool:
        """`/dolly admin`, `/dolly admin <verb> …`. It is never a question: the refusal is the same whatever follows."""
        user_id = identifier(command, "user_id")
        is_admin, words = await asyncio.gather(self._authority.is_admin(user_id), self._words_of(user_id))
        if not is_admin:
            await ack(words.say("admin_refused"))
            return True
        # Not `rest`: there, people are names.
        name, _, arguments = text(command, "text").partition("admin")[2].strip().partition(" ")
        if form := self._forms.get(name):
            acting = form(user_id, arguments.strip(), words, identifier(command, "trigger_id"))
        elif verb := self._verbs.get(name):
            acting = verb(user_id, arguments.strip(), words)
        else:
            await ack(words.say("admin_help"))
            return True
        answering = asyncio.ensure_future(_said(name, acting, words))
        await asyncio.wait({answering}, timeout=ANSWER_SECONDS)
        if answering.done():
            await ack(**answering.result())
        else:
            await ack(words.say("admin_moment"))
            self._afterwards.do(_late(respond, answering))
        return True


async def _said(name: str, acting: Awaitable[dict[str, Any]], words: Words) -> dict[str, Any]:
    """What an act gives, or why it could not be done."""
    try:
        return await acting
    except DollyError as error:
        log.warning("admin_act_failed", act=name, error=type(error).__name__, reason=str(error))
        return {"text": words.say(error.words_key)}


async def _late(respond: AsyncRespond, answering: Awaitable[dict[str, Any]]) -> None:
    if message := await answering:
        await show(respond, in_place=False, **message)
