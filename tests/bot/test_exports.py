"""Feedback leaves the store where people agreed, without what is secret or personal: gathered, and as a file."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId
from bot.errors import NothingToLearn, RetrainKeyMissing
from bot.exports import Exports
from bot.feedback import Feedback, KeptFeedback, name_of, record_id
from bot.local.store import LocalStore
from bot.preferences import ChannelRules
from bot.redaction import Redaction
from bot.store.feedback import FeedbackStore
from bot.store.forgetting import Forgetting
from bot.store.layout import Layout, agree
from bot.store.preferences import PreferenceStore
from bot.store.retraining import Request, Retraining
from bot.store.sealing import Sealing
from tests.data_folder import store_of
from trainer.readers import Row, kind_of, record_of

ROOT = Path(__file__).resolve().parents[2]
LAYOUT, SEALING, KEY = Layout("T1/B1", 4), Sealing([bytes(range(32))]), bytes(range(1, 33))
ASHA, BEN, CHANDRA = "U0ASHA00001", "U0BEN000001", "U0CHANDRA01"
THREAD, SILENT, DIRECT = (ConversationId("T1", channel, "100.000100") for channel in ("C1", "C2", "D1"))
LIKED = Feedback("100.000100", ASHA, BEN, "up", "What is a loom?", "A frame.", "m1", "abc", True, 1.0)
DISLIKED = replace(LIKED, ts="100.000200", rating="down", at=2.0)
CORRECTED = replace(DISLIKED, ts="100.000300", correction="Ask <@U0CHANDRA01>, c@d.io: 4711.", comment="Hm.", at=3.0)
APPROVED = replace(CORRECTED, ts="100.000400", at=4.0).reviewed("approved", CHANDRA, edit="The code is 4711.")
REJECTED = replace(CORRECTED, ts="100.000500", at=5.0).reviewed("rejected", CHANDRA)
ALL = (LIKED, DISLIKED, CORRECTED, APPROVED, REJECTED)


class Kept:
    """A store with two channels, of which one agrees to training."""

    def __init__(self, client: Redis, layout: Layout = LAYOUT, sealing: Sealing = SEALING) -> None:
        self.store = FeedbackStore(client, layout, sealing)
        self.preferences = PreferenceStore(client, layout, sealing)
        self.exports = Exports(self.store, self.preferences, Redaction(), "You are Dolly. ")
        self.retraining = Retraining(client, layout.owner, KEY)

    async def waiting(self) -> list[KeptFeedback]:
        """The corrections that somebody has to review."""
        return [kept for kept in await self.exports.consenting() if kept.waits]

    async def fill(self, team: str = "T1") -> None:
        await self.preferences.set_channel("C1", ChannelRules(training_consent=True, system_prompt="Speak like Asha."))
        for feedback in ALL:
            await self.store.put(replace(THREAD, team_id=team), feedback)
        await self.store.put(replace(SILENT, team_id=team), APPROVED)
        await self.store.put(replace(THREAD, team_id=team), replace(APPROVED, rater_id=ASHA, consent=False))


@pytest.fixture
async def kept(redis: Redis) -> Kept:
    kept = Kept(redis)
    await kept.fill()
    return kept


async def test_a_line_is_what_the_trainer_reads_and_names_nobody(kept: Kept) -> None:
    export = await kept.exports.collect()
    lines = [json.loads(line) for line in export.lines.values()]
    assert [line["ts"] for line in lines] == [LIKED.ts, CORRECTED.ts, APPROVED.ts]
    assert lines[1] == {
        "id": record_id(name_of(THREAD, CORRECTED)),
        "conversation": "T1/C1/100.000100",
        "ts": "100.000300",
        "channel": "C1",
        "messages": [{"role": "system", "content": "You are Dolly."}, {"role": "user", "content": "What is a loom?"}],
        "answer": "A frame.",
        "rating": "down",
        "correction": "Ask [person], [e-mail]: 4711.",
        "correction_is_cut": False,
        "comment": "Hm.",
        "model": "m1",
        "prompt_hash": "abc",
        "consent": True,
        "at": 3.0,
        "review": {"state": "waiting", "neighbours": [], "paraphrases": []},
        "redacted": {"person": 1, "e-mail": 1},
    }
    assert (lines[2]["correction"], lines[2]["review"]["state"]) == ("The code is 4711.", "approved")
    for line in lines:
        assert kind_of(line) == "feedback"
        record = record_of(Row("feedback.jsonl", 1, line), "feedback", "feedback")
        assert record.messages[-1].content == (line["correction"] or line["answer"])
    assert not any(person in repr(lines) for person in (ASHA, BEN, CHANDRA, "Speak like"))


async def test_everything_is_counted(kept: Kept) -> None:
    export = await kept.exports.collect()
    assert (export.corrections, export.approved, export.liked, export.disliked) == (2, 1, 1, 1)
    assert (export.rejected, export.without_consent, export.corrected_by_others) == (1, 2, 0)
    assert export.redactions == {"person": 1, "e-mail": 1}
    everything = await kept.exports.collect("everything")
    assert [json.loads(line)["ts"] for line in everything.lines.values()] == [each.ts for each in ALL]
    approved = await kept.exports.collect("approved")
    assert [json.loads(line)["ts"] for line in approved.lines.values()] == [LIKED.ts, APPROVED.ts]


async def test_consent_counts_when_it_was_given_and_now(kept: Kept) -> None:
    assert {each.feedback.ts for each in await kept.waiting()} == {CORRECTED.ts}
    await kept.preferences.set_channel("C1", ChannelRules(training_consent=False))
    export = await kept.exports.collect("everything")
    assert (export.lines, export.without_consent) == ({}, len(ALL) + 2)
    assert await kept.waiting() == []


async def test_what_somebody_corrected_is_not_learned_from_who_liked_it(kept: Kept) -> None:
    await kept.store.put(THREAD, replace(LIKED, rater_id=CHANDRA, rating="down", correction="A frame to weave on."))
    export = await kept.exports.collect("approved")
    assert (export.liked, export.corrected_by_others) == (0, 1)
    assert [json.loads(line)["ts"] for line in export.lines.values()] == [APPROVED.ts]


async def test_neighbours_go_with_the_feedback_that_they_are_the_questions_of(kept: Kept) -> None:
    other = replace(LIKED, ts="100.000600", question="What is a spindle?")
    await kept.store.put(THREAD, other)
    names = (name_of(THREAD, other), name_of(SILENT, APPROVED))
    [seen] = await kept.waiting()
    given = {"neighbours": ("Ask a@b.io?",), "neighbour_names": names, "paraphrases": ("Looms?",)}
    assert await kept.store.review(seen, seen.feedback.reviewed("approved", CHANDRA, **given))  # type: ignore[arg-type]

    async def review() -> Any:
        return json.loads((await kept.exports.collect("approved")).lines[seen.name])["review"]

    said = {"state": "approved", "neighbours": ["Ask [e-mail]?", "What is a spindle?"], "paraphrases": ["Looms?"]}
    assert await review() == said, "and none of a channel that does not agree"
    await kept.store.withdraw(THREAD, other.ts, BEN)
    assert await review() == {**said, "neighbours": ["Ask [e-mail]?"]}


async def test_half_a_character_does_not_spoil_a_file(kept: Kept) -> None:
    await kept.store.put(THREAD, replace(LIKED, question="loom \ud83e?"))
    export = await kept.exports.collect()
    assert "loom ?" in "".join(export.lines.values())
    "".join(export.lines.values()).encode()


async def test_a_retrain_is_queued_with_what_is_approved(kept: Kept, redis: Redis) -> None:
    job_id, export = await kept.exports.retrain(kept.retraining, Request("retrain", ASHA))
    assert (export.approved, export.liked) == (1, 1)
    [job] = await kept.retraining.waiting()
    assert job.id == job_id
    names: Any = await kept.retraining.exported.names()
    assert names == {name_of(THREAD, LIKED), name_of(THREAD, APPROVED)}


async def withdraw(kept: Kept, _: Redis) -> None:
    await kept.store.withdraw(THREAD, APPROVED.ts, BEN)


async def forget(_: Kept, redis: Redis) -> None:
    await Forgetting(redis, LAYOUT, SEALING).user(BEN)


async def change(kept: Kept, _: Redis) -> None:
    await kept.store.put(THREAD, replace(APPROVED, correction="Else.").unreviewed())


async def take_consent_back(kept: Kept, _: Redis) -> None:
    await kept.preferences.set_channel("C1", ChannelRules())


@pytest.mark.parametrize("meanwhile", [withdraw, forget, change, take_consent_back])
async def test_what_is_taken_back_while_it_is_exported_is_not_in_it(
    kept: Kept, redis: Redis, meanwhile: Callable[[Kept, Redis], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = kept.retraining.prepare

    async def late(request: Request, lines: dict[str, str]) -> str:
        await meanwhile(kept, redis)
        return await prepare(request, lines)

    monkeypatch.setattr(kept.retraining, "prepare", late)
    await kept.exports.retrain(kept.retraining, Request("retrain", ASHA))
    assert name_of(THREAD, APPROVED) not in await kept.retraining.exported.names()
    withdrawn: Any = redis.smembers("retrain:withdrawn")
    assert record_id(name_of(THREAD, APPROVED)) in await withdrawn


async def test_what_cannot_be_learned_or_sealed_is_said(kept: Kept, redis: Redis) -> None:
    with pytest.raises(RetrainKeyMissing):
        await kept.exports.retrain(Retraining(redis, LAYOUT.owner, None), Request("retrain", ASHA))
    await kept.preferences.set_channel("C1", ChannelRules())
    with pytest.raises(NothingToLearn):
        await kept.exports.retrain(kept.retraining, Request("retrain", ASHA))
    assert [key async for key in redis.scan_iter(match="retrain:*")] == []


async def dolly_export(data: Path, *options: str, **settings: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(data), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "export-feedback", *options),
        cwd=data.parent,
        env=environment | {"DOLLY_DATA": str(data), "SYSTEM_PROMPT": "You are Dolly."} | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert b"Traceback" not in out + err
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_writes_a_file_while_dolly_runs_and_while_not(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "feedback.jsonl"
    out.write_text("what was there before")
    async with store_of(data) as (client, sealing):
        await agree(client, LAYOUT, sealing)
        await Kept(client, LAYOUT, sealing).fill()
        code, said, err = await dolly_export(data)
        assert (code, err) == (0, "")
        assert said.splitlines() == [
            "feedback.jsonl: 3 records.",
            "Corrections: 2 (1 approved, 1 to review). Liked answers: 1. Disliked without a correction: 1.",
            "Rejected by a reviewer: 1. Liked, and corrected by somebody else: 0. Without consent, and left out: 2.",
            "Redacted: e-mail 1, person 1.",
        ]
        withdrawn = await taken_back(client, sealing)
        assert withdrawn == {record_id(name_of(THREAD, APPROVED))}, "whoever looks for it in models finds it"
    written = out.read_text()
    assert [json.loads(line)["ts"] for line in written.splitlines()] == [LIKED.ts, CORRECTED.ts, APPROVED.ts]
    assert out.stat().st_mode & 0o777 == 0o600
    code, said, _ = await dolly_export(data, "--all", "--out", str(tmp_path / "all.jsonl"))
    assert (code, said.splitlines()[0]) == (0, f"{tmp_path / 'all.jsonl'}: 3 records.")
    assert sorted(os.listdir(tmp_path)) == ["all.jsonl", "data", "feedback.jsonl"], "no drafts"


async def taken_back(client: Redis, sealing: Sealing) -> set[str]:
    """What is known as withdrawn once an exported and another piece of feedback were."""
    store = FeedbackStore(client, LAYOUT, sealing)
    assert await store.withdraw(THREAD, APPROVED.ts, BEN)
    assert await store.withdraw(THREAD, REJECTED.ts, BEN)
    reading: Any = client.smembers("retrain:withdrawn")
    return set(await reading)


async def test_of_several_teams_one_must_be_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with store_of(data) as (client, sealing):
        for layout in (LAYOUT, Layout("T2/B1")):
            await agree(client, layout, sealing)
            await Kept(client, layout, sealing).fill(layout.owner[:2])
        code, out, err = await dolly_export(data)
        assert (code, out) == (1, "")
        assert "--team; the store holds those of T1/B1, T2/B1." in err
        assert (await dolly_export(data, "--team", "T2"))[0] == 0
    assert '"T2/C1/100.000100"' in (tmp_path / "feedback.jsonl").read_text()


async def test_what_cannot_be_done_is_a_sentence(tmp_path: Path, redis: Redis, local_store: LocalStore) -> None:
    data, key = tmp_path / "data", base64.b64encode(bytes(range(32))).decode()
    code, _, err = await dolly_export(data)
    assert (code, "There is no store in" in err) == (1, True)
    environment = {"REDIS_URL": local_store.url, "DOLLY_MEMORY_KEY": key}
    await agree(redis, LAYOUT, SEALING)
    code, _, err = await dolly_export(data, "--out", str(tmp_path / "no" / "such.jsonl"), **environment)
    assert (code, "cannot be written (No such file or directory)" in err) == (1, True)
    code, _, err = await dolly_export(data, REDACT_NAMES="1", **environment)
    assert (code, "pip install .[presidio]" in err) == (1, True)
    other = base64.b64encode(bytes(32)).decode()
    code, _, err = await dolly_export(data, **environment | {"DOLLY_MEMORY_KEY": other})
    assert (code, "key that is not in DOLLY_MEMORY_KEY" in err) == (1, True)
    assert not any(name.endswith(".jsonl") for name in os.listdir(tmp_path))
