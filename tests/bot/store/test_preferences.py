"""What people and channels set is kept sealed, and read by Dollies of other versions."""

import json

import pytest
from redis.asyncio import Redis

from bot.preferences import ChannelRules, Preferences
from bot.store.forgetting import Forgetting, Forgotten
from bot.store.layout import Layout
from bot.store.preferences import PreferenceStore
from bot.store.sealing import Sealing

LAYOUT = Layout("T1/B1", 4)
SEALING = Sealing([bytes(range(32))])
ASHA, BEN, GENERAL = "U0ASHA", "U0BEN", "C0GENERAL"


@pytest.fixture
def store(redis: Redis) -> PreferenceStore:
    return PreferenceStore(redis, LAYOUT, SEALING)


async def test_what_nobody_has_set_is_as_it_comes(store: PreferenceStore) -> None:
    assert await store.of_person(ASHA) == Preferences()
    assert await store.of_channel(GENERAL) == ChannelRules()
    assert await store.channels() == {}


async def test_what_was_set_is_read_again_and_sealed(store: PreferenceStore, redis: Redis) -> None:
    mine = Preferences("short", "hi", "I am a nurse.")
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


async def test_they_are_forgotten_with_their_person_and_with_the_team(store: PreferenceStore, redis: Redis) -> None:
    forgetting = Forgetting(redis, LAYOUT, SEALING)
    await store.set_person(ASHA, Preferences("long"))
    await store.set_person(BEN, Preferences("short"))
    await store.set_channel(GENERAL, ChannelRules(follows=True))
    assert await forgetting.people_with_settings() == [ASHA, BEN]
    assert await forgetting.user(ASHA) == Forgotten(settings=1)
    assert not await forgetting.user(ASHA)
    assert await store.of_person(ASHA) == Preferences()
    assert await store.of_person(BEN) == Preferences("short")
    assert await forgetting.team() == Forgotten(settings=2)
    assert [key async for key in redis.scan_iter(match="*")] == []


async def test_fields_of_a_later_dolly_are_passed_over(store: PreferenceStore, redis: Redis) -> None:
    name = f"settings:{ASHA}"
    await redis.set(LAYOUT.prefix + name, SEALING.seal(name, json.dumps({"answer_length": "long", "voice": "deep"})))
    assert await store.of_person(ASHA) == Preferences("long")


async def test_what_was_sealed_with_a_lost_key_is_as_if_never_set(redis: Redis, store: PreferenceStore) -> None:
    await PreferenceStore(redis, LAYOUT, Sealing([bytes(32)])).set_person(ASHA, Preferences("long"))
    assert await store.of_person(ASHA) == Preferences()
