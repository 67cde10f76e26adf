"""What an engine lets be seen of itself beyond an answer: for `dolly check --production`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.conversation import Message
from bot.model_client.connection import EngineConnection
from bot.model_client.counting import as_json
from bot.model_client.dialects import EngineReport

CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt as the engine makes it of messages: as text or, where it does not show that, in tokens."""

    text: str | None = None
    input_ids: tuple[int, ...] | None = None
    may_lack_beginning: bool = False
    """llama.cpp leaves out of the text the token with which it lets all texts begin."""


class EngineExaminer:
    """Asks the endpoints that each engine has of its own. Failures are bot.errors.Engine*."""

    def __init__(self, url: str, *, api_key: str | None) -> None:
        self.url = url
        self._connection = EngineConnection(url, api_key=api_key, connect_seconds=CONNECT_SECONDS)

    async def close(self) -> None:
        await self._connection.close()

    async def places(self) -> int | None:
        """How many questions TGI has at once before it refuses one; None where it does not tell."""
        info = await self._connection.call("GET", "/info")
        places = info.get("max_concurrent_requests") if isinstance(info, dict) else None
        return places if isinstance(places, int) else None

    async def rendered(self, report: EngineReport, messages: Sequence[Message]) -> Rendered | None:
        """The prompt, the beginning of the answer included; None where it does not show one."""
        body: dict[str, Any] = {"model": report.model, "messages": as_json(messages)}
        match report.dialect:
            case "tgi":
                text = _dict(await self._connection.call("POST", "/chat_tokenize", body)).get("templated_text")
                return Rendered(text=text) if isinstance(text, str) else None
            case "llama.cpp":
                text = _dict(await self._connection.call("POST", "/apply-template", body)).get("prompt")
                return Rendered(text=text, may_lack_beginning=True) if isinstance(text, str) else None
            case "vllm":
                tokens = _dict(await self._connection.call("POST", "/tokenize", body)).get("tokens")
                return Rendered(input_ids=tuple(tokens)) if isinstance(tokens, list) else None
        return None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
