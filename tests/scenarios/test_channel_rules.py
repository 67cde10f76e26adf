"""`/dolly channel`: who may set what holds in a channel, and that it holds."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.access import AccessRules
from bot.local.workspace import Workspace
from bot.slack.commands.channel import CHANNEL_RULES, PROMPT, RULES
from bot.words import Words
from tests.scenarios.conftest import SYSTEM_PROMPT, Json, Team, Transport, running_team, until
from tests.scenarios.faults import Faults
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="Certainly.")) as engine:
        yield engine


@pytest.fixture
async def team(store_url: str, engine: ScriptedEngine, transport: Transport, tmp_path: Path) -> AsyncIterator[Team]:
    async with running_team(store_url, engine.url, transport, audit_log=tmp_path / "audit.jsonl") as team:
        yield team


def told(team: Team, name: str, channel: str | None = None) -> list[str]:
    """What Dolly said for this person's eyes only."""
    shown = team.workspace.timeline.ephemerals(channel or team.channel("general"), team.person(name))
    return [message["text"] for message in shown]


async def command(team: Team, name: str, text: str, channel: str | None = None) -> str:
    """Type `/dolly …`; the sentence that answers it."""
    before = len(told(team, name, channel))
    await team.workspace.people.command(team.person(name), channel or team.channel("general"), "/dolly", text)
    await until(lambda: len(told(team, name, channel)) > before)
    return told(team, name, channel)[-1]


async def form(team: Team, name: str, channel: str) -> Json:
    await team.workspace.people.command(team.person(name), channel, "/dolly", "channel")
    await until(lambda: team.workspace.timeline.top_view(team.person(name)) is not None)
    view = team.workspace.timeline.top_view(team.person(name))
    assert view is not None
    return view


async def test_the_form_is_the_admins_and_the_makers(team: Team, engine: ScriptedEngine, tmp_path: Path) -> None:
    people, ben = team.workspace.people, team.person("ben")
    assert await command(team, "ben", "channel") == WORDS.say("channel_refused")
    assert await command(team, "ben", "channel follow on") == WORDS.say("channel_refused")
    assert await command(team, "ben", "channel", team.direct("ben")) == WORDS.say("channel_direct")

    bens = (await people.create_channel(ben, "weaving")).id
    view = await form(team, "ben", bens)
    assert (view["callback_id"], view["private_metadata"]) == (CHANNEL_RULES, bens)
    assert await people.fill_in(ben, view["id"], {RULES: ["allowed", "consent"], PROMPT: "Speak of looms."}) == {}
    await until(lambda: team.workspace.timeline.top_view(ben) is None)
    await team.answered(await team.say("ben", "@dolly what now?", channel=bens), channel=bens)
    assert engine.requests[-1].messages[0]["content"] == f"{SYSTEM_PROMPT}\n\nSpeak of looms."
    await team.answered(await team.say("ben", "@dolly what now?"))
    assert engine.requests[-1].messages[0]["content"] == SYSTEM_PROMPT, "elsewhere it does not hold"

    await people.join(team.person("asha"), bens)
    view = await form(team, "asha", bens)  # an admin, and she sees what holds
    assert [option["value"] for option in view["blocks"][1]["element"]["initial_options"]] == ["allowed", "consent"]
    acts = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [(act["user"], act["target"]) for act in acts if act.get("act") == "set_channel"] == [(ben, bens)]


async def test_who_may_not_any_more_is_told_so_in_the_form(team: Team) -> None:
    people, general, now = team.workspace.people, team.channel("general"), team.workspace.timeline
    channel = await people.create_channel(team.person("chen"), "dyeing")
    view = await form(team, "chen", channel.id)
    forged = {**view, "private_metadata": general}
    now.update_view(
        view["id"],
        {key: forged[key] for key in ("type", "callback_id", "private_metadata", "title", "submit", "close", "blocks")},
    )
    faults = await people.fill_in(team.person("chen"), view["id"], {RULES: [], PROMPT: "mine"})
    assert faults == {RULES: WORDS.say("channel_refused")}
    await team.answered(await team.say("ben", "@dolly hello?"))


async def test_a_channel_where_dolly_is_not_in_use_says_so_to_who_asks(team: Team) -> None:
    people, general, asha = team.workspace.people, team.channel("general"), team.person("asha")
    view = await form(team, "asha", general)
    assert await people.fill_in(asha, view["id"], {RULES: [], PROMPT: ""}) == {}
    await until(lambda: team.workspace.timeline.top_view(asha) is None)
    root = await team.say("ben", "@dolly hello?")
    await until(lambda: told(team, "ben") == [WORDS.say("refused_channel")])
    assert team.answers(root) == []
    direct = team.direct("ben")
    await team.answered(await team.say("ben", "hello?", channel=direct), channel=direct)


async def test_follow_ups_need_no_mention_where_the_channel_says_so(team: Team, engine: ScriptedEngine) -> None:
    root = await team.say("ben", "@dolly hello")
    await team.answered(root)
    await team.say("ben", "and without a mention?", thread=root)
    assert await command(team, "asha", "channel follow on") == WORDS.say("channel_follows")
    await team.say("ben", "and now?", thread=root)
    assert await team.answered(root, 2) == ["Certainly.", "Certainly."]
    assert "and now?" in engine.requests[-1].messages[-1]["content"]

    await team.say("ben", "@chen what do you think?", thread=root)
    other = await team.say("ben", "nobody asked Dolly here")
    await team.say("chen", "indeed", thread=other)
    assert await command(team, "asha", "channel follow off") == WORDS.say("channel_follows_not")
    await team.say("ben", "and now again?", thread=root)
    last = await team.say("ben", "@dolly the end")
    await team.answered(last)
    assert (len(team.answers(root)), team.answers(other)) == (2, [])


async def test_a_question_may_begin_with_the_word(team: Team) -> None:
    said = await command(team, "ben", "channel islands: how many?")
    assert "channel islands" in said


# --- the operator's own rules ---------------------------------------------------------------------------------------


async def test_guests_and_people_of_other_companies_are_refused_politely(team: Team) -> None:
    people, general = team.workspace.people, team.channel("general")
    for traits, words_key in (
        ({"is_restricted": True}, "refused_guest"),
        ({"team_id": "T0OTHER0001"}, "refused_team"),
    ):
        stranger = await people.invite(f"visitor{len(words_key)}", general, **traits)
        message = await people.post(stranger.id, general, "@dolly may I?")
        assert message is not None
        await until(lambda: bool(team.workspace.timeline.ephemerals(general, stranger.id)))  # noqa: B023
        shown = team.workspace.timeline.ephemerals(general, stranger.id)
        assert [each["text"] for each in shown] == [WORDS.say(words_key)]
        assert team.answers(message["ts"]) == []


async def test_the_operators_lists_decide(store_url: str, engine: ScriptedEngine, transport: Transport) -> None:
    async with running_team(store_url, engine.url, transport) as team:
        ids = {name: team.person(name) for name in ("asha", "ben", "chen")}
    rules = AccessRules(
        admins=frozenset({ids["ben"]}),
        users=frozenset({ids["asha"], ids["ben"]}),
        guests=True,
    )
    async with running_team(store_url, engine.url, transport, rules=rules) as team:
        await team.say("chen", "@dolly hello?")
        await until(lambda: told(team, "chen") == [WORDS.say("refused_person")])
        await team.answered(await team.say("asha", "@dolly hello?"))
        assert await command(team, "ben", "channel follow on") == WORDS.say("channel_follows")
        bens = (await team.workspace.people.create_channel(ids["ben"], "weaving")).id
        await team.workspace.people.join(ids["asha"], bens)
        assert await command(team, "asha", "channel follow on", bens) == WORDS.say("channel_refused")
    rules = AccessRules(channels=frozenset({"C0ELSEWHERE"}), teams=frozenset({"T0OTHER0001"}))
    async with running_team(store_url, engine.url, transport, rules=rules) as team:
        await team.say("ben", "@dolly hello?")
        await until(lambda: told(team, "ben") == [WORDS.say("refused_channel")])
        direct = team.direct("ben")
        await team.say("ben", "hello?", channel=direct)
        await until(lambda: told(team, "ben", direct) == [WORDS.say("refused_team")])


async def test_a_person_of_an_allowed_team_is_answered_by_a_stream_for_them(
    store_url: str, engine: ScriptedEngine, transport: Transport, faults: Faults
) -> None:
    engine.script = Script(text="Certainly you may.", tokens_per_second=20)
    rules = AccessRules(teams=frozenset({"T0OTHER0001"}))
    async with running_team(store_url, engine.url, transport, rules=rules) as team:
        general = team.channel("general")
        guest = await team.workspace.people.invite("gita", general, team_id="T0OTHER0001")
        asked = await team.workspace.people.post(guest.id, general, "@dolly may I?")
        assert asked is not None
        assert await team.answered(asked["ts"]) == ["Certainly you may."]
        start = faults.sent["chat.startStream"]
        assert (start["recipient_user_id"], start["recipient_team_id"]) == (guest.id, "T0OTHER0001")


async def test_another_app_is_heard_where_it_is_named_and_only_by_a_mention(
    store_url: str, engine: ScriptedEngine, transport: Transport
) -> None:
    workspace = Workspace()
    await workspace.start()
    people = workspace.people
    try:
        async with running_team(store_url, engine.url, transport, workspace=workspace) as team:
            general = team.channel("general")
            robot = await people.invite("buildbot", general, is_bot=True)
            unheard = await people.post(robot.id, general, "@dolly is the build green?")
            assert unheard is not None
            await team.answered(await team.say("ben", "@dolly and now?"))
            assert team.answers(unheard["ts"]) == []
        rules = AccessRules(bots=frozenset({robot.id}))
        async with running_team(store_url, engine.url, transport, workspace=workspace, rules=rules) as team:
            heard = await people.post(robot.id, general, "@dolly is the build green?")
            assert heard is not None
            await team.answered(heard["ts"])
            await command(team, "asha", "channel follow on")
            await people.post(robot.id, general, "no mention", thread_ts=heard["ts"])
            await team.answered(await team.say("ben", "@dolly and now?"))
            assert len(team.answers(heard["ts"])) == 1
    finally:
        await workspace.stop()
