"""An HTTP server on loopback that answers as told: what TGI and vLLM do that llama.cpp does not."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class StandIn:
    """`replies` are given one after the other, the last for ever; `requests` are the bodies that came."""

    replies: list[tuple[int, str]]
    page: str = json.dumps({"data": [{"id": "team/model"}]})
    """What every GET is given."""
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)

    def reply(self) -> tuple[int, str]:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def completion(text: str, finish: str = "stop", tokens: int = 7) -> tuple[int, str]:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return 200, json.dumps({"id": "", "choices": [choice], "usage": {"completion_tokens": tokens}})


@contextmanager
def standing_in(*replies: tuple[int, str]) -> Iterator[StandIn]:
    told = StandIn(list(replies))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, text = told.reply()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(told.page.encode())

        def log_message(self, format: str, *values: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
