"""The whole, with llama.cpp and the small model that ships: what a newcomer meets after `make run`."""

from bot.conversation import Message
from bot.local.engine import LocalEngine
from bot.model_client import ModelClient
from bot.settings import DEFAULT_SYSTEM_PROMPT
from bot.words import Words
from tests.scenarios.conftest import Transport, running_team, until

WORDS = Words()
APOLOGIES = {
    WORDS.say(key) for key in ("apology", "engine_broke", "engine_silent", "engine_slow", "engine_unreachable")
}


def is_prose(answer: str) -> bool:
    """A small model may say anything; it says something, in words, and it is the model that says it."""
    return len(answer.split()) >= 2 and not any(apology in answer for apology in APOLOGIES)


async def test_a_mention_is_answered(store_url: str, llama_engine: LocalEngine, transport: Transport) -> None:
    async with running_team(store_url, llama_engine.url, transport) as team:
        root = await team.say("asha", "@dolly write one sentence about sheep")
        (answer,) = await team.answered(root)
        assert is_prose(answer)


async def test_a_direct_message_is_answered(store_url: str, llama_engine: LocalEngine) -> None:
    async with running_team(store_url, llama_engine.url) as team:
        place = team.direct("ben")
        root = await team.say("ben", "say hello to me", channel=place)
        (answer,) = await team.answered(root, channel=place)
        assert answer.endswith(WORDS.say("thread_hint"))
        assert is_prose(answer.removesuffix(WORDS.say("thread_hint")))


async def test_a_follow_up_that_needs_the_first_turn(store_url: str, llama_engine: LocalEngine) -> None:
    """Greedy, so that it is the same on every run: without the first turn there is no name to be said."""
    async with running_team(store_url, llama_engine.url, max_tokens=40) as team:
        root = await team.say("asha", "@dolly My name is Bartholomew.")
        await team.answered(root)
        await team.say("asha", "@dolly What is my name?", thread=root)
        assert "Bartholomew" in (await team.answered(root, 2))[1]
        other = await team.say("asha", "@dolly What is my name?")
        assert "Bartholomew" not in (await team.answered(other))[0]


async def test_an_english_question_about_france_is_answered_in_english(llama_engine: LocalEngine) -> None:
    """With the line on languages in the prompt's first paragraph, this model answers it in French."""
    model = ModelClient(llama_engine.url, temperature=0)
    asked = [Message("system", DEFAULT_SYSTEM_PROMPT), Message("user", "What is the capital of France?")]
    answer = "".join([delta async for delta in model.stream(asked, max_tokens=40)])
    await model.close()
    assert "The capital of France is" in answer


async def test_two_people_in_two_threads_at_once(store_url: str, llama_engine: LocalEngine) -> None:
    async with running_team(store_url, llama_engine.url, max_tokens=150) as team:
        general = team.channel("general")
        roots = [
            await team.say("asha", "@dolly tell me a long story about the sea"),
            await team.say("ben", "@dolly tell me a long story about the mountains"),
        ]

        def both_streaming() -> bool:
            return all(team.workspace.timeline.open_streams(general, root) for root in roots)

        await until(both_streaming, seconds=60)
        for root in roots:
            assert is_prose((await team.answered(root))[0])


async def test_the_window_of_the_real_engine_is_kept(store_url: str, llama_engine: LocalEngine) -> None:
    """Its slots hold 2,048 tokens; a thread that outgrows them loses its oldest turns and goes on."""
    async with running_team(store_url, llama_engine.url, max_tokens=16) as team:
        root = await team.say("asha", "@dolly " + "one two three four five six seven eight nine ten " * 40)
        for turn in range(2, 6):
            await team.answered(root, turn - 1)
            await team.say(
                "asha", f"@dolly part {turn}: " + "red green blue yellow black white grey " * 50, thread=root
            )
        answers = await team.answered(root, 5, seconds=100)
        assert len(answers) == 5
        assert not set(answers) & APOLOGIES
        too_long = await team.say("asha", "@dolly " + "one two three four five six seven eight nine ten " * 400)
        assert await team.answered(too_long) == [WORDS.say("question_too_long")]


async def test_hindi_and_emoji_go_through_whole(store_url: str, llama_engine: LocalEngine) -> None:
    async with running_team(store_url, llama_engine.url, max_tokens=24) as team:
        root = await team.say("chen", "@dolly नमस्ते 🙏 कहो")
        assert (await team.answered(root))[0].strip()
        assert team.thread(root)[0]["text"].endswith("नमस्ते 🙏 कहो")
