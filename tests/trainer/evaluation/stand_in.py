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

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def standing_in(*replies: tuple[int, str], info: str = "", api_key: str = "") -> Iterator[StandIn]:
    told = StandIn(list(replies), info=info, api_key=api_key)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(length := int(self.headers["Content-Length"]))
            if len(body) < length:
                return  # whoever asked has gone, as where an evaluation ends early
            if self._may_ask():
                told.requests.append(json.loads(body))
                self._say(*told.reply())

        def do_GET(self) -> None:
            if self.path == "/info":
                self._say(200 if told.info else 404, told.info)
            elif self._may_ask():
                self._say(200, told.page)

        def _may_ask(self) -> bool:
            if told.api_key and self.headers["Authorization"] != f"Bearer {told.api_key}":
                self._say(401, "")
                return False
            return True

        def _say(self, status: int, text: str) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *values: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
