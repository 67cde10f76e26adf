import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.errors import LocalPartError
from bot.local.engine import LocalEngine
from bot.local.model import default_model_path

Until = Callable[[Callable[[], bool]], Awaitable[None]]
Running = Callable[[int], bool]
CANARY = "periwinkle-armadillo"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[LocalEngine]:
    """An engine of this test's own, to be killed or searched."""
    engine = LocalEngine(default_model_path(), tmp_path, slots=1)
    await engine.start()
    yield engine
    await engine.stop()


def question(text: str, **options: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 16, **options}


async def test_it_has_four_slots_and_names_its_model(llama_engine: LocalEngine, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{llama_engine.url}/props") as response:
        props = await response.json()
    async with http.get(f"{llama_engine.url}/v1/models") as response:
        models = await response.json()

    assert (props["total_slots"], props["default_generation_settings"]["n_ctx"]) == (4, 2048)
    assert [model["id"] for model in models["data"]] == [default_model_path().stem]


async def test_it_streams_an_answer(llama_engine: LocalEngine, http: aiohttp.ClientSession) -> None:
    url = f"{llama_engine.url}/v1/chat/completions"
    async with http.post(url, json=question("Say hello.", stream=True)) as response:
        lines = [line async for line in response.content if line.startswith(b"data: ")]

    assert lines[-1].strip() == b"data: [DONE]"
    assert len(lines) > 3


async def test_it_counts_the_tokens_of_a_conversation(llama_engine: LocalEngine, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{llama_engine.url}/apply-template", json=question("Hello.")) as response:
        prompt = (await response.json())["prompt"]
    async with http.post(f"{llama_engine.url}/tokenize", json={"content": prompt}) as response:
        tokens = (await response.json())["tokens"]

    assert "Hello." in prompt
    assert 5 < len(tokens) < 60


async def test_it_has_metrics_but_shows_no_prompts_and_no_web_page(
    llama_engine: LocalEngine, http: aiohttp.ClientSession
) -> None:
    statuses = {}
    for path in ("/health", "/metrics", "/slots", "/"):
        async with http.get(f"{llama_engine.url}{path}", headers={"Origin": "http://elsewhere"}) as response:
            statuses[path] = response.status
            assert not response.headers.get("Access-Control-Allow-Origin")

    assert statuses == {"/health": 200, "/metrics": 200, "/slots": 501, "/": 404}


async def test_the_window_is_the_models_own_where_that_is_smaller(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    engine = LocalEngine(default_model_path(), tmp_path, slots=1, context_tokens_per_slot=9000)
    await engine.start()
    async with http.get(f"{engine.url}/props") as response:
        props = await response.json()
    await engine.stop()

    assert props["default_generation_settings"]["n_ctx"] == 8192


async def test_a_killed_engine_is_back_at_the_same_address(
    engine: LocalEngine, http: aiohttp.ClientSession, until: Until
) -> None:
    url, pid = engine.url, engine.pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)
    await until(lambda: engine.pid not in (None, pid))
    await until_healthy(http, url)

    assert engine.url == url
    async with http.post(f"{url}/v1/chat/completions", json=question("Say hello.")) as response:
        assert response.status == 200


async def test_its_port_is_held_while_it_restarts(engine: LocalEngine) -> None:
    assert engine.pid is not None
    port = int(engine.url.rpartition(":")[2])

    os.kill(engine.pid, signal.SIGKILL)

    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


async def test_its_log_holds_no_words_of_anyone(
    engine: LocalEngine, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    chat, template = f"{engine.url}/v1/chat/completions", f"{engine.url}/apply-template"
    for url, body, expected in (
        (chat, question(f"Repeat: {CANARY}"), 200),
        (chat, question(f"{CANARY} " * 3000), 400),
        (template, question(CANARY), 200),
    ):
        async with http.post(url, json=body) as response:
            assert response.status == expected
    async with http.post(chat, data=f'{{"messages": {CANARY}') as response:
        assert response.status == 400
    await engine.stop()

    assert (tmp_path / "engine.log").read_text().startswith("Serving ")
    assert CANARY.partition("-")[0] not in (tmp_path / "engine.log").read_text()


async def test_it_tells_how_many_it_is_answering(
    engine: LocalEngine, http: aiohttp.ClientSession, until: Until
) -> None:
    """It has one place here: the second waits for it."""
    assert await engine.requests() == 0
    body = question("Tell a long story.", stream=True, max_tokens=1500, ignore_eos=True)
    url = f"{engine.url}/v1/chat/completions"
    async with http.post(url, json=body) as first:
        await first.content.readline()
        waiting = asyncio.create_task(http.post(url, json=question("Say hello.")).__aenter__())
        async with asyncio.timeout(20):
            while await engine.requests() != 2:
                await asyncio.sleep(0.05)
    async with asyncio.timeout(20):
        (await waiting).close()
        while await engine.requests():
            await asyncio.sleep(0.05)
    await engine.stop()
    assert await engine.requests() == 0


async def test_stop_does_not_wait_for_an_answer_that_is_being_written(
    engine: LocalEngine, http: aiohttp.ClientSession
) -> None:
    body = question("Tell a long story.", stream=True, max_tokens=1500, ignore_eos=True)
    async with http.post(f"{engine.url}/v1/chat/completions", json=body) as response:
        await response.content.readline()
        async with asyncio.timeout(2):
            await engine.stop()

    assert engine.pid is None


@pytest.mark.parametrize("cut", ["random bytes", "half a file"])
async def test_a_spoilt_model_gets_one_sentence(tmp_path: Path, cut: str) -> None:
    path = tmp_path / "spoilt.gguf"
    half = default_model_path().read_bytes()[: 50 * 1024 * 1024]
    path.write_bytes(half if cut == "half a file" else b"GGUF" + os.urandom(10_000))
    engine = LocalEngine(path, tmp_path)

    with pytest.raises(LocalPartError) as raised:
        await engine.start()

    assert "llama.cpp cannot load" in str(raised.value)
    assert "Traceback" not in (tmp_path / "engine.log").read_text()
    assert engine.pid is None


async def test_a_port_that_is_taken_gets_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalPartError, match=rf"cannot have port {port}.*in use"):
            await LocalEngine(default_model_path(), tmp_path, port=port).start()


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "1"), (8, "7")])
def test_it_leaves_a_core_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, threads: str) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)

    command = LocalEngine(default_model_path(), tmp_path)._command()

    assert command[command.index("--threads") + 1] == threads


async def test_a_killed_dolly_leaves_no_engine(
    tmp_path: Path, start_parent: Callable[..., Any], running: Running, until: Until
) -> None:
    parent = start_parent(tmp_path, "--engine")
    assert all(running(pid) for pid in parent.child_pids)

    parent.kill()

    await until(lambda: not any(running(pid) for pid in parent.child_pids))


async def test_an_engine_ends_by_itself_where_the_kernel_does_not_tie_it(
    tmp_path: Path, start_parent: Callable[..., Any], running: Running, until: Until
) -> None:
    parent = start_parent(tmp_path, "--engine", "--untied")
    store_pid, engine_pid = parent.child_pids

    parent.kill()

    await until(lambda: not running(engine_pid))
    assert running(store_pid)


async def until_healthy(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                async with http.get(f"{url}/health") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)
