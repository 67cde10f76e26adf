"""The engine, as an async iterator of text. Nothing outside this package knows how an engine is spoken to."""

from bot.model_client.client import ModelClient
from bot.model_client.dialects import EngineReport

__all__ = ["EngineReport", "ModelClient"]
