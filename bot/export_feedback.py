"""`dolly export-feedback`: what people thought of answers as a file to train with, where they agreed to that."""

import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bot.errors import ExportNotWritten
from bot.exports import Export, Exports, Learned
from bot.redaction import Redaction
from bot.store.connection import connect
from bot.store.exported import Exported
from bot.store.feedback import FeedbackStore
from bot.store.layout import check, layout_of
from bot.store.preferences import PreferenceStore
from bot.store.sealing import Sealing


async def export_feedback(
    url: str,
    out: Path,
    *,
    cluster: bool,
    memory_keys: Sequence[bytes],
    team: str | None,
    learned: Learned,
    redaction: Redaction,
    system_prompt: str,
    tell: Callable[[str], None],
) -> None:
    """Write the file `out`, whole or not at all, for its owner alone; tell what is in it and what was left out.

    Needs no Slack. The store notes what was exported, so that what is withdrawn later can be found in models. Raises
    DollyError with a sentence.
    """
    client = connect(url, cluster=cluster)
    try:
        layout, sealing = await layout_of(client, team), Sealing(memory_keys)
        await check(client, layout, sealing)
        feedback, preferences = FeedbackStore(client, layout, sealing), PreferenceStore(client, layout, sealing)
        exports, exported = Exports(feedback, preferences, redaction, system_prompt), Exported(client)
        export = await exports.collect(learned)
        await exported.note_given(export.lines)
        gone = await exports.gone_since(export)
        await exported.note_withdrawn(gone)
    finally:
        await client.aclose()
    export.lines = {name: line for name, line in export.lines.items() if name not in gone}
    _write(out, export.lines.values())
    for sentence in _sentences(out, export):
        tell(sentence)


def _write(out: Path, lines: Iterable[str]) -> None:
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(out)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ExportNotWritten(f"{out} cannot be written ({error.strerror}); name another file with --out.") from None


def _sentences(out: Path, export: Export) -> list[str]:
    waiting = export.corrections - export.approved
    said = [
        f"{out}: {_count(len(export.lines), 'record')}.",
        f"Corrections: {export.corrections} ({export.approved} approved, {waiting} to review). "
        f"Liked answers: {export.liked}. Disliked without a correction: {export.disliked}.",
        f"Rejected by a reviewer: {export.rejected}. Liked, and corrected by somebody else: "
        f"{export.corrected_by_others}. Without consent, and left out: {export.without_consent}.",
    ]
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(export.redactions.items()))
    return [*said, f"Redacted: {kinds}." if kinds else "Nothing was redacted."]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
