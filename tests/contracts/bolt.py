"""A real Bolt app, connected to a workspace as its users connect theirs: by Socket Mode, or over signed HTTP."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.local.workspace.workspace import Workspace


def bolt_app(workspace: Workspace, **options: Any) -> AsyncApp:
    """An app with Bolt's defaults that talks to this workspace."""
    client = AsyncWebClient(token=workspace.identity.bot_token, base_url=workspace.api_url)
    return AsyncApp(client=client, signing_secret=workspace.identity.signing_secret, **options)


def take_the_rest(app: AsyncApp) -> None:
    """Acknowledge every event that no other listener takes; registered last."""

    @app.event(re.compile(".*"))
    async def taken(ack: Any) -> None:
        await ack()


@asynccontextmanager
async def by_socket_mode(workspace: Workspace, app: AsyncApp) -> AsyncIterator[AsyncSocketModeHandler]:
    handler = AsyncSocketModeHandler(app, workspace.identity.app_token)
    await handler.connect_async()  # type: ignore[no-untyped-call]
    try:
        yield handler
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def by_http(workspace: Workspace, app: AsyncApp) -> AsyncIterator[str]:
    """Serve the app's own aiohttp application, and have the workspace deliver there."""
    runner = web.AppRunner(app.server(port=0, host="127.0.0.1").web_app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    workspace.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    try:
        yield workspace.request_url
    finally:
        workspace.request_url = None
        await runner.cleanup()
