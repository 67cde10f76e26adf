"""What is stored is opened by those who have its key and name its conversation, and by nobody else."""

import base64
import stat
import threading
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import LocalPartError, SealBroken
from bot.store.sealing import Sealing, own_key

OLD, NEW, OTHER = (bytes([number]) * 32 for number in range(3))
THREAD, OTHER_THREAD = "T1/C1/100.000100", "T1/C1/100.000200"
TEXT = "a phrase that nobody may find"

any_text = st.text(st.characters(exclude_categories=()))
"""Halves of characters too, as broken clients send them."""


@given(any_text, st.sampled_from([(), (NEW,), (NEW, OLD)]))
def test_what_was_sealed_opens_as_it_was(text: str, keys: tuple[bytes, ...]) -> None:
    sealing = Sealing(keys)
    assert sealing.open(THREAD, sealing.seal(THREAD, text)) == text


def test_what_is_stored_holds_nothing_readable_and_never_looks_the_same() -> None:
    sealing = Sealing([NEW])
    sealed = [sealing.seal(THREAD, TEXT) for _ in range(1_000)]
    assert len(set(sealed)) == len(sealed)
    for stored in sealed:
        raw = base64.b64decode(stored.rpartition(".")[2])
        assert not any(word.encode() in raw or word in stored for word in TEXT.split() if len(word) > 4)
        assert NEW.hex()[:8] not in stored


def test_a_text_opens_in_its_own_conversation_only() -> None:
    sealing = Sealing([NEW])
    sealed = sealing.seal(THREAD, TEXT)
    assert sealing.open(THREAD, sealed) == TEXT
    with pytest.raises(SealBroken, match="another conversation"):
        sealing.open(OTHER_THREAD, sealed)


def test_the_newest_key_seals_and_all_open() -> None:
    old, rotating, new = Sealing([OLD]), Sealing([NEW, OLD]), Sealing([NEW])
    assert rotating.open(THREAD, old.seal(THREAD, TEXT)) == TEXT
    assert new.open(THREAD, rotating.seal(THREAD, TEXT)) == TEXT
    with pytest.raises(SealBroken, match="add it there"):
        new.open(THREAD, old.seal(THREAD, TEXT))
    with pytest.raises(SealBroken, match="add it there"):
        Sealing([OTHER]).open(THREAD, rotating.seal(THREAD, TEXT))


def test_without_a_key_texts_are_plain_and_stay_readable_when_there_is_one() -> None:
    plain, sealing = Sealing([]), Sealing([NEW])
    stored = plain.seal(THREAD, TEXT)
    assert TEXT in stored
    assert stored != TEXT, "marked, so that no text can pass for a sealed one"
    assert sealing.open(THREAD, stored) == TEXT
    with pytest.raises(SealBroken, match="DOLLY_MEMORY_KEY is not set"):
        plain.open(THREAD, sealing.seal(THREAD, TEXT))
    pretended = sealing.seal(THREAD, TEXT)
    assert sealing.open(THREAD, plain.seal(THREAD, pretended)) == pretended


@cache
def sealed_once() -> str:
    """The same for every example: Hypothesis repeats one, and is to draw from the same."""
    return Sealing([NEW]).seal(THREAD, TEXT)


@given(st.data())
def test_a_damaged_text_does_not_open(data: st.DataObject) -> None:
    sealing, sealed = Sealing([NEW]), sealed_once()
    body = sealed.rindex(".") + 1
    place = data.draw(st.integers(body, len(sealed) - 3))
    other = data.draw(st.sampled_from("ABCxyz019+/").filter(lambda letter: letter != sealed[place]))
    with pytest.raises(SealBroken) as broken:
        sealing.open(THREAD, sealed[:place] + other + sealed[place + 1 :])
    assert TEXT not in str(broken.value)


@pytest.mark.parametrize("stored", ["", "1", "1.", "1..", "2.abc", TEXT, "ä.ö", "1.{id}.", "1.{id}.AAAA", "1.{id}.ä=="])
def test_what_was_never_sealed_does_not_open_and_is_not_quoted(stored: str) -> None:
    sealing = Sealing([NEW])
    key_id = sealing.seal(THREAD, TEXT).split(".")[1]
    with pytest.raises(SealBroken) as broken:
        sealing.open(THREAD, stored.replace("{id}", key_id))
    assert TEXT not in str(broken.value)


def test_the_key_of_one_machine_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "memory.key"
    key = own_key(path)
    assert len(key) == 32
    assert key == own_key(path)
    assert key != own_key(tmp_path / "other.key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_starts_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path, keys, together = tmp_path / "memory.key", [], threading.Barrier(16)

    def start() -> None:
        together.wait()
        keys.append(own_key(path))

    threads = [threading.Thread(target=start) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 16
    assert len(set(keys)) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "AAAA", "AAA", "not base64 at all, and long enough to be a key, maybe"])
def test_a_damaged_key_file_is_said_and_never_written_over(tmp_path: Path, content: str) -> None:
    path = tmp_path / "memory.key"
    path.write_text(content)
    with pytest.raises(LocalPartError, match=r"memory\.key.*damaged"):
        own_key(path)
    assert path.read_text() == content


def test_a_key_file_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalPartError, match="cannot be used"):
        own_key(tmp_path / "file" / "memory.key")
