"""Slack's threads: what was said, by whom, and how an answer gets there."""

from dataclasses import replace

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import Turn
from bot.local.workspace import Workspace
from bot.slack.client import Identity
from bot.slack.reply_stream import ReplyStream
from bot.slack.slash_reply import SlashReply
from bot.slack.threads import Threads
from bot.words import Words
from tests.bot.slack.conftest import ASHA, BEN, GENERAL
from tests.scenarios.faults import Answer, Faults


@pytest.fixture
def threads(client: AsyncWebClient, identity: Identity) -> Threads:
    return Threads(client, identity, Words())


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
    assert await threads.earlier_messages(question) == [
        "asha: a question",
        "ben: @asha says 1 < 2, see here (https://a.example)",
        "Dolly: It is so.",
    ]


async def test_what_was_said_later_is_not_part_of_it(workspace: Workspace, turn: Turn, threads: Threads) -> None:
    question = await asked_after(workspace, turn)
    workspace.timeline.post(GENERAL, ASHA, "too late", thread_ts=turn.ts)
    assert await threads.earlier_messages(question) == ["asha: a question"]


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
    assert await threads.earlier_messages(await asked_after(workspace, turn)) == [f"{ASHA}: a question"]


async def test_a_long_thread_comes_in_pages(
    workspace: Workspace, turn: Turn, threads: Threads, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.threads.PAGE_MESSAGES", 10)
    question = await asked_after(workspace, turn, *((BEN, str(number)) for number in range(24)))
    lines = await threads.earlier_messages(question)
    assert lines == ["asha: a question", *(f"ben: {number}" for number in range(24))]
    assert faults.calls["conversations.replies"] == 3


@pytest.mark.parametrize("fault", ["missing_scope", "not_in_channel", "thread_not_found", "cut", 503])
async def test_a_thread_that_cannot_be_read_is_empty(
    workspace: Workspace, turn: Turn, threads: Threads, faults: Faults, fault: Answer
) -> None:
    faults.always("conversations.replies", fault)
    assert await threads.earlier_messages(await asked_after(workspace, turn)) == []


async def test_a_command_is_answered_at_its_response_url(turn: Turn, threads: Threads) -> None:
    assert isinstance(threads.reply(replace(turn, response_url="http://127.0.0.1/response/1")), SlashReply)
    assert isinstance(threads.reply(turn), ReplyStream)


async def test_a_text_full_of_ids_is_not_a_call_for_each(threads: Threads, faults: Faults) -> None:
    ids = [f"@U{number:09d}" for number in range(500)]
    assert await threads.readable(" ".join(ids)) == " ".join(ids)
    assert faults.calls["users.info"] == 20


async def test_a_name_that_could_not_be_had_is_asked_for_again(threads: Threads, faults: Faults) -> None:
    faults.next("users.info", "internal_error")
    assert await threads.readable(f"ask @{BEN}") == f"ask @{BEN}"
    assert await threads.readable(f"ask @{BEN}") == "ask @ben"
