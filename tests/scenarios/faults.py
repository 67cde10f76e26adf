"""A Slack that fails: what the workspace answers to a method instead of doing it."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from aiohttp import web

from bot.local.workspace.web_api.server import WebApi

Answer = int | str | tuple[Literal["ratelimited"], int] | Literal["cut", "lost", "done"]
"""An HTTP status; Slack's name of an error; a rate limit and its seconds; "cut": the connection ends without an
answer; "lost": so it does, but what was asked is done; "done": nothing is wrong this time."""


class Faults:
    """The faults to come, by method. Of a method without any, every call is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: dict[str, int] = defaultdict(int)
        """How often each method was called."""
        self.sent: dict[str, Any] = {}
        """What each method was last called with, where that is JSON."""
        self._coming: dict[str, Iterator[Answer]] = {}
        done, faults = WebApi._answer, self

        async def answer(api: WebApi, request: web.Request) -> web.Response:
            method = request.match_info["method"]
            faults.calls[method] += 1
            if request.content_type == "application/json":
                faults.sent[method] = await request.json()
            fault = next(faults._coming.get(method, iter(())), "done")
            if fault in ("cut", "lost"):
                if fault == "lost":
                    await done(api, request)
                assert request.transport is not None
                request.transport.abort()
            return _response(fault) or await done(api, request)

        monkeypatch.setattr(WebApi, "_answer", answer)

    def next(self, method: str, *answers: Answer) -> None:
        """The next calls of `method` get these answers, one each."""
        self._coming[method] = iter(answers)

    def always(self, method: str, answer: Answer) -> None:
        """Every call of `method` gets this answer, until `none`."""
        self._coming[method] = itertools.repeat(answer)

    def none(self) -> None:
        """Slack is well again."""
        self._coming.clear()


def _response(fault: Answer) -> web.Response | None:
    if fault == "done":
        return None
    if isinstance(fault, int):
        return web.Response(status=fault, text="<html>Slack is having a moment</html>", content_type="text/html")
    if isinstance(fault, tuple):
        headers = {"Retry-After": str(fault[1])}
        return web.json_response({"ok": False, "error": fault[0]}, status=429, headers=headers)
    return web.json_response({"ok": False, "error": fault})
