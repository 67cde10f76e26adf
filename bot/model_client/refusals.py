"""What an engine's failure means: statuses, error events and broken connections as bot.errors.Engine*.

An engine may repeat the conversation in its own error text. So that text is read here and never passed on: the
sentences say what to look at, and the engine's log has its own words.
"""

import json
import re

from huggingface_hub.errors import InferenceTimeoutError, TextGenerationError
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # the httpx it uses: httpx2 in 2.x

from bot.errors import (
    EngineBroke,
    EngineError,
    EngineOverloaded,
    EngineRefused,
    EngineSlow,
    EngineUnreachable,
)

HTTP_FAILURES = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
)
"""What huggingface_hub's client raises: its own errors are httpx.HTTPError, the last four come of odd JSON."""

_TOO_LONG = re.compile(
    r"exceed_context_size|context (length|size|window)|must have less than \d+ tokens|"
    r"`inputs` tokens \+ `max_new_tokens`|longer than the model",
    re.IGNORECASE,
)
_MODEL_UNKNOWN = re.compile(
    r"\bmodel\b.{0,200}(does not exist|not found|not available|unknown)", re.IGNORECASE | re.DOTALL
)
_OVERLOADED = re.compile(r"overloaded|queue is full|too many requests", re.IGNORECASE)


class ModelUnknown(EngineRefused):
    """The engine does not serve the model that was named."""


def of_exception(error: Exception, where: str, *, began: bool) -> EngineError:
    """What an exception of the HTTP client or of huggingface_hub means. `began`: whether text had come."""
    if isinstance(error, httpx.HTTPStatusError):
        return of_status(error.response.status_code, error.response.text, where)
    if isinstance(error, TextGenerationError):
        return _of_event(error.args[0] if error.args else "", where, began=began)
    if isinstance(error, (InferenceTimeoutError, httpx.ConnectTimeout)):
        return EngineUnreachable(f"The engine at {where} accepts no connection: is it up, and the address right?")
    if isinstance(error, httpx.TimeoutException):
        return EngineSlow(f"The engine at {where} does not answer in time: is it overloaded, or hung?")
    if isinstance(error, httpx.TransportError) and not began:
        return EngineUnreachable(f"The engine at {where} cannot be reached: is it up, and the address right?")
    if isinstance(error, httpx.TransportError):
        return EngineBroke(f"The engine at {where} dropped the connection in an answer: see its log.")
    return EngineBroke(f"The engine at {where} sent what is no chat completion: does it speak that protocol?")


def of_status(status: int, body: str, where: str) -> EngineError:
    """What an answer with an error status means."""
    told = f"The engine at {where} answered {status}{_error_type(body)}"
    if status in (401, 403):
        return EngineRefused(f"{told}: it wants another key; give Dolly the key that the engine was started with.")
    if status in (429, 503) or _OVERLOADED.search(body):
        return EngineOverloaded(f"{told}: it has no free place, or is still loading its model.")
    if status in (400, 404) and _MODEL_UNKNOWN.search(body):
        return ModelUnknown(f"{told}: it does not serve the model that Dolly names; see its /v1/models.")
    if status in (404, 405) or 300 <= status < 400:
        return EngineRefused(f"{told}: there is no chat completion here; check the engine's address.")
    if status == 502:
        return EngineUnreachable(f"{told}: the proxy before it does not reach it.")
    if status in (408, 504):
        return EngineSlow(f"{told}: it, or the proxy before it, gave up waiting.")
    if status < 500 and status != 424:
        return _refused(told, body)
    return EngineBroke(f"{told}: it failed while it worked on the answer; see its log.")


def _of_event(error: object, where: str, *, began: bool) -> EngineError:
    """What an error inside a stream that began with 200 means. TGI says 422 in each of them, whatever it is."""
    code = error.get("code") if isinstance(error, dict) else None
    text = json.dumps(error)
    told = f"The engine at {where} sent an error in its stream{_error_type(text)}"
    if began:
        return EngineBroke(f"{told}: it failed in the middle of an answer; see its log.")
    if _OVERLOADED.search(text) or code in (429, 503):
        return EngineOverloaded(f"{told}: it has no free place.")
    if "Input validation error" in text or code == 400 or _TOO_LONG.search(text):
        return _refused(told, text)
    return EngineBroke(f"{told}: it failed while it worked on the answer; see its log.")


def _refused(told: str, body: str) -> EngineRefused:
    if _TOO_LONG.search(body):
        return EngineRefused(f"{told}: the prompt and the answer do not fit its window.")
    if "template" in body.lower():
        return EngineRefused(f"{told}: its chat template cannot render the conversation; see its log.")
    return EngineRefused(f"{told}: it does not take the request; see its log.")


def _error_type(body: str) -> str:
    """The engine's own name for an error, such as " (overloaded)", where it is a plain word."""
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    inner = told.get("error") if isinstance(told, dict) else None
    name = told.get("error_type") or told.get("type") if isinstance(told, dict) else None
    if name is None and isinstance(inner, dict):
        name = inner.get("type")
    return f" ({name})" if isinstance(name, str) and re.fullmatch(r"[A-Za-z_]{1,40}", name) else ""
