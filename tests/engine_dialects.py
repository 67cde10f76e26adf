"""What the scripted engine says about itself and how it counts, in each engine's own endpoints.

Its tokens are words with the space before them, signs, and runs of white space.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal, Protocol

from aiohttp import web

Dialect = Literal["tgi", "vllm", "sglang", "llama.cpp"]
Messages = list[dict[str, str]]

VERSION = "3.3.7"


class Told(Protocol):
    """What an engine tells of itself; a test may change it while the engine runs."""

    dialect: Dialect
    model: str
    model_sha: str | None
    window_tokens: int
    max_input_tokens: int


def dialect_routes(engine: Told) -> list[web.RouteDef]:
    """The endpoints beside the chat route."""

    async def models(_: web.Request) -> web.Response:
        entry: dict[str, Any] = {"id": engine.model, "object": "model", "created": 0}
        entry["owned_by"] = engine.model if engine.dialect == "tgi" else engine.dialect.replace(".", "")
        if engine.dialect in ("vllm", "sglang"):
            entry["max_model_len"] = engine.window_tokens
        return web.json_response({"object": "list", "data": [entry]})

    async def tgi_info(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "model_id": engine.model,
                "model_sha": engine.model_sha,
                "model_pipeline_tag": None,
                "max_concurrent_requests": 128,
                "max_best_of": 2,
                "max_stop_sequences": 4,
                "max_input_tokens": engine.max_input_tokens,
                "max_total_tokens": engine.window_tokens,
                "validation_workers": 2,
                "max_client_batch_size": 4,
                "router": "text-generation-router",
                "version": VERSION,
                "sha": None,
                "docker_label": None,
            }
        )

    async def tgi_chat_tokenize(request: web.Request) -> web.Response:
        prompt = render((await request.json())["messages"])
        start, tokens = 0, []
        for number, text in enumerate(tokenize(prompt)):
            tokens.append({"id": number, "text": text, "start": start, "stop": start + len(text)})
            start += len(text)
        return web.json_response({"tokenize_response": tokens, "templated_text": prompt})

    async def vllm_tokenize(request: web.Request) -> web.Response:
        count = len(tokenize(render((await request.json())["messages"])))
        tokens = list(range(count))
        return web.json_response({"count": count, "max_model_len": engine.window_tokens, "tokens": tokens})

    async def llama_props(_: web.Request) -> web.Response:
        slot = {"n_ctx": engine.window_tokens}
        return web.json_response({"default_generation_settings": slot, "total_slots": 4})

    async def llama_apply_template(request: web.Request) -> web.Response:
        return web.json_response({"prompt": render((await request.json())["messages"])})

    async def llama_tokenize(request: web.Request) -> web.Response:
        return web.json_response({"tokens": list(range(len(tokenize((await request.json())["content"]))))})

    own = {
        "tgi": [web.get("/info", tgi_info), web.post("/chat_tokenize", tgi_chat_tokenize)],
        "vllm": [web.post("/tokenize", vllm_tokenize)],
        "sglang": [],
        "llama.cpp": [
            web.get("/props", llama_props),
            web.post("/apply-template", llama_apply_template),
            web.post("/tokenize", llama_tokenize),
        ],
    }
    return [web.get("/v1/models", models), *own[engine.dialect]]


def tokenize(text: str) -> list[str]:
    """The tokens of a text: joined they are the text again."""
    return re.findall(r"<\|\w+\|>|[ ]?\w+|[ ]?[^\w\s]|\s+", text)


def render(messages: Iterable[dict[str, str]]) -> str:
    """ChatML, with the default system prompt that some templates add."""
    parts = [f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in messages]
    if not parts or not parts[0].startswith("<|im_start|>system"):
        parts.insert(0, "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n")
    return "".join(parts) + "<|im_start|>assistant\n"
