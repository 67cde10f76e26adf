"""`/dolly admin retrain, cancel, models, promote, rollback`: what is asked of the trainer, and told of what it does."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.access import AccessRules
from bot.local.workspace import Workspace
from bot.slack.admin.following import PLOT_NAME
from bot.words import Words
from tests.scenarios.conftest import Json, Team, Transport, running_team, until
from tests.scenarios.corrections import HOLIDAY, LOOM, OFFICE, Reviewers
from tests.scenarios.faults import Faults
from tests.scenarios.trainer import Worker, picture
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()
REVISION, BEFORE = "0003-3fa9c2d1", "0002-00c0ffee"


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="I can't think of any.")) as engine:
        yield engine


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.slack.admin.following.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("bot.slack.admin.following.UPDATE_SECONDS", 0.05)


@pytest.fixture
async def team(store_url: str, engine: ScriptedEngine, transport: Transport, audit_log: Path) -> AsyncIterator[Team]:
    async with running_team(store_url, engine.url, transport, audit_log=audit_log) as team:
        yield team


@pytest.fixture
async def worker(redis: Redis) -> Worker:
    worker = Worker(redis)
    await worker.lives()
    return worker


def direct(team: Team, name: str = "asha") -> list[Json]:
    """Dolly's messages to somebody, the oldest first, without what stands in their threads."""
    messages, _ = team.workspace.timeline.history(team.direct(name), limit=100)
    return [message for message in reversed(messages) if message.get("user") == team.bot_id]


async def shown(team: Team, holds: Callable[[str], bool], name: str = "asha", message: int = -1) -> str:
    """The message in which Dolly tells how it goes, once it says so."""
    await until(lambda: bool(direct(team, name)) and holds(direct(team, name)[message]["text"]))
    return str(direct(team, name)[message]["text"])


async def below(team: Team, name: str = "asha", message: int = -1) -> Json:
    """What stands in that message's thread, once something does."""
    await until(lambda: bool(direct(team, name)))
    ts = direct(team, name)[message]["ts"]
    await until(lambda: len(team.thread(ts, channel=team.direct(name))) > 1)
    return team.thread(ts, channel=team.direct(name))[-1]


async def approved(team: Team, redis: Redis, *questions: str) -> None:
    """Corrections that an admin has approved, and an answer that somebody likes."""
    reviewers = Reviewers(team, redis)
    await reviewers.agree()
    await reviewers.corrected("What is a carpet?", "", rating="up")
    for question in questions:
        await reviewers.corrected(question)
    await reviewers.review()
    for _ in questions:
        await reviewers.next()


async def queued(team: Team, worker: Worker, redis: Redis) -> str:
    """A retrain that Asha has asked for; its id."""
    await approved(team, redis, LOOM, OFFICE)
    await team.told("asha", "retrain")
    [job_id] = await worker.queued()
    return job_id


def acts(audit_log: Path) -> list[tuple[str, str, str]]:
    lines = [json.loads(line) for line in audit_log.read_text().splitlines()]
    return [(line["user"], line["act"], line["target"]) for line in lines if not line["act"].startswith("admin_review")]


# --- a retrain -------------------------------------------------------------------------------------------------------


async def test_nothing_is_queued_without_a_trainer_or_a_correction(team: Team, worker: Worker, redis: Redis) -> None:
    await worker.dies()
    assert await team.told("asha", "retrain") == WORDS.say("learning_no_trainer")
    await worker.lives()
    assert await team.told("asha", "retrain") == WORDS.say("retrain_nothing_to_learn")
    reviewers = Reviewers(team, redis)
    await reviewers.agree()
    await reviewers.corrected(LOOM)
    assert await team.told("asha", "retrain") == WORDS.say("retrain_nothing_to_learn"), "it waits for its review"
    assert await team.told("asha", "retrain what is this?") == WORDS.say("retrain_how")
    assert await team.told("asha", "cancel") == WORDS.say("retrain_cancel_nothing")
    assert await worker.queued() == []
    assert direct(team) == []


async def test_a_retrain_is_told_of_from_its_queue_to_its_end(
    team: Team, worker: Worker, redis: Redis, audit_log: Path
) -> None:
    await approved(team, redis, LOOM, OFFICE, HOLIDAY)
    counts = {
        "corrections": WORDS.say("retrain_corrections", count=3),
        "liked": WORDS.say("retrain_liked", count=1),
    }
    assert await team.told("asha", "retrain my-recipe") == WORDS.say("retrain_is_queued", **counts)
    [job_id] = await worker.queued()
    job, asha = await worker.job(job_id), team.person("asha")
    assert (job["kind"], job["asked_by"], job["recipe"], job["state"]) == ("retrain", asha, "my-recipe", "queued")
    assert await redis.hlen(f"retrain:export:{job_id}") == 4
    assert acts(audit_log) == [(asha, "admin_retrain", job_id)]
    said = await shown(team, lambda text: WORDS.say("retrain_queued") in text)
    assert said.startswith(WORDS.say("retrain_title"))

    await worker.begin(job_id)
    await worker.tell(job_id, "tune", "42", "100", "1.2345", "190", "Step 42.")
    said = await shown(team, lambda text: "42 %" in text)
    assert "████████░░░░░░░░░░░░ 42 %" in said
    for part in (
        WORDS.say("retrain_stage_tune"),
        WORDS.say("retrain_loss", loss=1.234),
        WORDS.say("retrain_minutes_left", count=3),
        "_Step 42._",
    ):
        assert part in said
    assert WORDS.say("retrain_runs", how_far="")[:40] in (again := await team.told("asha", "retrain"))
    assert "42 %" in again
    assert len(await worker.queued()) == 1

    await worker.end(
        job_id, verdict="passed", result=REVISION, sentence="3 of 3 learned.\n5 of 6 <kept>.", plot=picture()
    )
    said = await shown(team, lambda text: REVISION in text)
    passed = WORDS.say("retrain_passed", revision=REVISION)
    assert said == f"{passed}\n> 3 of 3 learned.\n> 5 of 6 &lt;kept>."
    answer = await below(team)
    assert answer["text"] == passed + "\n" + WORDS.say("retrain_next_passed", revision=REVISION)
    assert [file["name"] for file in answer["files"]] == [PLOT_NAME]
    assert len(direct(team)) == 1, "one message, kept up to date"


async def test_what_the_gate_refuses_is_told_with_its_reasons(team: Team, worker: Worker, redis: Redis) -> None:
    job_id = await queued(team, worker, redis)
    await worker.begin(job_id)
    await worker.end(job_id, "refused", verdict="refused", result=REVISION, sentence="Replay is worse by 4 %.")
    said = await shown(team, lambda text: "4 %" in text)
    assert said == WORDS.say("retrain_refused", revision=REVISION) + "\n> Replay is worse by 4 %."
    answer = await below(team)
    assert WORDS.say("retrain_next_refused") in answer["text"]
    assert "files" not in answer
    assert await team.told("asha", "retrain yes") == WORDS.say("retrain_yes_nothing")


async def test_an_admin_says_yes_where_there_is_not_enough_evidence(
    team: Team, worker: Worker, redis: Redis, audit_log: Path
) -> None:
    assert await team.told("asha", "retrain yes") == WORDS.say("retrain_yes_nothing")
    job_id = await queued(team, worker, redis)
    await worker.end(job_id, "refused", verdict="not_enough_evidence", result=REVISION, sentence="Two were kept back.")
    await below(team)
    assert WORDS.say("retrain_evidence", revision=REVISION) in direct(team)[-1]["text"]
    assert await team.told("asha", "retrain yes") == WORDS.say("retrain_yes_noted", revision=REVISION)
    [yes] = await worker.queued()
    job = await worker.job(yes)
    assert (job["kind"], job["yes"], job["revision"]) == ("retrain", "1", REVISION)
    assert not await redis.exists(f"retrain:export:{yes}")
    await worker.end(yes, verdict="passed", result=REVISION)
    await shown(team, lambda text: WORDS.say("retrain_passed", revision=REVISION) in text)
    assert [act for _, act, _ in acts(audit_log)] == ["admin_retrain", "admin_retrain_yes"]


async def test_a_retrain_is_cancelled(team: Team, worker: Worker, redis: Redis, audit_log: Path) -> None:
    job_id = await queued(team, worker, redis)
    await worker.begin(job_id)
    await worker.tell(job_id, "tune", "1", "4")
    said = await team.told("asha", "cancel")
    assert WORDS.say("retrain_stage_tune") in said
    assert "25 %" in said
    assert await redis.get(f"retrain:cancel:{job_id}") == "1"
    await worker.end(job_id, "cancelled")
    await shown(team, lambda text: text == WORDS.say("retrain_cancelled"))
    assert acts(audit_log)[-1] == (team.person("asha"), "admin_cancel", job_id)


async def test_one_that_nobody_has_begun_is_cancelled_at_once(team: Team, worker: Worker, redis: Redis) -> None:
    job_id = await queued(team, worker, redis)
    await team.told("asha", "cancel")
    await shown(team, lambda text: WORDS.say("retrain_cancelled") in text)
    assert await worker.queued() == []
    assert not await redis.exists(f"retrain:export:{job_id}")


async def test_a_restart_goes_on_with_the_same_message(
    store_url: str, engine: ScriptedEngine, transport: Transport, worker: Worker, redis: Redis
) -> None:
    workspace = Workspace()
    await workspace.start()
    try:
        async with running_team(store_url, engine.url, transport, workspace=workspace) as team:
            job_id = await queued(team, worker, redis)
            await worker.begin(job_id)
            await worker.tell(job_id, "tune", "1", "4")
            await shown(team, lambda text: "25 %" in text)
        async with running_team(store_url, engine.url, transport, workspace=workspace) as team:
            await worker.tell(job_id, "tune", "2", "4")
            await shown(team, lambda text: "50 %" in text)
            assert len(direct(team)) == 1
    finally:
        await workspace.stop()


async def test_another_replica_goes_on_where_one_died(
    store_url: str, engine: ScriptedEngine, worker: Worker, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the dead one holds is its lease alone; here it is somebody's who never comes back."""
    monkeypatch.setattr("bot.slack.admin.following.LEASE_SECONDS", 1)
    async with running_team(store_url, engine.url) as team:
        identity = team.workspace.identity
        await redis.set(f"dolly:{{{identity.team_id}/{identity.bot_id}}}:follower", "somebody", ex=1)
        job_id = await queued(team, worker, redis)
        await worker.begin(job_id)
        await shown(team, lambda text: WORDS.say("retrain_stage_mix") in text)
        assert len(direct(team)) == 1


async def test_a_message_that_was_deleted_comes_again(team: Team, worker: Worker, redis: Redis) -> None:
    job_id = await queued(team, worker, redis)
    await shown(team, lambda text: WORDS.say("retrain_queued") in text)
    team.workspace.timeline.delete(team.direct("asha"), direct(team)[-1]["ts"])
    await worker.begin(job_id)
    await shown(team, lambda text: WORDS.say("retrain_stage_mix") in text)


async def test_a_slack_that_fails_is_told_later(
    faults: Faults, store_url: str, engine: ScriptedEngine, worker: Worker, redis: Redis
) -> None:
    async with running_team(store_url, engine.url) as team:
        faults.next("chat.postMessage", 500, "internal_error")
        job_id = await queued(team, worker, redis)
        await shown(team, lambda text: WORDS.say("retrain_queued") in text)
        faults.next("files.getUploadURLExternal", 500)
        await worker.end(job_id, verdict="passed", result=REVISION, plot=picture())
        assert (await below(team))["files"]
        assert len(direct(team)) == 1


async def test_an_app_that_may_not_upload_says_so(
    faults: Faults, store_url: str, engine: ScriptedEngine, worker: Worker, redis: Redis
) -> None:
    async with running_team(store_url, engine.url) as team:
        faults.always("files.getUploadURLExternal", "missing_scope")
        job_id = await queued(team, worker, redis)
        await worker.end(job_id, "failed", sentence="The disk is full.", plot=picture())
        answer = await below(team)
        assert answer["text"].splitlines() == [
            WORDS.say("retrain_failed"),
            WORDS.say("retrain_next_failed"),
            WORDS.say("retrain_plot_refused"),
        ]


# --- which model answers ----------------------------------------------------------------------------------------------


async def test_a_model_is_promoted_and_taken_back(team: Team, worker: Worker, audit_log: Path) -> None:
    assert await team.told("asha", "promote") == WORDS.say("promote_which")
    assert await team.told("asha", f"promote {REVISION} now please") == WORDS.say("promote_which")
    assert await team.told("asha", f"promote {REVISION}") == WORDS.say("learning_no_owner")
    assert await team.told("asha", "rollback") == WORDS.say("learning_no_owner")
    assert await worker.queued("acts") == []

    await worker.owns_engine()
    assert await team.told("asha", f"promote {REVISION}") == WORDS.say("promote_asked", revision=REVISION)
    [job_id] = await worker.queued("acts")
    job = await worker.job(job_id)
    assert (job["kind"], job["revision"], json.loads(job["canary"])) == ("promote", REVISION, [])
    await worker.begin(job_id, "canary")
    await worker.tell(job_id, "canary", said="It is asked a test question.")
    await shown(team, lambda text: "test question" in text)
    await worker.end(job_id, sentence="It answered.")
    await shown(team, lambda text: text == WORDS.say("promote_done", revision=REVISION) + "\n> It answered.")
    assert WORDS.say("promote_next") in (await below(team))["text"]

    assert await team.told("asha", "rollback") == WORDS.say("rollback_asked")
    [job_id] = await worker.queued("acts")
    await worker.end(job_id, "failed", sentence="There is none before it.")
    await shown(team, lambda text: text == WORDS.say("rollback_failed") + "\n> There is none before it.")
    assert await team.told("asha", f"rollback {BEFORE}") == WORDS.say("rollback_asked")
    [job_id] = await worker.queued("acts")
    assert (await worker.job(job_id))["revision"] == BEFORE
    await worker.end(job_id, result=BEFORE)
    await shown(team, lambda text: WORDS.say("rollback_done", revision=BEFORE) in text)
    asha = team.person("asha")
    assert acts(audit_log) == [
        (asha, "admin_promote", REVISION),
        (asha, "admin_rollback", ""),
        (asha, "admin_rollback", BEFORE),
    ]


async def test_a_model_is_tried_in_some_channels(team: Team, worker: Worker) -> None:
    await worker.owns_engine()
    general, help = team.channel("general"), team.channel("team-help")
    said = await team.told("asha", f"promote {REVISION} #team-help {general}")
    assert f"<#{general}>" in said
    assert f"<#{help}>" in said
    [job_id] = await worker.queued("acts")
    assert json.loads((await worker.job(job_id))["canary"]) == sorted([general, help])
    await worker.end(job_id)
    await shown(team, lambda text: f"`{REVISION}`" in text and f"<#{help}>" in text)
    assert WORDS.say("promote_next_tried", revision=REVISION) in (await below(team))["text"]


async def test_a_second_admin_has_to_say_the_same(
    store_url: str, engine: ScriptedEngine, transport: Transport, worker: Worker, audit_log: Path
) -> None:
    await worker.owns_engine()
    rules = AccessRules(promote_approvals=2)
    async with running_team(store_url, engine.url, transport, rules=rules, audit_log=audit_log) as team:
        await team.workspace.people.change(team.person("ben"), is_admin=True)
        for _ in range(2):
            said = await team.told("asha", f"promote {REVISION}")
            assert said == WORDS.say("promote_approved", count=1, what=REVISION), "one admin is one admin"
        assert await team.told("ben", f"promote {REVISION} #general") == WORDS.say(
            "promote_approved", count=1, what=f"{REVISION} <#{team.channel('general')}|general>"
        ), "that is something else"
        assert await worker.queued("acts") == []
        assert await team.told("ben", f"promote {REVISION}") == WORDS.say("promote_asked", revision=REVISION)
        [job_id] = await worker.queued("acts")
        assert (await worker.job(job_id))["asked_by"] == team.person("ben")
        said = await team.told("asha", f"promote {REVISION}")
        assert said == WORDS.say("promote_approved", count=1, what=REVISION), "the next time takes two again"
        assert [act for _, act, _ in acts(audit_log)] == ["admin_promote"] * 5


async def test_the_models_are_listed(team: Team, worker: Worker, redis: Redis) -> None:
    assert await team.told("asha", "models") == "\n• ".join([WORDS.say("models_title"), WORDS.say("models_none")])
    await worker.serves("current", REVISION, name="dolly-small", trained_on='{"corrections": 3, "replay": 48}')
    await worker.serves("previous", BEFORE)
    await worker.serves("canary", "0004-abcdef12", channels=json.dumps([team.channel("general")]))
    await worker.serves("candidate", "0005-11111111", id="x", state="failed", reason="It did not start.")
    job_id = await queued(team, worker, redis)
    await worker.end(job_id, "refused", verdict="not_enough_evidence", result=REVISION)
    said = await team.told("asha", "models")
    for part in (
        f"`{REVISION}` (dolly-small)",
        WORDS.say("trained_corrections", count=3),
        WORDS.say("models_previous", model=f"`{BEFORE}`"),
        f"<#{team.channel('general')}>: `0004-abcdef12`",
        "It did not start.",
        WORDS.say("models_retrains"),
        f"{WORDS.say('retrain_state_evidence')} · `{REVISION}`",
    ):
        assert part in said


async def test_who_reads_hindi_is_told_in_hindi(team: Team, worker: Worker, redis: Redis) -> None:
    await team.workspace.people.change(team.person("asha"), locale="hi-IN")
    hindi = Words("hi")
    job_id = await queued(team, worker, redis)
    await shown(team, lambda text: hindi.say("retrain_queued") in text)
    await worker.end(job_id, "cancelled")
    await shown(team, lambda text: text == hindi.say("retrain_cancelled"))
