"""Erasures: written down before they are carried out, and repeated where a restored store has not seen them.

The erasure log lies apart from the store: one JSON object a line, the first with a salt, each other one an erasure:
its id, its kind, when it was asked for, a salted hash of what is to be forgotten, and the tombstone that it leaves
(bot/store/tombstones.py). The store keeps the ids of the erasures that it has seen. One restored from an older backup
lacks some: their tombstones are put again, and what it holds and a hash matches goes again, before anything is served.
"""

import asyncio
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from bot.conversation import ConversationId
from bot.errors import ErasureLogBroken, FilesNotRewritten
from bot.store.connection import Client
from bot.store.files import rewrite_files
from bot.store.forgetting import Forgetting, Forgotten
from bot.store.forgetting_feedback import conversation_of, people_of
from bot.store.tombstones import Target, Tombstones

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Erasure:
    """A line of the log."""

    id: str
    kind: str
    at: datetime
    """When it was asked for."""
    hash: str
    tombstone: str
    """"" in a line of a Dolly that left none."""


class ErasureLog:
    """The file, of mode 0600, made with the first erasure. Methods raise ErasureLogBroken; `owner` as in Layout."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path = path
        self._owner = owner

    def append(self, target: Target, tombstone: str) -> Erasure:
        """Write an erasure down; when this returns, it is on the disk."""
        try:
            salt = self._salt() or self._begin()
            erasure = Erasure(secrets.token_hex(8), target.kind, datetime.now(UTC), self._hash(salt, target), tombstone)
            self._write(erasure)
        except OSError as error:
            raise ErasureLogBroken(
                f"The erasure log {self._path} cannot be written ({error.strerror}), so nothing was forgotten; "
                "name another place with ERASURE_LOG."
            ) from None
        return erasure

    def read(self) -> list[Erasure]:
        """All erasures, in their order; none without a file."""
        lines = self._lines()
        erasures = []
        for number, line in enumerate(lines[1:], 2):
            try:
                fields = json.loads(line)
                at = datetime.fromisoformat(fields["at"])
                tombstone = fields.get("tombstone", "")
                erasures.append(Erasure(fields["id"], fields["kind"], at, fields["hash"], tombstone))
            except (ValueError, KeyError, TypeError):
                # Torn when its writer was killed: then nothing had been erased for it.
                log.warning("erasure_log_line_ignored", line=number)
        return erasures

    def matching(self, erasures: Iterable[Erasure], targets: Iterable[Target]) -> list[tuple[Erasure, Target]]:
        """Those of `erasures` whose hash is the one of a target, with that target."""
        salt = self._salt()
        if not salt:
            return []
        found = {self._hash(salt, target): target for target in targets}
        return [(erasure, found[erasure.hash]) for erasure in erasures if erasure.hash in found]

    def _hash(self, salt: bytes, target: Target) -> str:
        return hmac.new(salt, f"{self._owner}\n{target.kind}\n{target.name}".encode(), hashlib.sha256).hexdigest()

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ErasureLogBroken(
                f"The erasure log {self._path} cannot be read ({error.strerror}); mend that, or name another place "
                "with ERASURE_LOG."
            ) from None

    def _salt(self) -> bytes:
        """Empty where there is no file yet."""
        lines = self._lines()
        if not lines:
            return b""
        try:
            return bytes.fromhex(json.loads(lines[0])["salt"])
        except (ValueError, KeyError, TypeError):
            raise ErasureLogBroken(
                f"The first line of the erasure log {self._path} is damaged, so nobody can tell what is to stay "
                "forgotten: put its backup in its place. Without one, move the file away; a store that is restored "
                "from a backup then holds again what was forgotten."
            ) from None

    def _begin(self) -> bytes:
        """Make the file with a new salt, whole or not at all; the salt of whoever was faster where somebody was."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _write_line(fd, {"salt": secrets.token_hex(32)})
            with suppress(FileExistsError):
                os.link(draft, self._path)
        finally:
            os.close(fd)
            os.unlink(draft)
        folder = os.open(self._path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return self._salt()

    def _write(self, erasure: Erasure) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND)
        try:
            size = os.fstat(fd).st_size
            if os.pread(fd, 1, size - 1) != b"\n":  # its last writer was killed in the middle
                os.write(fd, b"\n")
            fields = {"id": erasure.id, "kind": erasure.kind, "at": erasure.at.isoformat(), "hash": erasure.hash}
            _write_line(fd, {**fields, "tombstone": erasure.tombstone})
        finally:
            os.close(fd)


def _write_line(fd: int, fields: dict[str, str]) -> None:
    os.write(fd, json.dumps(fields).encode() + b"\n")
    os.fsync(fd)


class Erasures:
    """Forgets for good: the log first, then the store, then the server's files.

    Methods raise StoreUnavailable and ErasureLogBroken.
    """

    def __init__(self, erasure_log: ErasureLog, forgetting: Forgetting, tombstones: Tombstones, client: Client) -> None:
        self._log = erasure_log
        self._forgetting = forgetting
        self._tombstones = tombstones
        self._client = client
        self._rewriting = asyncio.Lock()
        self._asked = self._rewritten = 0

    async def write_down(self, target: Target) -> Erasure:
        """When this returns, `target` will be forgotten: now by `carry_out`, or at the next start."""
        return await asyncio.to_thread(self._log.append, target, self._tombstones.of(target))

    async def carry_out(self, erasure: Erasure, target: Target) -> Forgotten:
        """Forget what was written down; twice is once.

        The tombstone stands first: an answer that is begun again because of it reads nothing of it in Slack's thread.
        """
        await self._bury([erasure])
        forgotten = await self._forget(target)
        await self._tombstones.note_applied([erasure.id])
        log.info(
            "forgotten",
            kind=erasure.kind,
            conversations=forgotten.conversations,
            exchanges=forgotten.exchanges,
            waiting=forgotten.waiting,
            settings=forgotten.settings,
        )
        return forgotten

    async def rewrite_files(self) -> None:
        """Have the server's files written anew, once for all who ask meanwhile. Raises FilesNotRewritten."""
        self._asked += 1
        mine = self._asked
        async with self._rewriting:
            if self._rewritten < mine:
                covered = self._asked
                await rewrite_files(self._client)
                self._rewritten = covered

    async def replay(self) -> str | None:
        """Carry out what the store has not seen. Returns a sentence where the operator has something to do."""
        erasures, applied = await asyncio.to_thread(self._log.read), await self._tombstones.applied()
        pending = [erasure for erasure in erasures if erasure.id not in applied]
        if pending:
            await self._bury(pending)
            for erasure, target in self._log.matching(pending, await self._held()):
                await self.carry_out(erasure, target)
            await self._tombstones.note_applied([erasure.id for erasure in pending])
            log.warning("erasures_replayed", count=len(pending))
            try:
                await self.rewrite_files()
            except FilesNotRewritten as error:
                return str(error)
        if elsewhere := len(applied - {erasure.id for erasure in erasures}):
            return (
                f"The store has seen {elsewhere} erasure(s) that are not in this Dolly's erasure log. If the store is "
                "ever restored from a backup, what they took will be back: give all Dollies one log with ERASURE_LOG, "
                "or bring the old log here."
            )
        return None

    async def _bury(self, erasures: Sequence[Erasure]) -> None:
        buried = {erasure.tombstone: erasure.at.timestamp() for erasure in erasures if erasure.tombstone}
        await self._tombstones.put(buried)

    async def _forget(self, target: Target) -> Forgotten:
        if target.conversation and not target.user_id:
            return await self._forgetting.conversation(target.conversation)
        if target.user_id:
            return await self._forgetting.user(target.user_id, target.conversation)
        if target.channel_id:
            return await self._forgetting.channel(target.channel_id)
        return await self._forgetting.team()

    async def _held(self) -> list[Target]:
        """Whatever the store holds that could be forgotten."""
        targets = {Target(), *(Target(user_id=user_id) for user_id in await self._forgetting.people_with_settings())}
        for conversation in map(ConversationId.parse, await self._forgetting.conversations()):
            targets |= {Target(conversation), Target(channel_id=conversation.channel_id)}
            asked, quoted = await self._forgetting.people(conversation), await self._forgetting.quoted(conversation)
            for user_id in asked | quoted | await self._forgetting.rated(conversation):
                targets |= {Target(conversation, user_id=user_id), Target(user_id=user_id)}
        for name in await self._forgetting.exported():
            for user_id in people_of(name):
                where = ConversationId.parse(conversation_of(name))
                targets |= {Target(where, user_id=user_id), Target(user_id=user_id)}
        return list(targets)
