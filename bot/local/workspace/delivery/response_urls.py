"""response_urls: where an app may answer a command or a click, five times within thirty minutes."""

import json
import secrets
from dataclasses import dataclass

from aiohttp import web

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import AppIdentity, Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.block_rules import check_message_blocks
from bot.local.workspace.timeline.timeline import Timeline

MAX_USES = 5
LIFETIME_SECONDS = 30 * 60


@dataclass(frozen=True)
class Origin:
    """What a person did that may be answered: a command, or something about a message (`source_ts`)."""

    user_id: str
    channel_id: str
    source_ts: str | None = None
    is_ephemeral: bool = False


@dataclass
class _Issued:
    origin: Origin
    issued_at: float
    uses: int = 0


class ResponseUrls:
    """The response_urls given out. `base_url` is "http://127.0.0.1:PORT/"."""

    def __init__(self, timeline: Timeline, identity: AppIdentity, clock: Clock, base_url: str) -> None:
        self._timeline = timeline
        self._identity = identity
        self._clock = clock
        self._base_url = base_url
        self._issued: dict[str, _Issued] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/response/{id}", self._use)]

    def issue(self, origin: Origin) -> str:
        """A new address at which `origin` may be answered."""
        self._forget_expired()
        id = secrets.token_urlsafe(24)
        self._issued[id] = _Issued(origin, self._clock.now())
        return f"{self._base_url}response/{id}"

    def respond(self, origin: Origin, answer: Json) -> None:
        """Say, replace or delete what `answer` asks for. Raises Refused."""
        text, blocks, thread_ts = str(answer.get("text") or ""), answer.get("blocks"), answer.get("thread_ts")
        if blocks:
            check_message_blocks(blocks)
        if answer.get("delete_original"):
            self._delete_source(origin)
        elif not text and not blocks:
            raise Refused("no_text")
        elif answer.get("replace_original") and origin.source_ts:
            self._replace_source(origin, text, blocks)
        elif answer.get("response_type") == "in_channel":
            self._timeline.post(
                origin.channel_id,
                self._identity.bot_user_id,
                text,
                thread_ts=thread_ts,
                blocks=blocks,
                metadata=answer.get("metadata"),
                as_app=True,
                as_response=True,
            )
        else:
            self._timeline.post_ephemeral(origin.channel_id, origin.user_id, text, thread_ts=thread_ts, blocks=blocks)

    async def _use(self, request: web.Request) -> web.Response:
        issued = self._issued.get(request.match_info["id"])
        if issued is None or self._clock.now() - issued.issued_at > LIFETIME_SECONDS:
            return _refusal(404, "expired_url")
        if issued.uses >= MAX_USES:
            return _refusal(404, "used_url")
        try:
            answer = json.loads(await request.read())
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            return _refusal(400, "invalid_payload")
        issued.uses += 1
        try:
            self.respond(issued.origin, answer)
        except Refused as refused:
            return _refusal(400, refused.error)
        return web.Response(text="ok")

    def _replace_source(self, origin: Origin, text: str, blocks: list[Json] | None) -> None:
        ts = self._own_source(origin)
        if origin.is_ephemeral:
            self._timeline.replace_ephemeral(origin.channel_id, origin.user_id, ts, text=text, blocks=blocks)
        else:
            self._timeline.update(origin.channel_id, ts, text=text, blocks=blocks)

    def _delete_source(self, origin: Origin) -> None:
        ts = self._own_source(origin)
        if origin.is_ephemeral:
            self._timeline.delete_ephemeral(origin.channel_id, origin.user_id, ts)
        else:
            self._timeline.delete(origin.channel_id, ts)

    def _own_source(self, origin: Origin) -> str:
        """`ts` of the message that the app may replace or delete: it must be the app's own."""
        if origin.source_ts is None:
            raise Refused("message_not_found")
        if not origin.is_ephemeral:
            message = self._timeline.message(origin.channel_id, origin.source_ts)
            if message is None:
                raise Refused("message_not_found")
            if message.get("bot_id") != self._identity.bot_id:
                raise Refused("cant_update_message")
        return origin.source_ts

    def _forget_expired(self) -> None:
        oldest = self._clock.now() - LIFETIME_SECONDS
        self._issued = {id: issued for id, issued in self._issued.items() if issued.issued_at >= oldest}


def _refusal(status: int, error: str) -> web.Response:
    return web.json_response({"ok": False, "error": error}, status=status)
