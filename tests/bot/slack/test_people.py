"""Who somebody is, as Slack says; and in which language they are spoken to."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.client import Identity
from bot.slack.people import People
from bot.words import Languages
from tests.bot.slack.conftest import ASHA, BEN
from tests.scenarios.faults import Answer, Faults

DIVYA, DOLLY = "U0DIVYA0001", "U0DOLLYBOT1"


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
async def people(client: AsyncWebClient, identity: Identity, now: list[float]) -> AsyncIterator[People]:
    people = People(client, identity, Languages(), clock=lambda: now[0])
    yield people
    await people.end()


async def test_a_person_is_what_slack_says(people: People) -> None:
    asha, divya, dolly = [await people.person(user_id) for user_id in (ASHA, DIVYA, DOLLY)]
    assert asha is not None
    assert divya is not None
    assert dolly is not None
    assert (asha.name, asha.locale, asha.is_admin) == ("asha", "en-IN", True)
    assert (divya.name, divya.locale, divya.is_admin) == ("divya", "hi-IN", False)
    assert not any((divya.is_guest, divya.is_external, divya.is_bot))
    assert dolly.is_bot


@pytest.mark.parametrize("fault", ["user_not_found", "user_not_visible"])
async def test_whom_slack_does_not_show_is_external(people: People, faults: Faults, fault: Answer) -> None:
    faults.next("users.info", fault)
    stranger = await people.person("U0NOBODY001")
    assert stranger is not None
    assert (stranger.name, stranger.is_external, stranger.is_admin) == ("U0NOBODY001", True, False)
    await people.person("U0NOBODY001")
    assert faults.calls["users.info"] == 1, "and that is known for a while"


@pytest.mark.parametrize(
    ("said", "of_slack"),
    [
        ({}, {}),
        ({"is_restricted": True}, {"is_guest": True}),
        ({"is_restricted": True, "is_ultra_restricted": True}, {"is_guest": True}),
        ({"team_id": "T0ELSEWHERE"}, {"is_external": True}),
        ({"is_stranger": True}, {"is_external": True}),
        ({"team_id": None}, {"is_external": True}),
        ({"team_id": "T0OTHER", "enterprise_user": {"enterprise_id": "E0OURS"}}, {}),
        ({"team_id": "T0OTHER", "enterprise_user": {"enterprise_id": "E0THEIRS"}}, {"is_external": True}),
        ({"is_owner": True}, {"is_admin": True}),
        ({"profile": None, "real_name": "Real Name"}, {"name": "Real Name"}),
    ],
)
async def test_guests_and_people_of_other_organisations(
    client: AsyncWebClient,
    identity: Identity,
    monkeypatch: pytest.MonkeyPatch,
    said: dict[str, Any],
    of_slack: dict[str, Any],
) -> None:
    asked = AsyncWebClient.users_info

    async def info(self: AsyncWebClient, **arguments: Any) -> Any:
        answer = await asked(self, **arguments)
        return {"user": answer["user"] | said}

    monkeypatch.setattr(AsyncWebClient, "users_info", info)
    people = People(client, replace(identity, enterprise_id="E0OURS"), Languages())
    ben = await people.person(BEN)
    usual = {"name": "ben", "is_admin": False, "is_guest": False, "is_external": False, "is_bot": False}
    assert ben is not None
    assert {field: getattr(ben, field) for field in usual} == usual | of_slack


async def test_slack_is_asked_every_five_minutes_and_once_at_a_time(
    people: People, faults: Faults, now: list[float]
) -> None:
    together = await asyncio.gather(*(people.person(BEN) for _ in range(5)), people.words(BEN), people.name(BEN))
    assert together[0] == together[4] is not None
    assert faults.calls["users.info"] == 1
    now[0] += 299
    await people.person(BEN)
    assert faults.calls["users.info"] == 1
    now[0] += 2
    assert await people.name(BEN) == "ben", "a name may be older"
    assert faults.calls["users.info"] == 1
    await people.person(BEN)
    assert faults.calls["users.info"] == 2


async def test_no_more_than_so_many_are_kept(people: People, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.slack.people.PEOPLE_KEPT", 2)
    for user_id in (ASHA, BEN, DIVYA, BEN, DIVYA):
        await people.person(user_id)
    assert faults.calls["users.info"] == 3
    await people.person(ASHA)
    assert faults.calls["users.info"] == 4


# --- their language -------------------------------------------------------------------------------------------------


async def test_everybody_is_spoken_to_in_their_language(people: People) -> None:
    languages = [(await people.words(user_id)).language for user_id in (ASHA, BEN, DIVYA, "U0NOBODY001")]
    assert languages == ["en", "en", "hi", "en"]


@pytest.mark.parametrize("fault", ["cut", 503, "internal_error", "missing_scope"])
async def test_an_unknown_language_is_english(people: People, faults: Faults, fault: Answer) -> None:
    faults.always("users.info", fault)
    assert (await people.words(DIVYA)).language == "en"
    faults.none()
    assert (await people.words(DIVYA)).language == "hi"


async def test_a_slow_slack_is_not_waited_for(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answers = AsyncWebClient.users_info, asyncio.Event()

    async def info(self: AsyncWebClient, **arguments: Any) -> Any:
        await answers.wait()
        return await asked(self, **arguments)

    monkeypatch.setattr(AsyncWebClient, "users_info", info)
    monkeypatch.setattr("bot.slack.people.WORDS_SECONDS", 0.02)
    async with asyncio.timeout(1):
        assert (await people.words(DIVYA)).language == "en"
    answers.set()
    assert (await people.person(DIVYA)) is not None
    async with asyncio.timeout(1):
        assert (await people.words(DIVYA)).language == "hi", "its answer counts when it comes"


async def test_a_language_that_was_known_stays_until_slack_says_otherwise(
    people: People, faults: Faults, now: list[float]
) -> None:
    await people.words(DIVYA)
    now[0] += 3600
    faults.next("users.info", 503)
    assert (await people.words(DIVYA)).language == "hi"


async def test_who_waits_no_more_leaves_the_others_their_answer(people: People, faults: Faults) -> None:
    first, second = asyncio.create_task(people.person(BEN)), asyncio.create_task(people.person(BEN))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is not None
    assert first.cancelled()
    assert faults.calls["users.info"] == 1
