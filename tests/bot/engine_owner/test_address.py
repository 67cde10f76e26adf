"""What each engine's metrics say, as far as an owner asks; texts as the engines write them."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from bot.engine_owner.address import Address

TGI = """# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 3
# TYPE tgi_queue_size gauge
tgi_queue_size 2
tgi_batch_current_max_tokens 900
"""
VLLM = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="dolly"} 4.0
vllm:num_requests_waiting{engine="0",model_name="dolly"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 7.0
"""
LLAMA = """# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 5
llamacpp:requests_deferred 0
"""


class Metrics:
    """A server of one text."""

    def __init__(self) -> None:
        self.text, self.status, self.key = "", 200, ""

    async def answer(self, request: web.Request) -> web.Response:
        self.key = request.headers.get("Authorization", "")
        return web.Response(text=self.text, status=self.status)


@pytest.fixture
async def served() -> AsyncIterator[tuple[Metrics, Address]]:
    metrics = Metrics()
    app = web.Application()
    app.router.add_get("/metrics", metrics.answer)
    app.router.add_get("/health", metrics.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield metrics, Address(f"http://127.0.0.1:{runner.addresses[0][1]}", "secret")
    await runner.cleanup()


@pytest.mark.parametrize(("text", "count"), [(TGI, 5), (VLLM, 5), (LLAMA, 5), (TGI.replace(" 3", " 0"), 2)])
async def test_each_engines_count_is_read(served: tuple[Metrics, Address], text: str, count: int) -> None:
    metrics, address = served
    metrics.text = text
    assert await address.requests() == count
    assert metrics.key == "Bearer secret"


async def test_one_that_does_not_tell_counts_as_busy(served: tuple[Metrics, Address]) -> None:
    metrics, address = served
    assert await address.requests() == 1, "no figures"
    metrics.text, metrics.status = TGI.replace(" 3", " 0").replace(" 2", " 0"), 401
    assert await address.requests() == 1, "it asks for a key"
    metrics.status = 200
    assert await address.requests() == 0


async def test_loading_is_neither_healthy_nor_silent(served: tuple[Metrics, Address]) -> None:
    metrics, address = served
    metrics.status = 503
    assert not await address.is_healthy()
    assert not await address.is_silent()
    metrics.status = 200
    assert await address.is_healthy()


async def test_nobody_there(unused_tcp_port: int) -> None:
    for url in (f"http://127.0.0.1:{unused_tcp_port}", "http://engine-a.invalid:8080"):
        address = Address(url)
        assert await address.is_silent()
        assert not await address.is_healthy()
        assert await address.requests() == 0
