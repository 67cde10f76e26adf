"""Slack's threads: what was said, by whom, and how an answer gets there."""

from dataclasses import replace
from unittest.mock import Mock

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.access import FileLimits
from bot.conversation import Line, Turn
from bot.errors import SlackError, SlackUnreachable
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.slack.answering.reply_stream import ReplyStream
from bot.slack.answering.slash_reply import SlashReply
from bot.slack.asking.attachments import Attachments
from bot.slack.asking.downloads import Downloads
from bot.slack.asking.threads import Threads
from bot.slack.client import Identity
from bot.slack.pacing import Pacer
from bot.slack.people import People
from bot.words import Languages
from tests.bot.slack.conftest import ASHA, BEN, GENERAL
from tests.bot.slack.memory_journal import Job
from tests.scenarios.faults import Answer, Faults


@pytest.fixture
def people(client: AsyncWebClient, identity: Identity) -> People:
    return People(client, identity, Languages())


@pytest.fixture
def threads(client: AsyncWebClient, identity: Identity, people: People, pacer: Pacer) -> Threads:
    attachments = Attachments(client, Mock(spec=Downloads), FileLimits())
    return Threads(client, identity, people, pacer, attachments)


async def said(threads: Threads, turn: Turn) -> list[str]:
    return [line.text for line in await threads.earlier_messages(turn)]


async def asked_after(workspace: Workspace, turn: Turn, *replies: tuple[str, str]) -> Turn:
    """A question in the same thread, after these replies."""
    for user_id, text in (*replies, (BEN, "and what do you think?")):
        message = workspace.timeline.post(GENERAL, user_id, text, thread_ts=turn.ts)
    return replace(turn, ts=message["ts"])


async def test_each_line_has_its_author(workspace: Workspace, turn: Turn, threads: Threads) -> None:
    bot = workspace.identity.bot_user_id
    question = await asked_after(
        workspace,
        turn,
        (BEN, f"<@{ASHA}> says 1 &lt; 2, see <https://a.example|here>"),
        (bot, "It is so."),
        (BEN, f"<@{bot}>"),
    )
    assert await said(threads, question) == [
        "asha: a question",
        "ben: @asha says 1 < 2, see here (https://a.example)",
        "Dolly: It is so.",
    ]


async def test_what_was_said_later_is_not_part_of_it(workspace: Workspace, turn: Turn, threads: Threads) -> None:
    question = await asked_after(workspace, turn)
    workspace.timeline.post(GENERAL, ASHA, "too late", thread_ts=turn.ts)
    assert await said(threads, question) == ["asha: a question"]


async def test_names_are_looked_up_once(workspace: Workspace, turn: Turn, threads: Threads, faults: Faults) -> None:
    question = await asked_after(workspace, turn, (BEN, "one"), (ASHA, "two"), (BEN, f"three, <@{ASHA}>"))
    for _ in range(2):
        await threads.earlier_messages(question)
    assert faults.calls["users.info"] == 2


@pytest.mark.parametrize("fault", ["user_not_found", "missing_scope", "cut"])
async def test_a_name_that_cannot_be_had_is_an_id(
    workspace: Workspace, turn: Turn, threads: Threads, faults: Faults, fault: Answer
) -> None:
    faults.always("users.info", fault)
    assert await said(threads, await asked_after(workspace, turn)) == [f"{ASHA}: a question"]


async def test_a_long_thread_comes_in_pages(
    workspace: Workspace, turn: Turn, threads: Threads, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.asking.threads.PAGE_MESSAGES", 10)
    question = await asked_after(workspace, turn, *((BEN, str(number)) for number in range(24)))
    assert await said(threads, question) == ["asha: a question", *(f"ben: {number}" for number in range(24))]
    assert faults.calls["conversations.replies"] == 3


@pytest.mark.parametrize("fault", ["missing_scope", "not_in_channel", "thread_not_found", "cut", 503])
async def test_a_thread_that_cannot_be_read_is_empty(
    workspace: Workspace, turn: Turn, threads: Threads, faults: Faults, fault: Answer
) -> None:
    faults.always("conversations.replies", fault)
    assert await said(threads, await asked_after(workspace, turn)) == []


async def test_a_line_knows_its_message_and_its_author(workspace: Workspace, turn: Turn, threads: Threads) -> None:
    own = workspace.identity.bot_user_id
    lines = await threads.earlier_messages(await asked_after(workspace, turn, (BEN, "one"), (own, "two")))
    assert lines[0] == Line(turn.ts, ASHA, "asha: a question")
    assert [line.user_id for line in lines] == [ASHA, BEN, workspace.identity.bot_id]


@pytest.mark.parametrize("pauses", [[1.0], [1.0] * 9 + [600.0], [1e-6, 1e-6, 1e-6, 3600.0]])
@pytest.mark.parametrize("count", [45, 300])
async def test_of_a_very_long_thread_the_newest_are_read(
    workspace: Workspace,
    turn: Turn,
    threads: Threads,
    faults: Faults,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    pauses: list[float],
    count: int,
) -> None:
    """Whether it was written evenly or in bursts, within five calls."""
    monkeypatch.setattr("bot.slack.asking.threads.PAGE_MESSAGES", 10)
    for number in range(count):
        await clock.advance(pauses[number % len(pauses)])
        workspace.timeline.post(GENERAL, BEN, str(number), thread_ts=turn.ts)
    await clock.advance(1)
    question = await asked_after(workspace, turn)
    root, *newest = await said(threads, question)
    assert root == "asha: a question"
    numbers = [int(line.removeprefix("ben: ")) for line in newest]
    assert numbers[-1] == count - 1
    assert numbers == sorted(set(numbers))
    assert 5 <= len(numbers) <= 50
    if len(pauses) == 1:
        assert numbers == list(range(count - len(numbers), count)), "without a gap"
    assert faults.calls["conversations.replies"] <= 5


async def test_a_command_is_answered_at_its_response_url(turn: Turn, threads: Threads, job: Job) -> None:
    command = replace(turn, response_url="http://127.0.0.1/response/1")
    assert isinstance(threads.reply(command, job.claim()), SlashReply)
    assert isinstance(threads.reply(turn, job.claim()), ReplyStream)


# --- said to one person ---------------------------------------------------------------------------------------------


async def test_only_the_author_is_told(workspace: Workspace, turn: Turn, threads: Threads) -> None:
    await threads.tell_privately(turn, "Not now.")
    in_thread = await asked_after(workspace, turn)
    await threads.tell_privately(in_thread, "Not here.")
    beside, below = workspace.timeline.ephemerals(GENERAL, ASHA)
    assert (beside["text"], beside.get("thread_ts")) == ("Not now.", None)
    assert (below["text"], below.get("thread_ts")) == ("Not here.", turn.ts)
    assert workspace.timeline.ephemerals(GENERAL, BEN) == []


@pytest.mark.parametrize("fault", ["is_archived", "cut", 503])
async def test_who_cannot_be_told_now_may_be_told_later(
    turn: Turn, threads: Threads, faults: Faults, fault: Answer
) -> None:
    faults.always("chat.postEphemeral", fault)
    with pytest.raises(SlackError if fault == "is_archived" else SlackUnreachable, match=r"chat\.postEphemeral"):
        await threads.tell_privately(turn, "Not now.")
    assert faults.calls["chat.postEphemeral"] == 1


# --- who somebody is ------------------------------------------------------------------------------------------------


async def test_admins_are_asked_for_now_and_then(client: AsyncWebClient, identity: Identity, faults: Faults) -> None:
    now = [1000.0]
    people = People(client, identity, Languages(), clock=lambda: now[0])
    for _ in range(3):
        assert [await people.is_admin(user_id) for user_id in (ASHA, BEN)] == [True, False]
    assert faults.calls["users.info"] == 2
    now[0] += 300
    faults.next("users.info", 503)
    assert not await people.is_admin(ASHA), "whoever cannot be looked up is none"
    assert await people.is_admin(ASHA)
    assert faults.calls["users.info"] == 4


async def test_a_text_full_of_ids_is_not_a_call_for_each(threads: Threads, faults: Faults) -> None:
    ids = [f"@U{number:09d}" for number in range(500)]
    assert await threads.readable(" ".join(ids)) == " ".join(ids)
    assert faults.calls["users.info"] == 20


async def test_a_name_that_could_not_be_had_is_asked_for_again(threads: Threads, faults: Faults) -> None:
    faults.next("users.info", "internal_error")
    assert await threads.readable(f"ask @{BEN}") == f"ask @{BEN}"
    assert await threads.readable(f"ask @{BEN}") == "ask @ben"
