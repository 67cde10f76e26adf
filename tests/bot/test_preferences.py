"""What an engine is told before all else."""

from bot.preferences import ChannelRules, Preferences, system_prompt
from bot.settings import DEFAULT_SYSTEM_PROMPT


def test_without_any_preferences_the_prompt_is_dolly_s_own() -> None:
    assert system_prompt("You are Dolly.\n", ChannelRules(), Preferences()) == "You are Dolly."


def test_the_channel_s_words_come_before_the_person_s() -> None:
    prompt = system_prompt(
        "You are Dolly.", ChannelRules(system_prompt="Be formal."), Preferences("short", "hi", "I am a nurse.")
    )
    assert prompt.split("\n\n") == [
        "You are Dolly.",
        "Be formal.",
        "Answer in three sentences or fewer.",
        "Answer in Hindi.",
        "I am a nurse.",
    ]


def test_answers_follow_the_question_s_language_until_a_person_chooses_one() -> None:
    usual = system_prompt(DEFAULT_SYSTEM_PROMPT, ChannelRules(), Preferences())
    assert usual.split("\n\n")[1:] == ["Answer in the language of the question."], "a paragraph of its own"
    chosen = system_prompt(DEFAULT_SYSTEM_PROMPT, ChannelRules(), Preferences(language="hi"))
    assert chosen.split("\n\n")[1:] == ["Answer in Hindi."]
