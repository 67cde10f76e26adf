"""`/dolly admin review`: an admin walks through corrections; only what is approved may train a model."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.feedback import CORRECTION_CHARACTERS
from bot.words import Words
from tests.scenarios.conftest import Json, Team, Transport, running_team, until
from tests.scenarios.corrections import HOLIDAY, LOOM, NEVER_ASKED, OFFICE, Reviewers, boxes, texts, ticks
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="I can't think of any.")) as engine:
        yield engine


@pytest.fixture
async def team(store_url: str, engine: ScriptedEngine, transport: Transport, audit_log: Path) -> AsyncIterator[Team]:
    async with running_team(store_url, engine.url, transport, audit_log=audit_log) as team:
        yield team


@pytest.fixture
async def reviewers(team: Team, redis: Redis) -> Reviewers:
    reviewers = Reviewers(team, redis)
    await reviewers.agree()
    return reviewers


def acts(audit_log: Path) -> list[str]:
    """What the audit log says was done, which quotes nothing."""
    assert "loom" not in audit_log.read_text()
    return [json.loads(line)["act"] for line in audit_log.read_text().splitlines()]


def summary(**counts: int) -> str:
    return WORDS.say("review_summary", **{"approved": 0, "rejected": 0, "skipped": 0, **counts})


async def test_an_admin_walks_through_the_corrections(team: Team, reviewers: Reviewers, audit_log: Path) -> None:
    loom, office = await reviewers.corrected(LOOM, "A frame."), await reviewers.corrected(OFFICE, "At eight.")
    holiday = await reviewers.corrected(HOLIDAY, "Asha does.", comment="Since May.")

    view = await reviewers.review()
    assert any(text.startswith("1 of 3") for text in texts(view))
    assert {HOLIDAY, "I don't know.", "Since May."} <= set(texts(view)), "the newest comes first"
    assert boxes(view)["correction"] == "Asha does."
    neighbours = f"{NEVER_ASKED}\n\n{OFFICE}\n{HOLIDAY.lower()}\n"
    answers: Json = {"correction": "Asha approves it.", "neighbours": neighbours}
    view = await reviewers.next(**answers, paraphrases="Who says yes to leave?")
    assert any(text.startswith("2 of 3") for text in texts(view))
    assert OFFICE in texts(view)
    assert boxes(view)["correction"] == "At eight.", "the box is this one's, whatever stood in it before"
    view = await reviewers.next(decision="reject")
    assert LOOM in texts(view)
    view = await reviewers.next(decision="skip")
    assert texts(view) == [summary(approved=1, rejected=1, skipped=1)]

    kept = await reviewers.kept(holiday)
    asha = team.person("asha")
    assert (kept.review, kept.reviewer_id, kept.edit, kept.lesson) == ("approved", asha, *["Asha approves it."] * 2)
    assert kept.neighbours == (NEVER_ASKED,)
    assert [name.split("/")[3] for name in kept.neighbour_names] == [office.ts], "a rated question goes with its rating"
    assert kept.paraphrases == ("Who says yes to leave?",)
    assert ((await reviewers.kept(office)).review, (await reviewers.kept(loom)).review) == ("rejected", "")

    assert acts(audit_log) == ["admin_review", "admin_review_approve", "admin_review_reject"]
    view = await reviewers.review()
    assert any(text.startswith("1 of 1") for text in texts(view)), "what was skipped waits still"


async def test_the_oldest_may_come_first(reviewers: Reviewers) -> None:
    await reviewers.corrected(LOOM)
    await reviewers.corrected(OFFICE)
    assert LOOM in texts(await reviewers.review(arguments="oldest"))
    assert OFFICE in texts(await reviewers.next())
    assert texts(await reviewers.next()) == [summary(approved=2)]


async def test_rated_questions_on_the_topic_are_suggested(team: Team, reviewers: Reviewers) -> None:
    await reviewers.corrected(NEVER_ASKED, "", rating="up")
    await reviewers.corrected(LOOM, "", rating="up")
    await reviewers.corrected("Is holiday paid?", "", rating="up", consent=False)
    await reviewers.corrected("Where is the holiday calendar?", channel_id=team.channel("random"))
    holiday = await reviewers.corrected(HOLIDAY)
    view = await reviewers.review()
    assert boxes(view)["neighbours"] == NEVER_ASKED, "nobody agreed to more"
    await reviewers.next()
    kept = await reviewers.kept(holiday)
    assert (kept.neighbours, len(kept.neighbour_names)) == ((), 1)


async def test_what_the_model_thinks_of_comes_into_the_open_form(reviewers: Reviewers, engine: ScriptedEngine) -> None:
    questions = ["How old are looms?", "Who invented the loom?"]
    engine.script = Script(
        text="1. How old are looms?\n2. Who invented the loom?\n3. What is a loom?", first_token_seconds=0.2
    )
    loom = await reviewers.corrected(LOOM)
    view = await reviewers.review()
    assert ticks(view) == []
    await until(lambda: bool(ticks(reviewers.form())))
    assert ticks(reviewers.form()) == questions, "and not the question itself"
    assert LOOM in engine.requests[-1].messages[-1]["content"]
    await reviewers.next(suggested=questions[:1], neighbours="What is a carpet?")
    assert (await reviewers.kept(loom)).neighbours == ("What is a carpet?", questions[0])


async def test_what_comes_late_leaves_the_next_form_alone(reviewers: Reviewers, engine: ScriptedEngine) -> None:
    engine.script = Script(text="I can't think of any.")
    engine.then(Script(text="Who invented the loom?", first_token_seconds=0.5))
    await reviewers.corrected(OFFICE)
    await reviewers.corrected(LOOM)
    await reviewers.review()
    await engine.asked.wait()
    view = await reviewers.next(decision="skip")
    await until(lambda: len(engine.requests) == 2 and all(request.finished for request in engine.requests))
    await asyncio.sleep(0.2)
    assert reviewers.form()["hash"] == view["hash"]
    assert OFFICE in texts(reviewers.form())


async def test_a_broken_engine_suggests_nothing_and_nobody_is_told(
    reviewers: Reviewers, engine: ScriptedEngine
) -> None:
    engine.script = Script(refusal=(500, "no"))
    await reviewers.corrected(LOOM)
    view = await reviewers.review()
    await until(lambda: len(engine.requests) > 0)
    assert texts(await reviewers.next(view=view)) == [summary(approved=1)]


async def test_two_admins_at_once_do_no_harm(team: Team, reviewers: Reviewers) -> None:
    await team.workspace.people.change(team.person("ben"), is_admin=True)
    loom, office = await reviewers.corrected(LOOM), await reviewers.corrected(OFFICE)
    await reviewers.review("asha")
    await reviewers.review("ben")
    await reviewers.next("asha", decision="reject")
    view = await reviewers.next("ben")
    assert WORDS.say("review_meanwhile") in texts(view)
    assert LOOM in texts(view)
    assert (await reviewers.kept(office)).review == "rejected", "the first word holds"
    assert texts(await reviewers.next("ben")) == [summary(approved=1, skipped=1)]
    assert texts(await reviewers.next("asha")) == [
        "\n".join([WORDS.say("review_meanwhile"), summary(rejected=1, skipped=1)])
    ]
    assert (await reviewers.kept(loom)).reviewer_id == team.person("ben")


async def test_what_is_withdrawn_meanwhile_is_not_approved(reviewers: Reviewers) -> None:
    loom = await reviewers.corrected(LOOM)
    await reviewers.review()
    await reviewers.withdraw(loom)
    assert texts(await reviewers.next()) == ["\n".join([WORDS.say("review_meanwhile"), summary(skipped=1)])]


async def test_nobody_agreed_and_nothing_waits(team: Team, reviewers: Reviewers) -> None:
    assert await team.told("asha", "review") == WORDS.say("review_none")
    await reviewers.corrected(LOOM, consent=False)
    await reviewers.corrected(OFFICE, "", rating="up")
    assert await team.told("asha", "review") == WORDS.say("review_none")
    await reviewers.corrected(HOLIDAY)
    await reviewers.agree(training_consent=False)
    assert await team.told("asha", "review") == WORDS.say("review_none"), "what the channel says now holds as well"
    assert reviewers.view() is None


async def test_nobody_else_reviews(team: Team, reviewers: Reviewers, monkeypatch: pytest.MonkeyPatch) -> None:
    loom = await reviewers.corrected(LOOM)
    assert await team.told("ben", "review") == WORDS.say("admin_refused")
    monkeypatch.setattr("bot.slack.people.PERSON_SECONDS", 0.0)
    view = await reviewers.review()
    await team.workspace.people.change(team.person("asha"), is_admin=False, is_owner=False)
    faults = await team.workspace.people.fill_in(team.person("asha"), view["id"], {})
    assert list(faults.values()) == [WORDS.say("admin_refused")]
    assert (await reviewers.kept(loom)).review == ""


async def test_the_longest_of_all_fits_into_a_form(reviewers: Reviewers) -> None:
    """Slack refuses a form with more; the workspace is as strict."""
    correction = "x" * CORRECTION_CHARACTERS
    loom = await reviewers.corrected("ö" * 20_000, correction, answer="ä" * 50_000, comment="c" * 1_000)
    view = await reviewers.review()
    assert boxes(view)["correction"] == correction
    await reviewers.next(neighbours="\n".join(f"Question {number}?" for number in range(200)))
    kept = await reviewers.kept(loom)
    assert kept.lesson == correction
    assert len(kept.neighbours) == 12


async def test_a_correction_cannot_be_approved_without_a_word(team: Team, reviewers: Reviewers) -> None:
    loom = await reviewers.corrected(LOOM)
    view = await reviewers.review()
    faults = await team.workspace.people.fill_in(team.person("asha"), view["id"], {"correction": ""})
    assert len(faults) == 1
    assert (await reviewers.kept(loom)).review == ""


async def test_who_reads_hindi_reviews_in_hindi(team: Team, reviewers: Reviewers) -> None:
    await team.workspace.people.change(team.person("asha"), locale="hi-IN")
    await reviewers.corrected(LOOM)
    view = await reviewers.review()
    assert Words("hi").say("review_question") in texts(view)
