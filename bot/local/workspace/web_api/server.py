"""Takes a call: its arguments, its token, its rate; finds its method; answers as Slack does.

The answer is HTTP 200 with `ok` true or false, whatever goes wrong; only a rate limit is HTTP 429.
"""

import secrets
from collections.abc import Callable
from urllib.parse import urlencode

from aiohttp import web

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import AppIdentity, Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.timeline import Timeline
from bot.local.workspace.web_api import (
    agents,
    app,
    chat,
    conversations,
    files,
    reactions,
    streams,
    users,
    views,
)
from bot.local.workspace.web_api.arguments import Arguments, read_arguments
from bot.local.workspace.web_api.call import Call, Handler, TriggerRedeemer
from bot.local.workspace.web_api.rate_limits import RateLimits

METHODS: dict[str, Handler] = {
    **agents.METHODS,
    **app.METHODS,
    **chat.METHODS,
    **conversations.METHODS,
    **files.METHODS,
    **reactions.METHODS,
    **streams.METHODS,
    **users.METHODS,
    **views.METHODS,
}

_WITHOUT_TOKEN = frozenset(("api.test", "oauth.v2.access"))
_WITH_APP_TOKEN = frozenset(("apps.connections.open",))


class WebApi:
    """The routes of the Web API."""

    def __init__(
        self,
        timeline: Timeline,
        clock: Clock,
        identity: AppIdentity,
        rate_limits: RateLimits | None,
        open_socket: Callable[[], str],
        triggers: TriggerRedeemer,
    ) -> None:
        """`open_socket` makes the URL for one Socket Mode connection; None switches rate limits off."""
        self._timeline = timeline
        self._clock = clock
        self._identity = identity
        self._rate_limits = rate_limits
        self._open_socket = open_socket
        self._triggers = triggers
        self._install_codes: set[str] = set()

    def new_install_code(self) -> str:
        """What Slack's consent page would hand to the app's redirect URL: oauth.v2.access takes it once."""
        code = secrets.token_urlsafe(24)
        self._install_codes.add(code)
        return code

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/{method}", self._answer),
            web.post("/api/{method}", self._answer),
            web.post("/upload/v1/{ticket}", self._upload),
            web.get("/files-pri/{file_id}", self._download),
            web.get("/files-pri/{file_id}/download", self._download),
        ]

    async def _answer(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        headers: dict[str, str] = {}
        try:
            handler = METHODS.get(method)
            if handler is None:
                raise Refused("unknown_method")
            arguments = await read_arguments(request)
            if method not in _WITHOUT_TOKEN:
                self._check_token(method, _token(request, arguments))
                headers["x-oauth-scopes"] = app.SCOPES
            wait_seconds = self._wait_seconds(method, arguments)
            if wait_seconds is not None:
                headers["Retry-After"] = str(wait_seconds)
                return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
            answer = {"ok": True, **handler(self._call(request, arguments))}
        except Refused as refused:
            answer = _refusal(refused)
        return web.json_response(answer, headers=headers)

    def _check_token(self, method: str, token: str) -> None:
        if not token:
            raise Refused("not_authed")
        if token not in (self._identity.bot_token, self._identity.app_token):
            raise Refused("invalid_auth")
        if (token == self._identity.app_token) != (method in _WITH_APP_TOKEN):
            raise Refused("not_allowed_token_type")

    def _wait_seconds(self, method: str, arguments: Arguments) -> int | None:
        if self._rate_limits is None:
            return None
        return self._rate_limits.retry_after(method, arguments.text("channel") or "")

    def _call(self, request: web.Request, arguments: Arguments) -> Call:
        return Call(
            arguments,
            self._timeline,
            self._clock,
            self._identity,
            self._triggers,
            self._open_socket,
            self._install_codes,
            origin=str(request.url.origin()),
        )

    async def _upload(self, request: web.Request) -> web.Response:
        """Take the content of a file at the URL that files.getUploadURLExternal gave."""
        content = await request.read()
        try:
            self._timeline.store_file(request.match_info["ticket"], content)
        except Refused:
            return web.Response(status=404, text="This upload URL was used, or never given.\n")
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request) -> web.Response:
        """A file's content, for the app's token; as in Slack, others are sent to where people sign in."""
        file = self._timeline.file(request.match_info["file_id"])
        content = None if file is None else self._timeline.file_content(file["id"])
        if file is None or content is None:
            return web.Response(status=404, text="There is no such file.\n")
        call = self._call(request, Arguments({}))
        if _bearer(request) != self._identity.bot_token or not call.sees_file(file):
            raise web.HTTPFound(f"/?{urlencode({'redir': request.path})}")
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=content, content_type=file["mimetype"], headers=headers)


def _token(request: web.Request, arguments: Arguments) -> str:
    return _bearer(request) or arguments.text("token") or ""


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _refusal(refused: Refused) -> Json:
    answer: Json = {"ok": False, "error": refused.error}
    if refused.messages:
        answer["response_metadata"] = {"messages": list(refused.messages)}
    return answer
