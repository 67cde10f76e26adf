"""The page that people use, over HTTP: its files, what it reads, what people do on it.

Nothing here needs a password: the workspace binds to 127.0.0.1, and refuses what another site's page would send.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import WSCloseCode, web
from aiohttp.helpers import content_disposition_header

from bot.local.workspace.manifest import Manifest
from bot.local.workspace.page import live as page_live
from bot.local.workspace.page.acts import ACTS, BadRequest, Said
from bot.local.workspace.page.rating import RatingSheet
from bot.local.workspace.page.reader import Reader
from bot.local.workspace.people.people import People, PeopleError
from bot.local.workspace.records import AppIdentity, User
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.changes import Changes
from bot.local.workspace.timeline.timeline import Timeline

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "manifest-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Page:
    """Serves the page, reads for it, and does what people do on it."""

    def __init__(
        self,
        timeline: Timeline,
        people: People,
        changes: Changes,
        identity: AppIdentity,
        manifest: Manifest,
        sheet: RatingSheet,
    ) -> None:
        self._timeline = timeline
        self._changes = changes
        self._identity = identity
        self._manifest = manifest
        self._people = people
        self._sheet = sheet
        self._sockets: set[web.WebSocketResponse] = set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", _answer(self._index)),
            web.get("/rate", _answer(self._rating_page)),
            web.get("/static/{name}", _answer(self._static)),
            web.get("/page/state", _answer(self._state)),
            web.get("/page/channel", _answer(self._channel)),
            web.get("/page/thread", _answer(self._thread)),
            web.get("/page/source", _answer(self._source)),
            web.get("/page/views", _answer(self._views)),
            web.get("/page/file", _answer(self._shared_file)),
            web.get("/page/ratings", _answer(self._ratings)),
            web.get("/page/live", _answer(self._live)),
            web.post("/page/rate", _answer(self._rate)),
            web.post("/page/{act}", _answer(self._act)),
        ]

    async def close(self) -> None:
        """Close every open page's WebSocket, so that the server can stop at once; the pages then reconnect."""
        for socket in tuple(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return _file("index.html")

    async def _rating_page(self, request: web.Request) -> web.StreamResponse:
        return _file("rate.html")

    async def _static(self, request: web.Request) -> web.StreamResponse:
        return _file(request.match_info["name"])

    async def _state(self, request: web.Request) -> web.StreamResponse:
        """For whom the address names, or for the first of the team: how a page begins."""
        asked = self._timeline.user(request.query.get("user_id", ""))
        people = [user for user in self._timeline.users() if not user.is_bot]
        viewer = asked if asked in people else people[0]
        return web.json_response(self._reader_for(viewer).state() | {"has_sheet": self._sheet.is_there})

    async def _channel(self, request: web.Request) -> web.StreamResponse:
        before = request.query.get("before")
        return web.json_response(self._reader(request).channel_page(_asked(request, "channel_id"), before))

    async def _thread(self, request: web.Request) -> web.StreamResponse:
        channel_id, thread_ts = _asked(request, "channel_id"), _asked(request, "thread_ts")
        return web.json_response(self._reader(request).thread_page(channel_id, thread_ts))

    async def _source(self, request: web.Request) -> web.StreamResponse:
        text = self._reader(request).source(_asked(request, "channel_id"), _asked(request, "ts"))
        return web.json_response({"text": text})

    async def _views(self, request: web.Request) -> web.StreamResponse:
        reader = self._reader(request)
        return web.json_response({"modal": reader.modal(), "home": reader.home()})

    async def _shared_file(self, request: web.Request) -> web.StreamResponse:
        """A file, to be kept: what it says is never shown as part of the page."""
        file, content = self._reader(request).file(_asked(request, "file_id"))
        headers = {"Content-Disposition": content_disposition_header("attachment", filename=file["name"])}
        return web.Response(body=content, content_type="application/octet-stream", headers=headers)

    async def _ratings(self, request: web.Request) -> web.StreamResponse:
        """The answers to rate, and what this person said of them."""
        name = self._reader(request).viewer.name
        return web.json_response(await asyncio.to_thread(self._sheet.shown_to, name))

    async def _rate(self, request: web.Request) -> web.StreamResponse:
        said, user = await self._said_by(request)
        await asyncio.to_thread(self._sheet.rate, user.name, said.text("item"), said.text_or_none("rating"))
        return web.json_response(None)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        _refuse_other_sites(request)
        reader = self._reader(request)
        socket = page_live.new_socket()
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            await page_live.follow(socket, self._changes, reader)
        finally:
            self._sockets.discard(socket)
        return socket

    async def _act(self, request: web.Request) -> web.StreamResponse:
        act = ACTS.get(request.match_info["act"])
        if act is None:
            raise BadRequest("There is no such action on this page. Reload it.", 404)
        said, _ = await self._said_by(request)
        return web.json_response(await act(self._people, said))

    async def _said_by(self, request: web.Request) -> tuple[Said, User]:
        """What a page of this workspace has sent, and as whom."""
        _refuse_other_sites(request)
        said = await _said(request)
        return said, self._user(said.text("user_id"))

    def _reader(self, request: web.Request) -> Reader:
        return self._reader_for(self._user(_asked(request, "user_id")))

    def _user(self, user_id: str) -> User:
        user = self._timeline.user(user_id)
        if user is None:
            raise BadRequest("Nobody with this user_id is in the workspace.", 404)
        return user

    def _reader_for(self, viewer: User) -> Reader:
        return Reader(self._timeline, self._identity, self._manifest, viewer)


def _answer(handler: Handler) -> Handler:
    """Give every response the page's security headers, and every error a sentence."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        except BadRequest as error:
            response = _sorry(str(error), error.status)
        except PeopleError as error:
            response = _sorry(str(error), 400)
        except Refused as error:
            response = _sorry(f"The workspace refuses this: {error.error}.", 400)
        except KeyError:
            response = _sorry("You are not in this channel, or there is none with this id.", 404)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    return answered


def _sorry(sentence: str, status: int) -> web.Response:
    return web.json_response({"error": sentence}, status=status)


def _file(name: str) -> web.StreamResponse:
    path = _STATIC / Path(name).name
    if path.suffix not in _TYPES or not path.is_file():
        raise BadRequest(f"There is no file {name} on this page.", 404)
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8")


def _asked(request: web.Request, name: str) -> str:
    value = request.query.get(name)
    if not value:
        raise BadRequest(f"{name} is missing from the address.")
    return value


def _refuse_other_sites(request: web.Request) -> None:
    """Refuse what another site's page sends. A program without a browser names no origin and may pass."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if origin not in (None, f"{request.scheme}://{request.host}") or site not in ("same-origin", "none"):
        raise BadRequest("Another site's page may not act in this workspace.", 403)


async def _said(request: web.Request) -> Said:
    if request.content_type != "application/json":
        raise BadRequest("Send JSON with the content type application/json.", 415)
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.")
    return Said(body)
