"""What an engine is told before all else."""

from bot.preferences import ChannelRules, Preferences, system_prompt


def test_without_any_preferences_the_prompt_is_dolly_s_own() -> None:
    assert system_prompt("You are Dolly.\n", ChannelRules(), Preferences()) == "You are Dolly."


def test_the_channel_s_words_come_before_the_person_s() -> None:
    prompt = system_prompt(
        "You are Dolly.", ChannelRules(system_prompt="Be formal."), Preferences("short", "Hindi", "I am a nurse.")
    )
    assert prompt.split("\n\n") == [
        "You are Dolly.",
        "Be formal.",
        "Answer in three sentences or fewer.",
        "Answer in Hindi.",
        "I am a nurse.",
    ]
