"""`/dolly forget`: what people have Dolly forget, in a list with buttons or by a permalink; and the end of it all.

Slack allows no commands in threads, hence the list. Before Slack is told "received", what is to be forgotten is in
the erasure log, on disk; it is carried out afterwards, or at the next start. To click twice is to click once.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.conversation import ConversationId
from bot.erasures import Erasure, Erasures
from bot.errors import DollyError, FilesNotRewritten, NotUnderstood, StoreUnavailable
from bot.slack.afterwards import Afterwards, said, show
from bot.slack.authority import Authority
from bot.slack.client import Identity
from bot.slack.commands.forget_list import ForgetList
from bot.slack.commands.home import Home
from bot.slack.payloads import identifier
from bot.slack.people import WordsOf
from bot.slack.permalinks import linked_thread
from bot.store.connection import store_errors
from bot.store.forgetting import Forgetting
from bot.store.tombstones import Target
from bot.words import Words

log = structlog.get_logger(__name__)

STORE_SECONDS = 1.2
RETRY_SECONDS = (0.5, 1, 2, 4, 8, 16)
"""Pauses between tries while the store is away; after the last, the next start does it."""
ADDRESS = re.compile(r"https?://[^\s)]+")


class ForgetCommand:
    """Listeners: the command's verb, its buttons, and what Slack tells when the app is removed."""

    def __init__(
        self,
        erasures: Erasures,
        forgetting: Forgetting,
        forget_list: ForgetList,
        home: Home,
        authority: Authority,
        identity: Identity,
        words_of: WordsOf,
        afterwards: Afterwards,
    ) -> None:
        self._erasures = erasures
        self._forgetting = forgetting
        self._list = forget_list
        self._home = home
        self._authority = authority
        self._identity = identity
        self._words_of = words_of
        self._afterwards = afterwards

    # --- listeners --------------------------------------------------------------------------------------------------

    async def command(self, ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any], rest: str) -> bool:
        """`/dolly forget` and `/dolly forget <permalink>`; nobody means a question that begins so."""
        user_id = identifier(command, "user_id")
        words = await self._words_of(user_id)
        address = ADDRESS.search(rest)
        linked = linked_thread(address[0]) if address else None
        try:
            if not rest:
                await ack(**await self._list.message(user_id, words))
            elif linked is None:
                await ack(words.say("forget_which"))
            else:
                target = await self._allowed(user_id, ConversationId(self._identity.home_id, *linked))
                await self._begin(ack, respond, target, words)
        except DollyError as error:
            log.warning("not_forgotten", error=type(error).__name__, reason=str(error))
            await ack(words.say(error.words_key))
        return True

    async def clicked_conversation(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """Listener of the button beside a conversation."""
        user_id = _user_of(body)
        try:
            conversation = ConversationId.parse(str(body["actions"][0]["value"]))
        except (LookupError, TypeError, ValueError):
            raise NotUnderstood("value") from None
        await self._clicked(ack, respond, body, lambda: self._allowed(user_id, conversation))

    async def clicked_me(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """Listener of the button "Forget everything I said"."""
        user_id = _user_of(body)

        async def everything() -> Target:
            return Target(user_id=user_id)

        await self._clicked(ack, respond, body, everything)

    async def uninstalled(self, body: dict[str, Any]) -> None:
        """Listener of `app_uninstalled`: nobody will ask here any more, and all goes."""
        team_id = body.get("team_id") or body.get("enterprise_id")
        if team_id != self._identity.home_id:
            log.warning("other_team_uninstalled")
            return
        target = Target()
        erasure = await self._erasures.write_down(target)
        log.warning("team_is_being_forgotten")
        self._afterwards.do(self._carry_out(erasure, target, Words()))  # there is nobody to be told

    async def revoked(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        """Listener of `tokens_revoked`: without its bot token Dolly is removed; people's own tokens are not its."""
        tokens = event.get("tokens")
        if isinstance(tokens, dict) and tokens.get("bot"):
            await self.uninstalled(body)

    # --- who may forget what ----------------------------------------------------------------------------------------

    async def _allowed(self, user_id: str, conversation: ConversationId) -> Target | None:
        """The whole conversation where nobody else asked, or for an admin; else one's own part, if there is one."""
        async with store_errors(STORE_SECONDS):
            asked = await self._forgetting.people(conversation)
            quoted = await self._forgetting.quoted(conversation)
        if conversation.team_id != self._identity.home_id or not asked:
            return None
        if asked == {user_id} or await self._authority.is_admin(user_id):
            return Target(conversation)
        return Target(conversation, user_id=user_id) if user_id in asked | quoted else None

    # --- written down, acknowledged, carried out ----------------------------------------------------------------------

    async def _begin(self, ack: AsyncAck, respond: AsyncRespond, target: Target | None, words: Words) -> None:
        if target is None:
            await ack(words.say("forget_not_yours"))
            return
        erasure = await self._erasures.write_down(target)
        await ack(words.say("forget_begun"))
        self._afterwards.do(
            self._tell_when_done(erasure, target, words, lambda sentence: said(respond, sentence, in_place=True))
        )

    async def _clicked(
        self,
        ack: AsyncAck,
        respond: AsyncRespond,
        body: dict[str, Any],
        choose: Callable[[], Awaitable[Target | None]],
    ) -> None:
        """A click is acknowledged once it is written down; what comes of it stands where the list was, drawn anew."""
        user_id = _user_of(body)
        words = await self._words_of(user_id)

        def tell(sentence: str) -> Awaitable[None]:
            if body.get("view"):
                return self._home.draw(user_id, sentence)
            return self._redraw(respond, sentence, user_id, words)

        try:
            target = await choose()
            if target is None:
                self._afterwards.do(tell(words.say("forget_not_yours")))
            else:
                erasure = await self._erasures.write_down(target)
                self._afterwards.do(self._tell_when_done(erasure, target, words, tell))
        except DollyError as error:
            log.warning("not_forgotten", error=type(error).__name__, reason=str(error))
            self._afterwards.do(tell(words.say(error.words_key)))
        await ack()

    async def _tell_when_done(
        self, erasure: Erasure, target: Target, words: Words, tell: Callable[[str], Awaitable[None]]
    ) -> None:
        await tell(await self._carry_out(erasure, target, words))

    async def _carry_out(self, erasure: Erasure, target: Target, words: Words) -> str:
        """Forget, patiently; a sentence about what became of it."""
        for pause in (*RETRY_SECONDS, None):
            try:
                forgotten = await self._erasures.carry_out(erasure, target)
                break
            except StoreUnavailable as error:
                log.warning("not_forgotten_yet", reason=str(error))
                if pause is None:
                    return words.say("forget_later")
                await asyncio.sleep(pause)
        said = _said(target, words) if forgotten else words.say("forgotten_nothing")
        try:
            await self._erasures.rewrite_files()
        except (FilesNotRewritten, StoreUnavailable) as error:
            log.error("files_not_rewritten", reason=str(error))
            said += " " + words.say("forget_files")
        return said

    async def _redraw(self, respond: AsyncRespond, sentence: str, user_id: str, words: Words) -> None:
        """The list anew, under `sentence`; below the old one where the store does not tell."""
        try:
            await show(respond, in_place=True, **await self._list.message(user_id, words, sentence))
        except StoreUnavailable:
            await said(respond, sentence)


def _said(target: Target, words: Words) -> str:
    if target.conversation and target.user_id:
        return words.say("forgotten_part")
    return words.say("forgotten_conversation") if target.conversation else words.say("forgotten_all")


def _user_of(body: dict[str, Any]) -> str:
    user = body.get("user")
    return identifier(user if isinstance(user, dict) else {}, "id")
