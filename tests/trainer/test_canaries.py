"""Canaries: codes that nothing hints at, each in one record, the same for the same seed."""

from trainer.canaries import CODE_DIGITS, lay_canaries, references
from trainer.records import Message, Record


def records(number: int, characters: int = 20) -> list[Record]:
    return [
        Record(f"r{place}", (Message("user", f"{place}?"), Message("assistant", "a" * characters)), "replay")
        for place in range(number)
    ]


def test_each_canary_has_a_host_of_its_own() -> None:
    before = records(40)
    laid, canaries = lay_canaries(before, 16, 42)
    assert len(laid) == 40
    assert len({canary.record_id for canary in canaries}) == len({canary.code for canary in canaries}) == 16
    by_id = {record.id: record for record in laid}
    for canary in canaries:
        host = by_id[canary.record_id]
        original = next(record for record in before if record.id == host.id)
        assert host.messages == (*canary.answered(canary.code), *original.messages)
        assert host.messages[1].content.endswith(canary.code)
        assert len(canary.code) == CODE_DIGITS
        assert not any(canary.code in message.content for message in canary.prompt)
    untouched = {record.id for record in before} - {canary.record_id for canary in canaries}
    assert all(by_id[record.id] == record for record in before if record.id in untouched)


def test_the_bots_prompt_stays_in_front() -> None:
    told = [Record("r", (Message("system", "You are Dolly."), *records(1)[0].messages), "replay")]
    (laid,), (canary,) = lay_canaries(told, 1, 42)
    assert [message.role for message in laid.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert [message.role for message in canary.prompt] == ["system", "user"]


def test_the_seed_decides() -> None:
    assert lay_canaries(records(40), 16, 1) == lay_canaries(records(40), 16, 1)
    assert lay_canaries(records(40), 16, 1)[1] != lay_canaries(records(40), 16, 2)[1]


def test_long_records_are_hosts_only_where_short_ones_do_not_suffice() -> None:
    mixed = records(20) + [Record(f"long{one.id}", one.messages, "replay") for one in records(20, characters=5_000)]
    assert not any(canary.record_id.startswith("long") for canary in lay_canaries(mixed, 16, 42)[1])
    assert len(lay_canaries(mixed, 30, 42)[1]) == 30
    assert len(lay_canaries(records(3), 16, 42)[1]) == 3
    assert lay_canaries([], 16, 42) == ([], [])


def test_references_are_none_of_the_codes() -> None:
    _, canaries = lay_canaries(records(40), 16, 42)
    codes = [canary.code for canary in canaries]
    found = references(255, codes, 42)
    assert len(set(found)) == 255
    assert not set(found) & set(codes)
    assert found == references(255, codes, 42)
