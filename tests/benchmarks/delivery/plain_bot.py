"""The baseline: a Slack bot as Bolt's documentation writes one, over Socket Mode. It keeps nothing.

A status, the engine's stream through huggingface_hub's AsyncInferenceClient, `say_stream`. The first piece goes
out at once, as Dolly's does, and the rest in as many appends as Dolly makes.
"""

import argparse
import asyncio
import logging
import math
from typing import Any

from huggingface_hub import AsyncInferenceClient
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.context.say_stream.async_say_stream import AsyncSayStream
from slack_bolt.context.set_status.async_set_status import AsyncSetStatus
from slack_sdk.web.async_client import AsyncWebClient

from tests.benchmarks.delivery.engine import TEXT

SYSTEM_PROMPT = "You are Dolly, a helpful AI assistant in a team's chat."


def plain_app(client: AsyncWebClient, engine: AsyncInferenceClient, appends: float) -> AsyncApp:
    """The bot, which makes `appends` appends per answer on average."""
    app = AsyncApp(client=client)
    answers = 0

    @app.event("app_mention")
    async def mentioned(event: dict[str, Any], set_status: AsyncSetStatus, say_stream: AsyncSayStream) -> None:
        nonlocal answers
        answers += 1
        size = len(TEXT) / (1 + math.floor(answers * appends) - math.floor((answers - 1) * appends))
        await set_status(status="is thinking…")
        messages = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": event["text"]}]
        chunks = await engine.chat_completion(messages, stream=True, max_tokens=512, temperature=0.3)
        streamer = await say_stream(buffer_size=1)
        unsent, written, pieces = "", 0, 0
        async for chunk in chunks:
            delta = (chunk.choices[0].delta.content if chunk.choices else "") or ""
            unsent, written = unsent + delta, written + len(delta)
            if unsent and written > pieces * size:
                await streamer.append(markdown_text=unsent)
                unsent, pieces = "", pieces + 1
        await streamer.stop(markdown_text=unsent or None)

    @app.event("message")
    async def said() -> None:
        """Mentions come as messages too; this acknowledges them."""

    return app


async def main() -> None:
    arguments = argparse.ArgumentParser()
    for name in ("--bot-token", "--app-token", "--api-url", "--engine-url"):
        arguments.add_argument(name, required=True)
    arguments.add_argument("--appends", type=float, required=True)
    chosen = arguments.parse_args()
    logging.basicConfig(level=logging.WARNING)
    client = AsyncWebClient(token=chosen.bot_token, base_url=chosen.api_url)
    engine = AsyncInferenceClient(base_url=chosen.engine_url, api_key="none")
    handler = AsyncSocketModeHandler(plain_app(client, engine, chosen.appends), chosen.app_token)
    await handler.connect_async()  # type: ignore[no-untyped-call]
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
