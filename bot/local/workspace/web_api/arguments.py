"""A call's arguments: from the query string, a form or a JSON body, read as what the method takes them for."""

import json
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from bot.local.workspace.records import Json
from bot.local.workspace.refusals import Refused

DEPTH_LIMIT = 100
"""Lists and objects within each other, in JSON."""


async def read_arguments(request: web.Request) -> "Arguments":
    """All arguments of a call; those in the body win. Raises Refused with Slack's names for a bad body."""
    values: Json = {**_basic_credentials(request), **request.query}
    body = await request.read() if request.method == "POST" else b""
    if body:
        values |= _body_values(request.content_type, body)
    return Arguments(values)


def _basic_credentials(request: web.Request) -> Json:
    """client_id and client_secret, which Slack's clients send as HTTP Basic authorization."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        client_id, _, client_secret = b64decode(encoded).decode().partition(":")
    except (Base64Error, UnicodeError):
        return {}
    return {"client_id": client_id, "client_secret": client_secret}


def _body_values(content_type: str, body: bytes) -> Json:
    if content_type == "application/json":
        return _json_values(body)
    if content_type == "application/x-www-form-urlencoded":
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict"))
        except (UnicodeError, ValueError):
            raise Refused("invalid_form_data") from None
    raise Refused("missing_post_type" if content_type == "application/octet-stream" else "invalid_post_type")


def _json_values(body: bytes) -> Json:
    try:
        values = _json_value(body)
    except (ValueError, RecursionError):
        raise Refused("invalid_json") from None
    if not isinstance(values, dict):
        raise Refused("json_not_object")
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class Arguments:
    """Reads arguments by name. What is missing is None; what cannot be read raises Refused."""

    def __init__(self, values: Json) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    def all(self) -> Json:
        return dict(self._values)

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool | list | dict):
            raise _invalid(f"must provide a string [json-pointer:/{name}]")
        return str(value)

    def needed(self, name: str) -> str:
        """A text that must be given and not be empty."""
        value = self.text(name)
        if not value:
            raise _invalid(f"missing required field: {name}")
        return value

    def flag(self, name: str) -> bool:
        value = self._values.get(name, False)
        return value if isinstance(value, bool) else str(value).lower() in ("1", "true", "t", "yes")

    def limit(self, default: int, most: int) -> int:
        """How many a page may hold. 0 and "" are the default, as in Slack."""
        text = str(self._values.get("limit") or default)
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Refused("invalid_limit")
        return min(int(text) or default, most)

    def items(self, name: str, *, fault: str) -> list[Json] | None:
        """A list of objects, as JSON or as its text; `fault` is Slack's name for anything else."""
        value = self._parsed(name, fault)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise Refused(fault)
        return value

    def record(self, name: str, *, fault: str) -> Json | None:
        """An object, as JSON or as its text; `fault` is Slack's name for anything else."""
        value = self._parsed(name, fault)
        if value is not None and not isinstance(value, dict):
            raise Refused(fault)
        return value

    def words(self, name: str) -> list[str]:
        """Texts: a JSON list, or one text with commas."""
        value = self._values.get(name)
        if isinstance(value, str) and value.startswith("["):
            value = self._parsed(name, "invalid_arguments")
        if isinstance(value, list):
            return [str(item) for item in value]
        return [word.strip() for word in str(value or "").split(",") if word.strip()]

    def _parsed(self, name: str, fault: str) -> Any:
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return _json_value(value)
        except (ValueError, RecursionError):
            raise Refused(fault) from None


def _json_value(text: str | bytes) -> Any:
    """Parsed strictly: no NaN, no half surrogate pairs, not nested deeper than anything of Slack's."""
    value = json.loads(text, parse_constant=_refuse_constant)
    json.dumps(value, ensure_ascii=False).encode()
    if _depth(value) > DEPTH_LIMIT:
        raise ValueError("nested too deeply")
    return value


def _depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inside), default=0)


def _invalid(message: str) -> Refused:
    return Refused("invalid_arguments", f"[ERROR] {message}")
