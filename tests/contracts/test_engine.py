"""Both ends of the wire against TGI's own OpenAPI and its recorded streams."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from bot.conversation import Message
from bot.model_client import ModelClient
from tests.scripted_engine import Script, ScriptedEngine, recorded

ASKED = [
    Message("system", "You are Dolly."),
    Message("user", "Say OK!"),
    Message("assistant", "OK!"),
    Message("user", "Again, with a 🎉."),
]


@pytest.fixture
def tgi_data(shared_data: Path) -> Path:
    return shared_data / "tgi"


@pytest.fixture
def openapi(tgi_data: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((tgi_data / "openapi.json").read_text())
    return document


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="OK! 🎉")) as engine:
        yield engine


@pytest.fixture
async def client(engine: ScriptedEngine) -> AsyncIterator[ModelClient]:
    client = ModelClient(engine.url, stop=["###"], temperature=0)
    yield client
    await client.close()


def faults(openapi: dict[str, Any], schema: str, value: object, *, closed: bool = False) -> list[str]:
    """What is wrong with a value by a schema of the document; `closed`: a property that is not in it is too."""
    components = {name: _without_nullable(one, closed=closed) for name, one in openapi["components"]["schemas"].items()}
    validator = Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": {"schemas": components}})
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(value)]


def _without_nullable(schema: Any, *, closed: bool) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema says `or null`."""
    if isinstance(schema, list):
        return [_without_nullable(one, closed=closed) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _without_nullable(value, closed=closed) for key, value in schema.items() if key != "nullable"}
    if closed and "properties" in schema:
        inner["unevaluatedProperties"] = False
    return {"anyOf": [inner, {"type": "null"}]} if schema.get("nullable") else inner


# --- what the client sends --------------------------------------------------------------------------------------


async def test_requests_are_what_tgi_documents(
    openapi: dict[str, Any], engine: ScriptedEngine, client: ModelClient
) -> None:
    assert [delta async for delta in client.stream(ASKED, max_tokens=50)]
    await client.count_tokens(ASKED)
    assert len(engine.requests) == 1
    body = engine.requests[0].body
    assert faults(openapi, "ChatRequest", body) == []
    assert set(body) <= set(openapi["components"]["schemas"]["ChatRequest"]["properties"])
    for route in engine.calls:
        method, path = route.split()
        assert method.lower() in openapi["paths"][path], f"TGI has no {route}"


def test_the_check_finds_what_is_wrong(openapi: dict[str, Any]) -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "seed": None, "temperature": 0}
    assert faults(openapi, "ChatRequest", body) == []
    assert faults(openapi, "ChatRequest", body | {"max_tokens": "50"}) != []
    assert faults(openapi, "ChatRequest", body | {"messages": [{"content": "Hi"}]}) != []
    assert faults(openapi, "ChatRequest", {"stream": True}) != []
    refusal = {"error": "no", "error_type": "validation"}
    assert faults(openapi, "ErrorResponse", refusal, closed=True) == []
    assert faults(openapi, "ErrorResponse", refusal | {"invented": 1}, closed=True) != []


# --- what the scripted engine answers ---------------------------------------------------------------------------


async def stream(engine: ScriptedEngine, **options: Any) -> tuple[aiohttp.ClientResponse, list[str]]:
    """The answer to a plain request, and its lines."""
    body = {"model": "tgi", "messages": [{"role": "user", "content": "Hi"}], "stream": True, **options}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{engine.url}/v1/chat/completions", json=body) as response,
    ):
        return response, (await response.text()).split("\n\n")


async def test_streamed_chunks_are_tgis(openapi: dict[str, Any], engine: ScriptedEngine) -> None:
    response, lines = await stream(engine, stream_options={"include_usage": True})
    assert (response.status, response.content_type) == (200, "text/event-stream")
    assert lines[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert len(chunks) == 5
    for chunk in chunks:
        assert faults(openapi, "ChatCompletionChunk", chunk) == []
    assert set(chunks[0]) == {*openapi["components"]["schemas"]["ChatCompletionChunk"]["properties"], "object"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("test_chat_hfhub_nousage", {}),
        ("test_chat_hfhub_usage", {"stream_options": {"include_usage": True}}),
    ],
)
async def test_streamed_chunks_are_those_that_were_recorded(tgi_data: Path, name: str, options: dict[str, Any]) -> None:
    """The same text makes the same chunks, but for what names a time, a model or a number of tokens."""
    chunks = json.loads((tgi_data / f"{name}.json").read_text())
    async with ScriptedEngine(Script(text="OK!")) as engine:
        _, lines = await stream(engine, **options)
    ours = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert [_shape(one) for one in ours] == [_shape(one) for one in chunks]


def _shape(chunk: dict[str, Any]) -> dict[str, Any]:
    """A chunk without its changing values. The recording client added tool_calls, which TGI does not send."""
    choices = [{**one, "delta": {**one["delta"], "tool_calls": None}} for one in chunk["choices"]]
    kept = {key: chunk[key] for key in ("id", "object")}
    return {**kept, "choices": choices, "usage": chunk["usage"] and sorted(chunk["usage"])}


async def test_errors_are_tgis(openapi: dict[str, Any], engine: ScriptedEngine) -> None:
    refusal = {"error": "Template error: template not found", "error_type": "template_error"}
    engine.then(Script(overloaded=True), Script(refusal=(422, refusal)))
    response, lines = await stream(engine)
    assert response.status == 200
    assert lines == [
        'data: {"error":{"message":"Model is overloaded","http_status_code":422}}',
        "data: [DONE]",
        "",
    ]
    response, lines = await stream(engine)
    assert response.status == 422
    assert faults(openapi, "ErrorResponse", json.loads(lines[0]), closed=True) == []


async def test_a_wrong_key_gets_a_bare_401_where_tgi_asks_for_one() -> None:
    async with ScriptedEngine(api_key="right") as engine, aiohttp.ClientSession() as session:
        response, lines = await stream(engine)
        assert (response.status, lines) == (401, [""])
        for path in ("/info", "/health", "/v1/models"):
            async with session.get(engine.url + path) as open_route:
                assert open_route.status == 200


@pytest.mark.parametrize(
    ("path", "schema", "key"),
    [("/info", "Info", None), ("/v1/models", "ModelInfo", "data"), ("/chat_tokenize", "ChatTokenizeResponse", None)],
)
async def test_other_endpoints_answer_as_tgi_documents(
    openapi: dict[str, Any], engine: ScriptedEngine, path: str, schema: str, key: str | None
) -> None:
    method = "GET" if "get" in openapi["paths"][path] else "POST"
    body = {"messages": [{"role": "user", "content": "Hi there"}]} if method == "POST" else None
    async with aiohttp.ClientSession() as session, session.request(method, engine.url + path, json=body) as answer:
        assert answer.status == 200
        value = await answer.json()
    assert faults(openapi, schema, value[key][0] if key else value, closed=True) == []


# --- recorded streams -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["test_chat_hfhub_nousage", "test_chat_hfhub_usage"])
async def test_recorded_streams_replay_to_their_text(
    tgi_data: Path, openapi: dict[str, Any], engine: ScriptedEngine, client: ModelClient, name: str
) -> None:
    chunks = json.loads((tgi_data / f"{name}.json").read_text())
    assert all(faults(openapi, "ChatCompletionChunk", chunk) == [] for chunk in chunks)
    engine.script = Script(lines=recorded(chunks))
    assert [delta async for delta in client.stream(ASKED, max_tokens=50)] == ["OK", "!"]
