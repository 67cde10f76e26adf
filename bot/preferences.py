"""What people and channels have set for themselves: frozen values, and what of them an engine is told."""

from dataclasses import dataclass
from typing import Literal

from babel import Locale

AnswerLength = Literal["short", "usual", "long"]

LANGUAGE_OF_THE_QUESTION = "Answer in the language of the question."
"""What Dolly's own system prompt says of languages; it goes where a person has chosen one."""

LENGTHS: dict[AnswerLength, str] = {
    "short": "Answer in three sentences or fewer.",
    "usual": "",
    "long": "Answer at length, with reasons and examples.",
}
LANGUAGES = (
    *("ar", "bn", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "gu", "he", "hi", "hu", "id", "it", "ja", "kn"),
    *("ko", "ml", "mr", "nb", "nl", "pa", "pl", "pt", "ro", "ru", "sv", "ta", "te", "th", "tr", "uk", "ur", "vi", "zh"),
)
"""Languages that a person may have answers in, by their ISO 639 codes."""
INSTRUCTION_CHARACTERS = 1_000
"""How long a person's own instructions may be; they stand in each of that person's prompts."""
CHANNEL_PROMPT_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Preferences:
    """How one person wants to be answered."""

    answer_length: AnswerLength = "usual"
    language: str = ""
    """The language that answers come in, one of LANGUAGES; empty for the language of the question."""
    instructions: str = ""
    """The person's own words to the model."""


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """What holds in one channel."""

    is_allowed: bool = True
    """Whether Dolly answers there at all."""
    follows: bool = False
    """Whether replies in a thread that Dolly is in need no mention."""
    system_prompt: str = ""
    """The channel's own words to the model."""
    training_consent: bool = False
    """Whether what is rated and corrected there may train a model."""


def system_prompt(base: str, rules: ChannelRules, preferences: Preferences) -> str:
    """What an engine is told before all else: Dolly's own words, the channel's, then the person's."""
    language = f"Answer in {Locale.parse(preferences.language).english_name}." if preferences.language else ""
    if language:
        base = base.replace(LANGUAGE_OF_THE_QUESTION, "")
    parts = (base, rules.system_prompt, LENGTHS[preferences.answer_length], language, preferences.instructions)
    return "\n\n".join(part.strip() for part in parts if part.strip())
