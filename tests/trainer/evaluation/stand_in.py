"""An HTTP server on loopback that answers as told: what TGI and vLLM do that llama.cpp does not."""

import json
import sys
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
    info: str = ""
    """What TGI says at /info; nothing of the kind is there without it."""
    api_key: str = ""
    """Without it nobody under /v1 is answered, as in vLLM."""
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)

    def reply(self) -> tuple[int, str]:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def completion(text: str, finish: str = "stop", tokens: int = 7) -> tuple[int, str]:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return 200, json.dumps({"id": "", "choices": [choice], "usage": {"completion_tokens": tokens}})


class Server(ThreadingHTTPServer):
    """Quiet about who hung up."""

    def __init__(self, told: StandIn) -> None:
        self.told = told
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Of one connection. Held open, and closed as soon as it is used again: engines may do so with an idle one."""

    server: Server
    protocol_version = "HTTP/1.1"
    answered = False

    def handle_one_request(self) -> None:
        if self.answered:
            self.rfile.read(1)
            self.close_connection = True
        else:
            super().handle_one_request()

    def do_POST(self) -> None:
        body = self.rfile.read(length := int(self.headers["Content-Length"]))
        if len(body) < length:
            self.close_connection = True  # whoever asked has gone, as where an evaluation ends early
        elif self._may_ask():
            self.server.told.requests.append(json.loads(body))
            self._say(*self.server.told.reply())

    def do_GET(self) -> None:
        if self.path == "/info":
            self._say(200 if self.server.told.info else 404, self.server.told.info)
        elif self._may_ask():
            self._say(200, self.server.told.page)

    def log_message(self, format: str, *values: Any) -> None:
        pass

    def _may_ask(self) -> bool:
        key = self.server.told.api_key
        if key and self.headers["Authorization"] != f"Bearer {key}":
            self._say(401, "")
            return False
        return True

    def _say(self, status: int, text: str) -> None:
        self.answered = True
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def standing_in(*replies: tuple[int, str], info: str = "", api_key: str = "") -> Iterator[StandIn]:
    told = StandIn(list(replies), info=info, api_key=api_key)
    server = Server(told)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
