"""The audit log: a line for each turn, whoever writes it, and nothing that was said."""

import json
import os
from pathlib import Path

import pytest

from bot.audit import AuditLog
from bot.conversation import ConversationId, Turn
from bot.errors import LocalPartError

TURN = Turn(ConversationId("T0TEAM0001", "C0GENERAL1", "100.000100"), ts="100.000200", user_id="U1", text="pineapple")
OTHER = Turn(ConversationId("T0TEAM0001", "C0RANDOM01", "100.000100"), ts="100.000300", user_id="U2", text="pineapple")


def test_each_turn_has_a_line_and_a_thread_is_found_together(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.jsonl"
    audit, replica = AuditLog(path), AuditLog(path)
    audit.turn_ended(TURN, "answered", model="team/dolly", tokens=412)
    replica.turn_ended(TURN, "refused", reason="questions")
    audit.turn_ended(OTHER, "apologised", reason="engine_slow")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["user"], line["decision"], line["reason"], line["tokens"]) for line in lines] == [
        ("U1", "answered", "", 412),
        ("U1", "refused", "questions", 0),
        ("U2", "apologised", "engine_slow", 0),
    ]
    first, second, other = (line["conversation"] for line in lines)
    assert first == second != other


def test_it_holds_no_text_and_no_place_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    AuditLog(path).turn_ended(TURN, "answered", model="team/dolly", tokens=412)
    written = path.read_text()
    assert "team/dolly" in written
    for hidden in ("pineapple", "C0GENERAL1", "T0TEAM0001", "100.0001", "100.0002"):
        assert hidden not in written
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_rotated_file_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path)
    audit.turn_ended(TURN, "answered")
    path.rename(tmp_path / "audit.jsonl.1")
    audit.turn_ended(OTHER, "answered")
    assert [len(file.read_text().splitlines()) for file in (path, tmp_path / "audit.jsonl.1")] == [1, 1]


def test_a_place_that_cannot_be_written_is_a_sentence_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalPartError, match="AUDIT_LOG"):
        AuditLog(tmp_path / "file" / "audit.jsonl")
    with pytest.raises(LocalPartError, match="AUDIT_LOG"):
        AuditLog(tmp_path)


def test_a_disk_that_fails_later_stops_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    audit.turn_ended(TURN, "answered")


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    AuditLog(None).turn_ended(TURN, "answered")
    assert list(tmp_path.iterdir()) == []
