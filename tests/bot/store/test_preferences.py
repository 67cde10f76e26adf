"""What people and channels set is kept sealed, and read by Dollies of other versions."""

import json

import pytest
from redis.asyncio import Redis

from bot.preferences import ChannelRules, Preferences
from bot.store.layout import Layout
from bot.store.preferences import PreferenceStore
from bot.store.sealing import Sealing

LAYOUT = Layout("T1/B1", 4)
SEALING = Sealing([bytes(range(32))])
ASHA, GENERAL = "U0ASHA", "C0GENERAL"


@pytest.fixture
def store(redis: Redis) -> PreferenceStore:
    return PreferenceStore(redis, LAYOUT, SEALING)


async def test_what_nobody_has_set_is_as_it_comes(store: PreferenceStore) -> None:
    assert await store.of_person(ASHA) == Preferences()
    assert await store.of_channel(GENERAL) == ChannelRules()
    assert await store.channels() == {}


async def test_what_was_set_is_read_again_and_sealed(store: PreferenceStore, redis: Redis) -> None:
    mine = Preferences("short", "Hindi", "I am a nurse.")
    rules = ChannelRules(is_allowed=False, follows=True, system_prompt="Be formal.", training_consent=True)
    await store.set_person(ASHA, mine)
    await store.set_channel(GENERAL, rules)
    assert await store.of_person(ASHA) == mine
    assert await store.of_channel(GENERAL) == rules
    assert await store.channels() == {GENERAL: rules}
    for key in (f"settings:{ASHA}", f"channel:{GENERAL}"):
        stored = await redis.get(LAYOUT.prefix + key)
        assert stored is not None
        assert "nurse" not in stored
        assert "formal" not in stored


async def test_a_person_s_are_forgotten(store: PreferenceStore, redis: Redis) -> None:
    await store.set_person(ASHA, Preferences("long"))
    await store.forget_person(ASHA)
    assert await store.of_person(ASHA) == Preferences()
    assert not await redis.exists(f"{LAYOUT.prefix}settings:{ASHA}")


async def test_fields_of_a_later_dolly_are_passed_over(store: PreferenceStore, redis: Redis) -> None:
    name = f"settings:{ASHA}"
    await redis.set(LAYOUT.prefix + name, SEALING.seal(name, json.dumps({"answer_length": "long", "voice": "deep"})))
    assert await store.of_person(ASHA) == Preferences("long")


async def test_what_was_sealed_with_a_lost_key_is_as_if_never_set(redis: Redis, store: PreferenceStore) -> None:
    await PreferenceStore(redis, LAYOUT, Sealing([bytes(32)])).set_person(ASHA, Preferences("long"))
    assert await store.of_person(ASHA) == Preferences()
