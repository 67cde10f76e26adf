"""An engine in a process of its own: `python -m tests.bot.engine_owner.model_server DIRECTORY HOST PORT`.

It speaks TGI's contract, answers with its directory's name, and told to end it finishes what it is writing.
A directory that is named broken ends it at once.
"""

import asyncio
import signal
import sys
from pathlib import Path

from aiohttp import web

WORDS = 20
SECONDS_PER_WORD = 0.02


async def main(directory: Path, host: str, port: int) -> None:
    if "broken" in directory.name:
        sys.exit("this model cannot be read")
    running = 0

    async def chat(request: web.Request) -> web.StreamResponse:
        nonlocal running
        if not (await request.json()).get("stream"):
            message = {"role": "assistant", "content": " ".join([directory.name] * WORDS)}
            whole = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
            usage = {"prompt_tokens": 8, "completion_tokens": WORDS, "total_tokens": 8 + WORDS}
            return web.json_response({"object": "chat.completion", "model": "m", "choices": [whole], "usage": usage})
        running += 1
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for number in range(WORDS):
                word = f'"content":"{" " if number else ""}{directory.name}"'
                end = '"stop"' if number == WORDS - 1 else "null"
                choice = f'{{"index":0,"delta":{{"role":"assistant",{word}}},"logprobs":null,"finish_reason":{end}}}'
                told = '"object":"chat.completion.chunk","id":"","created":0,"model":"m","system_fingerprint":""'
                await response.write(f'data: {{{told},"choices":[{choice}],"usage":null}}\n\n'.encode())
                await asyncio.sleep(SECONDS_PER_WORD)
            await response.write(b"data: [DONE]\n\n")
            return response
        finally:
            running -= 1

    async def info(_: web.Request) -> web.Response:
        return web.json_response({"model_id": str(directory), "max_input_tokens": 1536, "max_total_tokens": 2048})

    async def tokenize(_: web.Request) -> web.Response:
        return web.json_response({"tokenize_response": [], "templated_text": ""})

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=f"# TYPE tgi_queue_size gauge\ntgi_queue_size 0\ntgi_batch_current_size {running}\n")

    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", chat), web.post("/chat_tokenize", tokenize)])
    app.add_routes([web.get("/info", info), web.get("/health", health), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    site = web.TCPSite(runner, host, port)
    await site.start()
    print(f"serves {directory}", flush=True)
    await stop.wait()
    await site.stop()
    while running:
        await asyncio.sleep(0.01)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
