"""HTTP to the engine: where it is, with which key, and what huggingface_hub's client must not do with it."""

from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import AsyncInferenceClient, constants, set_async_client_factory
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # the httpx it uses: httpx2 in 2.x

from bot.model_client import refusals
from bot.model_client.transport import EngineTransport, Lent

_SMALL_CALL_SECONDS = 10
"""For everything but a chat completion: a look at the model, a count of tokens."""

_NOT_OFFERED = (403, 404, 405, 501)


class EngineConnection:
    """One engine. `where` is its address as logs may show it.

    Raises ValueError for an address that is not http:// or https://: huggingface_hub would take it for the name
    of a model and send the conversation to its own service.
    """

    def __init__(self, url: str, *, api_key: str | None, connect_seconds: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError("The engine's address must begin with http:// or https:// and name a host.")
        self._base = url.rstrip("/").removesuffix("/v1").rstrip("/")
        self.where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        # Without a key, huggingface_hub would send the one of the Hugging Face account on this machine.
        self._api_key = api_key or "none"
        self._connect_seconds = connect_seconds
        self._transport = EngineTransport()
        self._http = _open_http(
            self._transport,
            base_url=self._base,
            headers={"Authorization": f"Bearer {self._api_key}"},
            timeout=httpx.Timeout(_SMALL_CALL_SECONDS, connect=connect_seconds),
        )
        # For the whole process: the hub is used for nothing else. Before its first request the client would ask
        # huggingface.co which programs there are that may have started this one, and let all answers wait for it.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        set_async_client_factory(_open_chat_http)

    def chat_client(self) -> AsyncInferenceClient:
        """A client for one answer, to be used as a context manager.

        For one, because each stream leaves a callback in its client until the client is closed, and because
        closing it closes the connection, by which the engine learns that nobody is listening any more.
        """
        # Handed on to httpx as it is. A read timeout would be of no use: keep-alive comments reset it.
        timeout: Any = httpx.Timeout(None, connect=self._connect_seconds)
        _asked.set(self._transport)
        return AsyncInferenceClient(base_url=self._base, api_key=self._api_key, timeout=timeout)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """An endpoint's JSON answer; None where the engine, or a proxy before it, does not offer the endpoint.

        Raises bot.errors.Engine*.
        """
        try:
            answer = await self._http.request(method, path, json=body)
            return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in _NOT_OFFERED:
                return None
            raise refusals.of_exception(error, self.where, began=False) from None

    async def close(self) -> None:
        await self._http.aclose()


_asked: ContextVar[EngineTransport] = ContextVar("_asked")
"""How to reach the engine that is being asked: huggingface_hub opens its HTTP client itself, in the same task."""


def _open_chat_http() -> httpx.AsyncClient:
    # llama.cpp closes a connection after a stream, though it says that it keeps it: what came next on it would fail.
    return _open_http(Lent(_asked.get()), headers={"Connection": "close"})


def _open_http(transport: httpx.AsyncBaseTransport, **options: Any) -> httpx.AsyncClient:
    """An HTTP client that asks no proxy of the environment, and works under HF_HUB_OFFLINE=1 too."""
    client = httpx.AsyncClient(transport=transport, trust_env=False, event_hooks={"response": [_refuse]}, **options)
    client.headers["Accept-Encoding"] = "identity"  # compression would hold text back
    return client


async def _refuse(response: httpx.Response) -> None:
    """Raises httpx.HTTPStatusError for all but success, with the body read, which it is not in a stream otherwise.

    A redirect is a refusal too: the conversation goes to the address that was given, and nowhere else.
    """
    if not response.is_success:
        await response.aread()
        response.raise_for_status()
