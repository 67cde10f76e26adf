"""The workspace: a stand-in for Slack on 127.0.0.1."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from bot.errors import LocalPartError
from bot.local.workspace.clock import Clock, SystemClock
from bot.local.workspace.delivery.delivery import Delivery
from bot.local.workspace.delivery.events import Events
from bot.local.workspace.delivery.http_delivery import HttpDelivery
from bot.local.workspace.delivery.interactions import Interactions
from bot.local.workspace.delivery.response_urls import ResponseUrls
from bot.local.workspace.delivery.socket_mode import SocketMode
from bot.local.workspace.delivery.triggers import Triggers
from bot.local.workspace.manifest import Manifest, read_manifest
from bot.local.workspace.page.page import Page
from bot.local.workspace.page.rating import RatingSheet
from bot.local.workspace.people.interacting import Interacting
from bot.local.workspace.people.people import People
from bot.local.workspace.records import AppIdentity
from bot.local.workspace.timeline.changes import Changes
from bot.local.workspace.timeline.database import Database
from bot.local.workspace.timeline.timeline import Timeline
from bot.local.workspace.web_api import WebApi
from bot.local.workspace.web_api.rate_limits import RateLimits

HOST = "127.0.0.1"
HOST_NAMES = {HOST, "localhost"}
SHUTDOWN_SECONDS = 2.0
EXPIRY_SECONDS = 5.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Workspace:
    """Slack's Web API, its deliveries to the app, and the page that people use, on one port.

    What is listed here is there from `start` to `stop`.
    """

    url: str
    """The page's address."""

    api_url: str
    """What a Slack client takes as its base_url."""

    identity: AppIdentity
    changes: Changes
    timeline: Timeline
    delivery: Delivery
    people: People
    web_api: WebApi

    def __init__(
        self,
        database: Path | None = None,
        *,
        port: int = 0,
        clock: Clock | None = None,
        rate_limits: bool = False,
        request_url: str | None = None,
        seed: int | None = None,
        manifest: Manifest | None = None,
        ratings: Path | None = None,
    ) -> None:
        """Keep what is said in the SQLite file `database`, or in memory only. Port 0 takes a free one.

        With `request_url` the app is reached there by signed HTTP, without it by Socket Mode. `seed`
        fixes which of several sockets gets what. `manifest` tells the app's command, shortcuts and prompts;
        None takes the one in deploy/. `ratings` is where a sheet of answers to rate may lie.
        """
        self._database_path = database
        self._port = port
        self._clock = clock or SystemClock()
        self._has_rate_limits = rate_limits
        self._seed = seed
        self._manifest = read_manifest() if manifest is None else manifest
        self._sheet = RatingSheet(ratings)
        self.request_url = request_url
        """Where the app takes events, commands and interactions by HTTP; None: it uses Socket Mode."""

    async def start(self) -> None:
        """Open the port and the database. Raises LocalPartError when either cannot be had."""
        listener = _listen(self._port)
        try:
            self._database = Database(self._database_path)
        except BaseException:
            listener.close()
            raise
        host = f"{HOST}:{listener.getsockname()[1]}"
        self.url = f"http://{host}/"
        self.api_url = f"{self.url}api/"
        # No access log: Slack's clients put message text into query strings.
        application = self._application(host)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        self._expiry = asyncio.create_task(self._expire())

    async def stop(self) -> None:
        """Close everything that `start` opened."""
        self._expiry.cancel()
        await asyncio.gather(self._expiry, return_exceptions=True)
        self._unsubscribe()
        await self.delivery.stop()
        await self._sockets.stop()
        await self._page.close()
        await self._runner.cleanup()
        await self._http.stop()
        self._database.close()

    def _application(self, host: str) -> web.Application:
        """Wire the parts, each with what it needs and no more."""
        clock, database = self._clock, self._database
        identity = self.identity = database.identity()
        self.changes = Changes()
        self.timeline = Timeline(database, self.changes, clock, identity)
        self._sockets = SocketMode(clock, identity.app_id, host, seed=self._seed)
        self._http = HttpDelivery(lambda: self.request_url, identity)
        self.delivery = Delivery(clock, self._sockets, self._http)
        triggers = Triggers(clock)
        response_urls = ResponseUrls(self.timeline, identity, clock, self.url)
        events = Events(self.timeline, self.delivery, identity, clock)
        self._unsubscribe = self.changes.subscribe(events.on_change)
        interactions = Interactions(identity, triggers, response_urls, clock)
        interacting = Interacting(
            *(self.timeline, self.changes, self._manifest, self.delivery, interactions, response_urls)
        )
        self.people = People(self.timeline, events, interacting, origin=self.url.rstrip("/"))
        rate_limits = RateLimits(clock) if self._has_rate_limits else None
        self.web_api = WebApi(self.timeline, clock, identity, rate_limits, self._sockets.open_socket, triggers)
        application = web.Application(middlewares=[_refuse_foreign_hosts], client_max_size=50 * 2**20)
        self._page = Page(self.timeline, self.people, self.changes, identity, self._manifest, self._sheet)
        application.add_routes(self.web_api.routes())
        application.add_routes(self._sockets.routes())
        application.add_routes(response_urls.routes())
        application.add_routes(self._page.routes())
        return application

    async def _expire(self) -> None:
        while True:
            await self._clock.sleep(EXPIRY_SECONDS)
            self.timeline.expire()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise LocalPartError(
            f"The workspace cannot use port {port} on {HOST}: {error.strerror}. "
            "Stop what uses it, or choose another port with DOLLY_PORT."
        ) from error
    return listener


@web.middleware
async def _refuse_foreign_hosts(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A web page elsewhere may point its own name at 127.0.0.1 (DNS rebinding); its requests show that name."""
    if request.host.partition(":")[0].lower() not in HOST_NAMES:
        return web.Response(status=403, text="This workspace answers to 127.0.0.1 and localhost only.\n")
    return await handler(request)
