"""What people do on the page: POST /page/<name>, a JSON object in, a JSON value out."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from typing import Any

from bot.local.workspace.people.people import People
from bot.local.workspace.records import Json


class BadRequest(Exception):
    """The page asked wrongly; `str(error)` is the sentence that it shows."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


class Said:
    """The JSON object that a page has sent, read strictly."""

    def __init__(self, body: Json) -> None:
        self._body = body

    def text(self, name: str) -> str:
        value = self._body.get(name)
        if not isinstance(value, str):
            raise BadRequest(f"{name} is missing or is not text.")
        if not _is_whole(value):
            raise BadRequest(f"{name} holds half of a character.")
        return value

    def text_or_none(self, name: str) -> str | None:
        return None if self._body.get(name) is None else self.text(name)

    def object(self, name: str) -> Json:
        value = self._body.get(name) or {}
        if not isinstance(value, dict):
            raise BadRequest(f"{name} is not an object.")
        return value

    def files(self) -> list[tuple[str, bytes]]:
        """Names and contents: `files` is [{"name": …, "content": base64}, …]."""
        files = self._body.get("files")
        if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
            raise BadRequest("files is not a list of objects.")
        try:
            return [
                (each.text("name"), base64.b64decode(each.text("content"), validate=True)) for each in map(Said, files)
            ]
        except binascii.Error:
            raise BadRequest("content is not base64.") from None


def _is_whole(text: str) -> bool:
    """JSON can carry half of a surrogate pair, which no file and no wire can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


async def _post(people: People, said: Said) -> Any:
    where = said.text("user_id"), said.text("channel_id")
    message = await people.post(*where, said.text("text"), thread_ts=said.text_or_none("thread_ts"))
    return {"ts": message["ts"] if message else None}


async def _share(people: People, said: Said) -> Any:
    where = said.text("user_id"), said.text("channel_id")
    message = await people.share(*where, said.files(), said.text("text"), thread_ts=said.text_or_none("thread_ts"))
    return {"ts": message["ts"]}


async def _edit(people: People, said: Said) -> Any:
    await people.edit(said.text("user_id"), said.text("channel_id"), said.text("ts"), said.text("text"))


async def _delete(people: People, said: Said) -> Any:
    await people.delete(said.text("user_id"), said.text("channel_id"), said.text("ts"))


async def _react(people: People, said: Said) -> Any:
    await people.react(said.text("user_id"), said.text("channel_id"), said.text("ts"), said.text("name"))


async def _unreact(people: People, said: Said) -> Any:
    await people.unreact(said.text("user_id"), said.text("channel_id"), said.text("ts"), said.text("name"))


async def _click(people: People, said: Said) -> Any:
    await people.click(
        *(said.text("user_id"), said.text_or_none("channel_id"), said.text("where")),
        *(said.text("block_id"), said.text("action_id")),
        state_values=said.object("state_values"),
        **_choice(said.object("choice")),
    )


async def _options(people: People, said: Said) -> Any:
    found = await people.options(
        *(said.text("user_id"), said.text_or_none("channel_id"), said.text("where")),
        *(said.text("block_id"), said.text("action_id"), said.text("value")),
    )
    return {"options": found}


async def _submit(people: People, said: Said) -> Any:
    values = said.object("state_values")
    return {"faults": await people.submit_view(said.text("user_id"), said.text("view_id"), values)}


async def _close(people: People, said: Said) -> Any:
    await people.close_view(said.text("user_id"), said.text("view_id"))


async def _shortcut(people: People, said: Said) -> Any:
    where = said.text("user_id"), said.text("channel_id"), said.text("ts")
    await people.shortcut(*where, said.text("callback_id"))


_KINDS: dict[str, Json] = {
    "member": {},
    "admin": {"is_admin": True},
    "guest": {"is_restricted": True},
    "external": {"team_id": "T0OTHERCO01"},
}


async def _invite(people: People, said: Said) -> Any:
    kind = said.text("kind")
    if kind not in _KINDS:
        raise BadRequest(f"Nobody can be {kind!r} here.")
    traits = {**_KINDS[kind], "locale": said.text("locale")}
    name = said.text("name").strip()
    if not _NAME.fullmatch(name):
        raise BadRequest("A name is made of letters, digits, dots and hyphens.")
    user = await people.welcome(said.text("user_id"), said.text("channel_id"), name, **traits)
    return {"user_id": user.id}


_NAME = re.compile(r"[\w.-]{1,40}")


async def _stop(people: People, said: Said) -> Any:
    await people.stop(said.text("user_id"), said.text("channel_id"), said.text("thread_ts"))


async def _open_home(people: People, said: Said) -> Any:
    await people.open_home(said.text("user_id"))


async def _open_messages(people: People, said: Said) -> Any:
    await people.open_messages_tab(said.text("user_id"))


_CHOICES = frozenset(
    f"selected_{name}"
    for name in ("option", "options", "date", "time", "date_time", "user", "users", "channel", "channels",
                 "conversation", "conversations")
) | {"value"}  # fmt: skip


def _choice(choice: Json) -> Json:
    unknown = choice.keys() - _CHOICES
    if unknown:
        raise BadRequest(f"An element cannot carry {', '.join(sorted(unknown))}.")
    return choice


Act = Callable[[People, Said], Awaitable[Any]]

ACTS: dict[str, Act] = {
    "post": _post,
    "share": _share,
    "edit": _edit,
    "delete": _delete,
    "react": _react,
    "unreact": _unreact,
    "click": _click,
    "options": _options,
    "submit": _submit,
    "close": _close,
    "shortcut": _shortcut,
    "invite": _invite,
    "stop": _stop,
    "open_home": _open_home,
    "open_messages": _open_messages,
}
