"""Store and engine together: only those without an address start, and none outlives its Dolly."""

import os
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from bot.errors import LocalPartError
from bot.local.model import default_model_path
from bot.local.parts import Addresses, running_parts
from tests.processes import children_of


async def test_parts_that_have_an_address_are_not_started(tmp_path: Path) -> None:
    before = children_of(os.getpid())
    given = Addresses("redis://store.example:6379/0", "http://engine.example:8080")

    async with running_parts(
        tmp_path, redis_url=given.redis_url, engine_url=given.engine_url, model_path=None
    ) as addresses:
        assert addresses == given
        assert children_of(os.getpid()) == before

    assert os.listdir(tmp_path) == []


async def test_parts_without_an_address_come_up_and_end(tmp_path: Path) -> None:
    before = children_of(os.getpid())
    model_path = tmp_path / "our-own.model.gguf"
    model_path.symlink_to(default_model_path())
    data, told = tmp_path / "data", list[str]()

    async with running_parts(
        data, redis_url=None, engine_url=None, model_path=model_path, tell=told.append
    ) as addresses:
        async with Redis.from_url(addresses.redis_url) as client:
            assert await client.ping()
        async with aiohttp.ClientSession() as http, http.get(f"{addresses.engine_url}/v1/models") as response:
            models = await response.json()
        assert len(children_of(os.getpid()) - before) == 2

    assert [model["id"] for model in models["data"]] == ["our-own.model"]
    assert [sentence for sentence in told if "our-own.model" in sentence]
    assert set(os.listdir(data)) == {"store", "logs"}
    assert children_of(os.getpid()) == before


async def test_a_model_that_is_none_leaves_no_store(tmp_path: Path) -> None:
    before = children_of(os.getpid())
    model_path = tmp_path / "model.gguf"
    model_path.write_text("not a model")

    for _ in range(2):  # a store that was left would hold its folder against the second
        with pytest.raises(LocalPartError, match=r"model\.gguf is not a GGUF file\. MODEL_PATH"):
            async with running_parts(tmp_path, redis_url=None, engine_url=None, model_path=model_path):
                pytest.fail("it came up without a model")
        assert children_of(os.getpid()) == before
