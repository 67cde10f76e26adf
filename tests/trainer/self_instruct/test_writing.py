"""What each engine is sent, and what becomes of replies that hold no text."""

import json
from functools import partial
from typing import Any

import pytest

from tests.trainer.self_instruct.scripted import Reply, Scripted, scripted, text
from trainer.errors import EngineFailed
from trainer.self_instruct import writing
from trainer.self_instruct.prompts import Prompt
from trainer.self_instruct.writing import Drawing, Unusable, Writer, Written

GREEDY = Drawing(9, 0.0, 1.0, 1.5)
DRAWN = Drawing(9, 0.7, 0.5, 2.0)
TGI = {"model_id": "team/model", "max_total_tokens": 4096}
VLLM = {"data": [{"id": "team/model", "owned_by": "vllm"}]}


async def sent(told: Scripted, drawing: Drawing, *, is_chat: bool = False) -> dict[str, Any]:
    async with Writer(told.url) as writer:
        await writer.recognise()
        await writer.write(Prompt("Go on", ()), drawing, is_chat=is_chat, seed=3)
    return told.requests[-1]


async def test_each_engine_is_sent_what_it_takes() -> None:
    with scripted(lambda body: text(" on")) as llama:
        assert await sent(llama, GREEDY) == {
            "model": "team/model",
            "prompt": "Go on",
            "max_tokens": 9,
            "seed": 3,
            "cache_prompt": True,
            "temperature": 0.0,
            "top_p": 1.0,
            "presence_penalty": 1.5,
        }
        said = await sent(llama, DRAWN, is_chat=True)
        assert said["messages"] == [{"role": "user", "content": "Go on"}]
    with scripted(lambda body: text(" on"), info=TGI) as tgi:
        greedy = {"model": "tgi", "prompt": "Go on", "max_tokens": 9, "seed": 3, "repetition_penalty": 1.1}
        assert await sent(tgi, GREEDY) == greedy, "TGI refuses both neutral values, and misreads the penalty"
        assert await sent(tgi, DRAWN) == greedy | {"temperature": 0.7, "top_p": 0.5}
        assert "repetition_penalty" not in await sent(tgi, Drawing(9, 0.7, 0.5, 0.0))
    with scripted(lambda body: text(" on"), models=VLLM) as vllm:
        said = await sent(vllm, GREEDY)
        assert said["presence_penalty"] == 1.5
        assert "cache_prompt" not in said


async def test_a_text_is_cut_at_the_first_stop() -> None:
    with scripted(lambda body: text("one\n9. two\n8. three", "length")) as told:
        async with Writer(told.url) as writer:
            drawn = await writer.write(Prompt("x", ("\n8.", "\n9.")), DRAWN, is_chat=False, seed=0)
            assert drawn == Written("one", is_cut=False)
            drawn = await writer.write(Prompt("x", ("\n7.",)), DRAWN, is_chat=False, seed=0)
            assert drawn.is_cut
            assert "stop" not in told.requests[-1]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (lambda body: text("  \n"), "empty"),
        (lambda body: (200, "<html>"), "no_completion"),
        (lambda body: (200, {"choices": []}), "no_completion"),
        (lambda body: (200, {"choices": [{"text": None}]}), "empty"),
        (lambda body: (500, {"error": "oh"}), "engine_error"),
        (lambda body: (400, {"error": {"type": "exceed_context_size_error"}}), "prompt_too_long"),
        (lambda body: (404, {}), "unknown_route"),
    ],
)
async def test_replies_without_a_text_are_named(reply: Reply, why: str) -> None:
    with scripted(reply) as told:
        async with Writer(told.url) as writer:
            with pytest.raises(Unusable) as found:
                await writer.write(Prompt("x", ()), DRAWN, is_chat=False, seed=0)
    assert found.value.why == why


def refusing(status: int, body: dict[str, Any]) -> tuple[int, Any]:
    return status, {}


async def test_refusals_end_it_with_a_sentence() -> None:
    for status, said in ((401, "wants another key"), (422, "refused a prompt with status 422")):
        with scripted(partial(refusing, status)) as told:
            async with Writer(told.url, api_key="k") as writer:
                with pytest.raises(EngineFailed, match=said):
                    await writer.write(Prompt("x", ()), DRAWN, is_chat=False, seed=0)


async def test_nobody_there_and_a_busy_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BUSY_PAUSES_SECONDS", (0.01, 0.01))
    async with Writer("http://127.0.0.1:1") as writer:
        with pytest.raises(EngineFailed, match="cannot be reached"):
            await writer.write(Prompt("x", ()), DRAWN, is_chat=False, seed=0)
    busy: list[tuple[int, Any]] = [(503, {}), (429, {})]
    with scripted(lambda body: busy.pop() if busy else text(json.dumps("there"))) as told:
        async with Writer(told.url) as writer:
            assert (await writer.write(Prompt("x", ()), DRAWN, is_chat=False, seed=0)).text == '"there"'
    assert len(told.requests) == 3


async def test_raw_prompts_are_tried_first() -> None:
    for has_completions in (True, False):
        with scripted(lambda body: text(""), has_completions=has_completions) as told:
            async with Writer(told.url) as writer:
                assert await writer.goes_on() is has_completions
