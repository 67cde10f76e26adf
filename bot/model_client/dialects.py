"""Which engine it is: TGI, vLLM, SGLang and llama.cpp alike speak chat completions, and differ in all else."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from bot.model_client.connection import EngineConnection

Dialect = Literal["tgi", "vllm", "sglang", "llama.cpp", "unknown"]

UNREPORTED_WINDOW_TOKENS = 2048
"""For an engine that says nothing of its window: what the smallest models in use have."""

REVISION_DIGITS = 12
HASH = re.compile(r"[0-9a-f]+")
"""A revision that nobody reads to its end: such are told in short."""


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What an engine says about itself."""

    dialect: Dialect
    model: str
    """The name that requests carry."""

    served_model: str
    """The model's own name, for people."""

    window_tokens: int
    """Prompt and answer together, for one request; UNREPORTED_WINDOW_TOKENS if the engine does not say."""

    max_prompt_tokens: int
    """The prompt alone: TGI can be started with less for it than the window."""

    counts_exactly: bool
    """Whether the engine counts tokens for us; otherwise UTF-8 bytes are the bound."""

    revision: str = ""
    """Which of the models of this name it is, where that is known."""

    @property
    def stamp(self) -> str:
        """What answers are told apart by."""
        return stamp(self.served_model, self.revision)


def stamp(model: str, revision: str) -> str:
    """A model's name and its revision, a hash in short."""
    if HASH.fullmatch(revision):
        revision = revision[:REVISION_DIGITS]
    return f"{model}@{revision}" if revision else model


async def recognise(engine: EngineConnection) -> EngineReport:
    """Asks the engine what it is: two calls at most. Raises bot.errors.Engine*."""
    listed = await engine.call("GET", "/v1/models")
    entry = _first_model(listed)
    match entry.get("owned_by"):
        case "vllm":
            return _report("vllm", entry, entry.get("max_model_len"), counts_exactly=True)
        case "sglang":
            return _report("sglang", entry, entry.get("max_model_len"), counts_exactly=False)
        case "llamacpp":
            properties = await engine.call("GET", "/props")
            slot = _dict(_dict(properties).get("default_generation_settings"))
            return _report("llama.cpp", entry, slot.get("n_ctx"), counts_exactly=True)
    info = _dict(await engine.call("GET", "/info"))
    if isinstance(info.get("max_total_tokens"), int):
        return _tgi(info)
    return _report("unknown", entry, entry.get("max_model_len"), counts_exactly=False)


def _tgi(info: dict[str, Any]) -> EngineReport:
    window = info["max_total_tokens"]
    # TGI takes any other name for that of an adapter, and answers without one where it does not know it.
    return EngineReport(
        dialect="tgi",
        model="tgi",
        served_model=str(info.get("model_id")),
        window_tokens=window,
        max_prompt_tokens=min(info.get("max_input_tokens") or window, window - 1),
        counts_exactly=True,
        revision=str(info.get("model_sha") or ""),
    )


def _report(dialect: Dialect, entry: dict[str, Any], window: Any, *, counts_exactly: bool) -> EngineReport:
    window_tokens = window if isinstance(window, int) and window > 0 else UNREPORTED_WINDOW_TOKENS
    name = str(entry.get("id") or "default")
    return EngineReport(dialect, name, name, window_tokens, window_tokens - 1, counts_exactly)


def _first_model(listed: Any) -> dict[str, Any]:
    models = _dict(listed).get("data")
    return _dict(models[0]) if isinstance(models, list) and models else {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
