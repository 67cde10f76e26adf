"""`/dolly admin`: what those who administer Dolly see and do; nobody else is told what there is."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot import metrics
from bot.access import AccessRules, Bounds
from bot.audit import hashed
from bot.slack.admin.letters import ASK_AGAIN, DROP
from bot.words import Words
from tests.scenarios.conftest import Json, Team, Transport, running_team, until
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()
BROKEN = Script(refusal=(422, {"error": "no", "error_type": "validation"}))
VERBS = (
    *("", "status", "users", "quota", "dead-letters", "review", "retrain", "models", "rollback"),
    *("promote r1", "quota @chen 5", "quota reset tokens", "no such thing", "rights: who has them?"),
)


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="Certainly.")) as engine:
        yield engine


@pytest.fixture
async def team(store_url: str, engine: ScriptedEngine, transport: Transport, audit_log: Path) -> AsyncIterator[Team]:
    bounds = Bounds(questions_per_minute=2, tokens_per_day=100_000)
    async with running_team(store_url, engine.url, transport, bounds=bounds, audit_log=audit_log) as team:
        yield team


def shown(team: Team, name: str) -> list[Json]:
    """What only this person sees in #general."""
    return team.workspace.timeline.ephemerals(team.channel("general"), team.person(name))


def acts(audit_log: Path) -> list[tuple[str, str, str]]:
    """Who did what to what, as the audit log has it."""
    lines = [json.loads(line) for line in audit_log.read_text().splitlines()]
    return [(line["user"], line["act"], line["target"]) for line in lines if "act" in line]


def said_in(message: Json) -> str:
    return "\n".join(block["text"]["text"] for block in message.get("blocks", []) if "text" in block)


def buttons(message: Json) -> list[list[str]]:
    """The action ids of each row of buttons."""
    rows = [block["elements"] for block in message.get("blocks", []) if block["type"] == "actions"]
    return [[element["action_id"] for element in row] for row in rows]


async def given_up(team: Team, engine: ScriptedEngine, name: str, text: str, channel: str | None = None) -> str:
    """A question that the engine refuses; its ts."""
    script, engine.script, before = engine.script, BROKEN, metrics.total(metrics.dead_letters)
    root = await team.say(name, text, channel=channel)
    await until(lambda: metrics.total(metrics.dead_letters) > before)
    assert team.answers(root, channel=channel) == [WORDS.say("engine_refused")]
    engine.script = script
    return root


async def counted(redis: Redis, questions: int) -> None:
    """Wait until so many questions are counted, and their tokens: a moment after their answers are there."""
    found = 0
    async with asyncio.timeout(10):
        while found < questions:
            days: Any = [await redis.hgetall(key) for key in await redis.keys("*}:usage:*")]
            found = sum(int(count) for day in days for name, count in day.items() if name.endswith("/questions"))


# --- who may --------------------------------------------------------------------------------------------------------


async def test_nobody_else_is_told_what_there_is(team: Team, engine: ScriptedEngine, audit_log: Path) -> None:
    for verb in VERBS:
        assert await team.told("ben", verb) == WORDS.say("admin_refused")
    public = WORDS.say("command_help", mention="@dolly") + WORDS.say("admin_refused")
    assert not [verb for verb in ("dead-letters", "promote", "rollback", "quota") if verb in public]
    assert engine.requests == []
    assert acts(audit_log) == []
    assert await team.told("asha", "") == WORDS.say("admin_help")
    assert await team.told("asha", "no such thing") == WORDS.say("admin_help")
    assert acts(audit_log) == []


async def test_those_whom_the_operator_names_and_nobody_else(
    store_url: str, engine: ScriptedEngine, transport: Transport
) -> None:
    async with running_team(store_url, engine.url, transport) as team:
        ben = team.person("ben")
    rules = AccessRules(admins=frozenset({ben}))
    async with running_team(store_url, engine.url, transport, rules=rules) as team:
        assert await team.told("ben", "") == WORDS.say("admin_help")
        assert await team.told("asha", "") == WORDS.say("admin_refused")


async def test_who_reads_hindi_is_told_in_hindi(team: Team) -> None:
    hindi = Words("hi")
    await team.workspace.people.change(team.person("asha"), locale="hi-IN")
    await team.workspace.people.change(team.person("ben"), locale="hi-IN")
    assert await team.told("ben", "status") == hindi.say("admin_refused")
    assert await team.told("asha", "") == hindi.say("admin_help")


# --- what they see --------------------------------------------------------------------------------------------------


async def test_the_status_tells_of_engine_store_queue_and_answers(
    team: Team, engine: ScriptedEngine, audit_log: Path
) -> None:
    counters = (metrics.answered, metrics.apologies)
    answers, apologies = (metrics.total(counter) for counter in counters)
    await team.answered(await team.say("ben", "@dolly hello?"))
    await given_up(team, engine, "ben", "@dolly and now?")
    assert [metrics.total(counter) for counter in counters] == [answers + 1, apologies + 1]
    said = await team.told("asha", "status")
    assert WORDS.say("admin_status_engine", model="team/dolly", dialect="tgi", tokens=2048) in said
    assert WORDS.say("admin_store_safe") in said
    assert WORDS.say("admin_status_queue", waiting=0, oldest=0, leased=0) in said
    assert WORDS.say("admin_status_dead", count=1) in said
    assert f": {answers + 1:,} answers, {apologies + 1:,} apologies, " in said
    assert acts(audit_log) == [(team.person("asha"), "admin_status", "")]


async def test_the_status_of_an_engine_that_is_away(store_url: str, transport: Transport) -> None:
    async with running_team(store_url, "http://127.0.0.1:9", transport) as team:
        said = await team.told("asha", "status")
        assert WORDS.say("admin_status_no_engine") in said
        assert WORDS.say("admin_status_queue", waiting=0, oldest=0, leased=0) in said


async def test_who_asks_most_is_listed(team: Team, redis: Redis, audit_log: Path) -> None:
    assert await team.told("asha", "users") == WORDS.say("admin_users_nobody")
    asha, ben = team.person("asha"), team.person("ben")
    for name in ("ben", "asha", "ben"):
        await team.answered(await team.say(name, "@dolly hello?"))
    await counted(redis, 3)
    today = (await team.told("asha", "users")).split(WORDS.say("admin_users_week"))[0]
    first, second = [line for line in today.splitlines() if line[:2] in ("1.", "2.")]
    assert first.startswith(f"1. <@{ben}>: 2 questions, ")
    assert second.startswith(f"2. <@{asha}>: 1 question, ")
    assert "2 people: 3 questions, " in today
    assert " 0 tokens" not in today
    assert acts(audit_log) == [(asha, "admin_users", "")] * 2


async def test_what_learns_says_plainly_that_there_is_no_trainer(team: Team, audit_log: Path) -> None:
    for verb in ("retrain", "retrain yes", "promote 0003-3fa9c2d1", "rollback"):
        assert await team.told("asha", verb) == WORDS.say("learning_no_trainer")
    assert await team.told("asha", "promote") == WORDS.say("promote_which")
    assert await team.told("asha", "review") == WORDS.say("review_none")
    assert WORDS.say("models_none") in await team.told("asha", "models")
    asha = team.person("asha")
    assert acts(audit_log) == [(asha, "admin_review", ""), (asha, "admin_models", "")], "what was done, and no more"


async def test_what_takes_long_is_told_when_it_is_known(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack waits three seconds for an acknowledgement."""
    monkeypatch.setattr("bot.slack.admin.commands.ANSWER_SECONDS", 0.0)
    assert await team.told("asha", "quota") == WORDS.say("admin_moment")
    await until(lambda: WORDS.say("admin_quota_title") in shown(team, "asha")[-1]["text"])


# --- quotas ---------------------------------------------------------------------------------------------------------


async def test_a_person_gets_a_quota_of_their_own(team: Team, redis: Redis, audit_log: Path) -> None:
    asha, ben, chen = (team.person(name) for name in ("asha", "ben", "chen"))
    own = WORDS.say("admin_quota_own", person=f"<@{ben}>", per_minute=1)
    assert await team.told("asha", "quota @ben 1") == own
    await team.answered(await team.say("ben", "@dolly one?"))
    await team.say("ben", "@dolly two?")
    await until(lambda: len(shown(team, "ben")) == 1)
    assert shown(team, "ben")[0]["text"].startswith(WORDS.say("quota_questions", time="")[:40])

    person = f"<@{ben}>"
    assert await team.told("asha", "quota reset @ben") == WORDS.say("admin_quota_person_reset", person=person)
    await team.answered(await team.say("ben", "@dolly three?"))
    assert await team.told("asha", f"quota {chen} 0") == WORDS.say("admin_quota_own_free", person=f"<@{chen}>")
    for _ in range(4):
        await team.answered(await team.say("chen", "@dolly and on?"))
    await counted(redis, 6)

    said = await team.told("asha", "quota")
    assert own in said
    assert WORDS.say("admin_quota_questions", per_minute=2) in said
    assert "of 100,000 are used. That day ends at <!date^" in said
    assert WORDS.say("admin_quota_tokens", used=0, most=100_000) not in said
    assert await team.told("asha", "quota reset tokens") == WORDS.say("admin_quota_tokens_reset")
    assert WORDS.say("admin_quota_tokens", used=0, most=100_000) in await team.told("asha", "quota")
    assert await team.told("asha", "quota @ben default") == WORDS.say("admin_quota_default", person=person)
    assert own not in await team.told("asha", "quota")
    for text in ("quota @ben", "quota @nobody 5", "quota @ben -1", "quota reset", "quota @ben 1 please"):
        assert await team.told("asha", text) == WORDS.say("admin_quota_how")
    assert acts(audit_log) == [
        (asha, "admin_quota_set", ben),
        (asha, "admin_quota_reset", ben),
        (asha, "admin_quota_set", chen),
        (asha, "admin_quota", ""),
        (asha, "admin_quota_reset", "tokens"),
        (asha, "admin_quota", ""),
        (asha, "admin_quota_set", ben),
        (asha, "admin_quota", ""),
    ]


# --- dead letters ---------------------------------------------------------------------------------------------------


async def press(team: Team, name: str, message: Json, row: int, action_id: str) -> None:
    """A button in one of a message's rows."""
    block = [block for block in message["blocks"] if block["type"] == "actions"][row]
    await team.workspace.people.click(
        team.person(name), team.channel("general"), message["ts"], block["block_id"], action_id
    )


async def redrawn(team: Team, name: str, sentence: str) -> Json:
    """The list, once `sentence` stands over it, or instead of it."""

    def over(message: Json) -> bool:
        return bool(message["text"].startswith(sentence))

    await until(lambda: over(shown(team, name)[-1]))
    return shown(team, name)[-1]


async def test_a_question_that_was_given_up_is_asked_again_and_answered(
    team: Team, engine: ScriptedEngine, audit_log: Path
) -> None:
    assert await team.told("asha", "dead-letters") == WORDS.say("admin_letters_none")
    root = await given_up(team, engine, "ben", "@dolly what is the secret?")
    message = await team.admin("asha", "dead-letters")
    said, ben = said_in(message), team.person("ben")
    assert "`engine_refused`" in said
    assert f"<@{ben}>" in said
    assert f"<#{team.channel('general')}>" in said
    assert f"/p{root.replace('.', '')}" in said
    assert "secret" not in json.dumps(message), "what was asked is not shown"
    assert buttons(message) == [[ASK_AGAIN, DROP]]

    await press(team, "asha", message, 0, ASK_AGAIN)
    await redrawn(team, "asha", WORDS.say("admin_letter_asked"))
    assert await team.answered(root, 2) == [WORDS.say("engine_refused"), "Certainly."]
    assert "secret" in engine.requests[-1].messages[-1]["content"]
    assert await team.told("asha", "dead-letters") == WORDS.say("admin_letters_none")
    general = f"{team.workspace.identity.team_id}/{team.channel('general')}/{root}"
    asha = team.person("asha")
    assert acts(audit_log) == [
        *[(asha, "admin_dead_letters", "")] * 2,
        (asha, "admin_letter_ask_again", hashed(general)),
        (asha, "admin_dead_letters", ""),
    ]


async def test_two_lists_and_two_clicks_are_one_answer(team: Team, engine: ScriptedEngine, audit_log: Path) -> None:
    root = await given_up(team, engine, "ben", "@dolly hello?")
    lists = [await team.admin("asha", "dead-letters") for _ in range(2)]
    await press(team, "asha", lists[0], 0, ASK_AGAIN)
    await team.answered(root, 2)
    await press(team, "asha", lists[1], 0, ASK_AGAIN)
    await redrawn(team, "asha", WORDS.say("admin_letter_gone"))
    last = await team.say("chen", "@dolly the end")
    await team.answered(last)
    assert len(team.answers(root)) == 2
    assert [act for _, act, _ in acts(audit_log)].count("admin_letter_ask_again") == 1


async def test_one_that_is_dropped_is_gone_and_the_others_stay(
    team: Team, engine: ScriptedEngine, audit_log: Path
) -> None:
    direct = team.direct("ben")
    await given_up(team, engine, "ben", "what do I tell nobody?", channel=direct)
    first = await given_up(team, engine, "chen", "@dolly hello?")
    message = await team.admin("asha", "dead-letters")
    newest, older = [line for line in said_in(message).splitlines() if line.startswith("`")]
    assert first.replace(".", "") in newest
    assert older.endswith(WORDS.say("forget_direct"))
    assert direct not in said_in(message), "where two talk is nobody else's"
    await press(team, "asha", message, 1, DROP)
    left = await redrawn(team, "asha", WORDS.say("admin_letter_dropped"))
    assert [line for line in said_in(left).splitlines() if line.startswith("`")] == [newest]
    assert acts(audit_log)[-1][1] == "admin_letter_drop"


async def test_what_was_asked_by_command_can_only_be_dropped(team: Team, engine: ScriptedEngine) -> None:
    engine.script, before = BROKEN, metrics.total(metrics.dead_letters)
    await team.workspace.people.command(team.person("ben"), team.channel("general"), "/dolly", "why?")
    await until(lambda: metrics.total(metrics.dead_letters) > before)
    assert any(WORDS.say("engine_refused") in message["text"] for message in shown(team, "ben"))
    message = await team.admin("asha", "dead-letters")
    assert buttons(message) == [[DROP]]
    assert WORDS.say("admin_letter_command") in said_in(message)


async def test_who_administers_no_more_clicks_in_vain(
    store_url: str, engine: ScriptedEngine, transport: Transport, audit_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.people.PERSON_SECONDS", 0.0)
    async with running_team(store_url, engine.url, transport, audit_log=audit_log) as team:
        root = await given_up(team, engine, "ben", "@dolly hello?")
        message = await team.admin("asha", "dead-letters")
        await team.workspace.people.change(team.person("asha"), is_admin=False, is_owner=False)
        for action_id in (ASK_AGAIN, DROP):
            before = len(shown(team, "asha"))
            await press(team, "asha", message, 0, action_id)
            await until(lambda: len(shown(team, "asha")) > before)  # noqa: B023
            assert shown(team, "asha")[-1]["text"] == WORDS.say("admin_refused")
        assert len(team.answers(root)) == 1
        assert [act for _, act, _ in acts(audit_log)] == ["admin_dead_letters"]
