"""`/dolly settings`: a form in which a person says how they want to be answered."""

from collections.abc import Callable
from typing import Any, get_args

import structlog
from babel import Locale
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import NotUnderstood, StoreUnavailable
from bot.preferences import INSTRUCTION_CHARACTERS, LANGUAGES, AnswerLength, Preferences
from bot.slack import blocks
from bot.slack.client import UNREACHABLE, failure
from bot.slack.payloads import identifier, selected, typed
from bot.slack.people import WordsOf
from bot.store.connection import store_errors
from bot.store.preferences import PreferenceStore
from bot.words import Words

log = structlog.get_logger(__name__)

SETTINGS = "settings"
"""Id of the form, and of the buttons that open it."""
LENGTH, LANGUAGE, INSTRUCTIONS = "answer_length", "language", "instructions"
OF_THE_QUESTION = "question"
STORE_SECONDS = 1.0
"""A trigger opens a form for three seconds, and a submitted one must be acknowledged in as many."""


class SettingsModal:
    """Listeners: the command's verb, the button in the App Home, and the form when it is submitted."""

    def __init__(
        self,
        client: AsyncWebClient,
        preferences: PreferenceStore,
        words_of: WordsOf,
        draw_home: Callable[[str, str], object],
    ) -> None:
        """`draw_home` draws a person's App Home anew, with a sentence on top or ""."""
        self._client = client
        self._preferences = preferences
        self._words_of = words_of
        self._draw_home = draw_home

    async def command(self, ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any], rest: str) -> bool:
        """`/dolly settings`; with more words behind it, it is a question."""
        if rest:
            return False
        user_id = identifier(command, "user_id")
        sentence = await self._open(user_id, identifier(command, "trigger_id"))
        await ack(sentence) if sentence else await ack()
        return True

    async def clicked(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Listener of the button, which stands in the App Home: so does what keeps the form from opening."""
        user_id, trigger_id = identifier(body.get("user") or {}, "id"), identifier(body, "trigger_id")
        sentence = await self._open(user_id, trigger_id)
        await ack()
        if sentence:
            self._draw_home(user_id, sentence)

    async def submitted(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Listener of the form: what was chosen is kept, or the form stays open with the reason."""
        user_id = identifier(body.get("user") or {}, "id")
        length, language = selected(view, LENGTH), selected(view, LANGUAGE)
        if length not in get_args(AnswerLength) or language not in (*LANGUAGES, OF_THE_QUESTION):
            raise NotUnderstood("state")
        instructions = typed(view, INSTRUCTIONS)[:INSTRUCTION_CHARACTERS]
        chosen = Preferences(length, "" if language == OF_THE_QUESTION else language, instructions)  # type: ignore[arg-type]
        try:
            async with store_errors(STORE_SECONDS):
                await self._preferences.set_person(user_id, chosen)
        except StoreUnavailable as error:
            log.warning("settings_not_kept", reason=str(error))
            words = await self._words_of(user_id)
            await ack(response_action="errors", errors={LENGTH: words.say(error.words_key)})
        else:
            await ack()
            self._draw_home(user_id, "")

    async def _open(self, user_id: str, trigger_id: str) -> str:
        """Show the form; the sentence that says why it could not be shown, or nothing."""
        words = await self._words_of(user_id)
        try:
            async with store_errors(STORE_SECONDS):
                now = await self._preferences.of_person(user_id)
            await self._client.views_open(trigger_id=trigger_id, view=_form(words, now))
        except StoreUnavailable as error:
            return words.say(error.words_key)
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("settings_not_opened", reason=str(failure("views.open", error)))
            return words.say("form_not_opened")
        return ""


def _form(words: Words, now: Preferences) -> blocks.Block:
    lengths = [blocks.option(length_words(length, words), length) for length in get_args(AnswerLength)]
    languages = [blocks.option(words.say("settings_language_of_question"), OF_THE_QUESTION)]
    languages += [blocks.option(own_name(code), code) for code in LANGUAGES]
    chosen_language = now.language or OF_THE_QUESTION
    return blocks.modal(
        SETTINGS,
        [
            blocks.field(
                words.say("settings_length"),
                LENGTH,
                blocks.choice("radio_buttons", LENGTH, lengths, now.answer_length),
                is_optional=False,
            ),
            blocks.field(
                words.say("settings_language"),
                LANGUAGE,
                blocks.choice("static_select", LANGUAGE, languages, chosen_language),
                is_optional=False,
            ),
            blocks.field(
                words.say("settings_instructions"),
                INSTRUCTIONS,
                blocks.text_input(INSTRUCTIONS, now.instructions, most_characters=INSTRUCTION_CHARACTERS),
                hint=words.say("settings_instructions_hint"),
            ),
        ],
        title=words.say("settings_title"),
        submit=words.say("form_save"),
        close=words.say("form_cancel"),
    )


def length_words(length: AnswerLength, words: Words) -> str:
    """What a length of answers is called."""
    match length:
        case "short":
            return words.say("settings_short")
        case "usual":
            return words.say("settings_usual")
        case "long":
            return words.say("settings_long")


def own_name(language: str) -> str:
    """A language as its speakers call it."""
    return str(Locale.parse(language).get_display_name(language)).capitalize()
