"""What all Dollies on one store must agree on, and what they are told when they do not."""

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId
from bot.errors import StoreMismatch
from bot.store.layout import SCHEMA, Layout, agree
from bot.store.sealing import Sealing

OLD, NEW = Sealing([bytes(32)]), Sealing([bytes(range(32)), bytes(32)])
LAYOUT = Layout("T1/B1", partitions=4)
KEY = LAYOUT.prefix + "layout"


async def test_the_same_dolly_starts_again(redis: Redis) -> None:
    await agree(redis, LAYOUT, OLD)
    await agree(redis, LAYOUT, OLD)
    await agree(redis, Layout("T2/B1"), OLD)  # another app's business


async def test_another_number_of_partitions_is_refused_with_the_right_one(redis: Redis) -> None:
    await agree(redis, LAYOUT, OLD)
    with pytest.raises(StoreMismatch, match="REDIS_PARTITIONS=4"):
        await agree(redis, Layout("T1/B1", partitions=5), OLD)
    await agree(redis, LAYOUT, OLD)


@pytest.mark.parametrize(("schema", "works"), [(SCHEMA - 1, True), (SCHEMA + 1, True), (SCHEMA + 2, False)])
async def test_the_neighbouring_schema_works_for_rolling_upgrades(redis: Redis, schema: int, works: bool) -> None:
    await agree(redis, LAYOUT, OLD)
    await redis.hset(KEY, "schema", schema)
    if works:
        await agree(redis, LAYOUT, OLD)
        assert int(await redis.hget(KEY, "schema") or 0) == max(schema, SCHEMA)
    else:
        with pytest.raises(StoreMismatch, match="one version at a time"):
            await agree(redis, LAYOUT, OLD)


async def test_a_dolly_without_the_key_is_told_before_it_serves(redis: Redis) -> None:
    await agree(redis, LAYOUT, OLD)
    await agree(redis, LAYOUT, NEW)  # the old key is still there to read, the new one seals
    for wrong in (OLD, Sealing([bytes([7]) * 32]), Sealing([])):
        with pytest.raises(StoreMismatch, match="DOLLY_MEMORY_KEY"):
            await agree(redis, LAYOUT, wrong)


async def test_plain_texts_are_read_after_keys_came(redis: Redis) -> None:
    await agree(redis, LAYOUT, Sealing([]))
    await agree(redis, LAYOUT, OLD)


def test_conversations_are_spread_over_all_partitions() -> None:
    found = {LAYOUT.prefix_of(ConversationId("T1", "C1", f"{number}.0")) for number in range(100)}
    assert found == set(LAYOUT.prefixes)
    assert all("{" in prefix and "}" in prefix for prefix in found)
