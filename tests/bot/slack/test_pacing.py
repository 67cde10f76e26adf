"""Who may call Slack, and when: one budget for all replicas on a real store, the urgent first, and without a store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.local.workspace.web_api import rate_limits
from bot.slack.budgets import RATES, Budgets, OwnRates
from bot.slack.client import PacedClient, at_priority, web_client
from bot.slack.hearing.history import History
from bot.slack.pacing import STREAMS_REFUSED_SECONDS, Pacer, Priority
from bot.store.connection import connect
from bot.store.layout import Layout
from bot.store.rates import Rate, SharedRates
from tests.bot.slack.conftest import GENERAL
from tests.scenarios.faults import Faults

LAYOUT = Layout("T1/B1")
QUICK = Rate(6000, at_once=3)
"""A call in 10 ms."""
SLOW = Rate(6, at_once=5)


@pytest.fixture
def shared(redis: Redis) -> SharedRates:
    return SharedRates(redis, LAYOUT)


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets of which a test sees both ends."""
    monkeypatch.setitem(RATES, "chat.update", QUICK)
    monkeypatch.setitem(RATES, "conversations.replies", SLOW)


@pytest.fixture
async def limited(faults: Faults) -> AsyncIterator[Workspace]:
    """A workspace with Slack's rate limits, as they are published."""
    workspace = Workspace(clock=ManualClock(), rate_limits=True)
    await workspace.start()
    yield workspace
    await workspace.stop()


# --- a budget ---------------------------------------------------------------------------------------------------------


def test_a_budget_is_a_burst_and_then_even() -> None:
    now = [1000.0]
    own, rate = OwnRates(lambda: now[0]), Rate(60, at_once=4)
    assert own.take("x", rate, 10).calls == 4
    assert own.take("x", rate, 10).wait_seconds == pytest.approx(1)
    now[0] += 2.5
    assert own.take("x", rate, 10).calls == 2
    assert own.take("x", rate, 1).wait_seconds == pytest.approx(0.5)
    now[0] += 100
    assert own.take("x", rate, 10).calls == 4
    assert own.take("y", rate, 1).calls == 1


async def test_the_store_counts_as_a_process_does(shared: SharedRates) -> None:
    own, rate = OwnRates(lambda: 1000.0), Rate(6, at_once=9)
    for wanted, spare in [(3, 0.0), (1, 0.5), (3, 0.5), (9, 0.25), (9, 0.0), (1, 0.0)]:
        mine, all_ = own.take("x", rate, wanted, spare=spare), await shared.take("x", rate, wanted, spare=spare)
        assert all_.calls == mine.calls
        assert all_.wait_seconds == pytest.approx(mine.wait_seconds, abs=1)


async def test_what_is_given_back_can_be_taken_again(shared: SharedRates) -> None:
    assert (await shared.take("x", SLOW, 5)).calls == 5
    await shared.give_back("x", SLOW)
    assert (await shared.take("x", SLOW, 5)).calls == 1


async def test_keys_go_when_their_budget_is_full_again(shared: SharedRates, redis: Redis) -> None:
    await shared.take("chat.postMessage:C1", Rate(600, at_once=5), 5)
    (key,) = await redis.keys("*")
    assert key == LAYOUT.prefix + "rate:chat.postMessage:C1"
    assert 300 < await redis.pttl(key) <= 500


def test_slacks_published_rates_are_never_exceeded() -> None:
    """The workspace lets through what is published; Dolly takes no more, at once or in a minute."""
    for method, rate in RATES.items():
        slacks = {"chat.postMessage": rate_limits.POST_MESSAGE, **rate_limits.RATES}[method]
        assert rate.per_minute <= slacks.per_minute, method
        assert rate.at_once < slacks.burst, method


def test_nothing_is_called_whose_rate_is_not_known() -> None:
    assert {"chat.startStream", "chat.stopStream", "chat.appendStream", "chat.update"} <= RATES.keys()
    assert {"conversations.replies", "conversations.history", "users.conversations", "users.info"} <= RATES.keys()


# --- replicas ---------------------------------------------------------------------------------------------------------


async def test_two_replicas_share_one_budget(local_store: LocalStore, redis: Redis, rates: None) -> None:
    other = connect(local_store.url)
    pacers = [Pacer(SharedRates(client, LAYOUT)) for client in (redis, other)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(pacers[number % 2].turn("chat.update") for number in range(43)))
    assert loop.time() - began >= 0.395, "three at once, and forty in 10 ms each"
    await other.aclose()


async def test_each_channel_has_a_budget_of_its_own_and_all_replicas_keep_to_it(shared: SharedRates) -> None:
    one, other = Pacer(shared), Pacer(shared)
    for channel in ("C1", "C2"):
        taken = [await pacer.take("chat.postMessage", channel) for pacer in (one, other, one, other, one, other)]
        assert taken == [True] * 4 + [False] * 2


async def test_what_slack_asks_one_replica_to_wait_all_wait(
    limited: Workspace, shared: SharedRates, faults: Faults
) -> None:
    clients = [web_client(limited.identity.bot_token, limited.api_url, None, Pacer(shared)) for _ in range(2)]
    root = limited.timeline.post(GENERAL, "U0ASHA00001", "a question")
    faults.next("conversations.replies", ("ratelimited", 1))
    loop = asyncio.get_running_loop()
    began = loop.time()
    held = asyncio.create_task(clients[0].conversations_replies(channel=GENERAL, ts=root["ts"]))
    while not faults.calls["conversations.replies"]:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    await clients[1].conversations_replies(channel=GENERAL, ts=root["ts"])
    assert loop.time() - began >= 1
    await held
    assert faults.calls["conversations.replies"] == 3


# --- who goes first ---------------------------------------------------------------------------------------------------


async def test_the_most_urgent_goes_first_and_then_who_came_first(rates: None) -> None:
    pacer, order = Pacer(), list[str]()
    while await pacer.take("chat.update"):
        pass

    async def ask(name: str, priority: Priority, yields_seconds: float = 0) -> None:
        await pacer.turn("chat.update", priority=priority, yields_seconds=yields_seconds)
        order.append(name)

    await asyncio.gather(
        ask("catching up", Priority.CATCH_UP),
        ask("searching", Priority.SEARCH),
        ask("long", Priority.GROWTH, 5),
        ask("short", Priority.GROWTH),
        ask("short too", Priority.GROWTH),
        ask("answer", Priority.ANSWER),
        ask("answer too", Priority.ANSWER),
    )
    assert order == ["answer", "answer too", "short", "short too", "long", "searching", "catching up"]


async def test_whoever_is_less_urgent_leaves_calls_to_other_replicas(shared: SharedRates, rates: None) -> None:
    one, other = Pacer(shared), Pacer(shared)
    counts = []
    for priority in (Priority.CATCH_UP, Priority.SEARCH, Priority.ANSWER):
        count = 0
        while await one.take("conversations.replies", priority=priority):
            count += 1
        counts.append(count)
    assert counts == [3, 1, 1], "of five at once"
    assert not await other.take("conversations.replies")


async def test_an_answer_does_not_wait_for_who_waits_longer(shared: SharedRates, rates: None) -> None:
    """The line's first cannot go yet, for all it leaves to others; who comes now can."""
    pacer = Pacer(shared)
    while await pacer.take("conversations.replies", priority=Priority.CATCH_UP):
        pass
    waiting = asyncio.create_task(pacer.turn("conversations.replies", priority=Priority.CATCH_UP))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(1):
        await pacer.turn("conversations.replies")
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_the_history_is_read_after_all_others(limited: Workspace) -> None:
    client = web_client(limited.identity.bot_token, limited.api_url, None, Pacer(clock=lambda: 1000.0))
    history, pages = History(client), 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            while True:
                [page async for page in history.pages(GENERAL)]
                pages += 1
    assert pages == 25, "half of those at once"
    async with asyncio.timeout(2):
        await client.conversations_history(channel=GENERAL)


# --- permits ----------------------------------------------------------------------------------------------------------


async def test_who_stops_waiting_has_used_nothing(shared: SharedRates, rates: None) -> None:
    pacer = Pacer(shared)
    while await pacer.take("chat.update"):
        pass
    waiting = [asyncio.create_task(pacer.turn("chat.update")) for _ in range(50)]
    await asyncio.sleep(0.001)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(0.2):
        await pacer.turn("chat.update")


async def test_a_permit_pays_for_one_call_and_is_given_back_without_one(client: PacedClient) -> None:
    pacer = client.pacer = Pacer(clock=lambda: 1000.0)
    for _ in range(10):
        async with await pacer.turn("chat.postMessage", GENERAL):
            pass  # nothing to say after all
        await asyncio.sleep(0)
    for text in ("one", "two", "three"):
        async with await pacer.turn("chat.postMessage", GENERAL):
            await client.chat_postMessage(channel=GENERAL, text=text)
    assert [await pacer.take("chat.postMessage", GENERAL) for _ in range(2)] == [True, False]


async def test_a_second_call_takes_a_turn_of_its_own(client: PacedClient) -> None:
    pacer = client.pacer = Pacer(clock=lambda: 1000.0)
    async with await pacer.turn("chat.postMessage", GENERAL):
        for text in ("one", "two"):
            await client.chat_postMessage(channel=GENERAL, text=text)
    assert [await pacer.take("chat.postMessage", GENERAL) for _ in range(3)] == [True, True, False]


def test_after_a_refusal_no_stream_is_tried_for_a_while() -> None:
    now = [1000.0]
    pacer = Pacer(clock=lambda: now[0])
    assert pacer.has_streams
    pacer.streams_refused()
    now[0] += STREAMS_REFUSED_SECONDS - 1
    assert not pacer.has_streams
    now[0] += 1
    assert pacer.has_streams


async def test_lines_of_channels_that_nobody_writes_in_are_not_kept() -> None:
    pacer = Pacer()
    for number in range(20):
        await pacer.turn("chat.postMessage", f"C{number}")
    assert len(pacer._lines) <= 2


def test_budgets_of_channels_that_nobody_writes_in_are_not_kept() -> None:
    now = [1000.0]
    own = OwnRates(lambda: now[0])
    for number in range(5_000):
        own.take(f"chat.postMessage:C{number}", RATES["chat.postMessage"], 1)
        now[0] += 0.1
    assert len(own._full) <= 1_000


# --- trouble ----------------------------------------------------------------------------------------------------------


async def test_without_its_store_a_process_goes_on_with_a_budget_of_its_own(rates: None) -> None:
    away = connect("redis://127.0.0.1:1")
    pacer = Pacer(SharedRates(away, LAYOUT))
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        await pacer.turn("conversations.replies")
        began = loop.time()
        for _ in range(13):
            await pacer.turn("chat.update")
    assert loop.time() - began >= 0.095
    assert [await pacer.take("conversations.replies") for _ in range(5)] == [True] * 4 + [False]
    await away.aclose()


async def test_a_store_that_goes_leaves_what_was_taken_taken(
    shared: SharedRates, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    budgets = Budgets(shared, lambda: now[0])
    assert (await shared.take("x", SLOW, 3)).calls == 3, "by another replica"
    assert (await budgets.take("x", SLOW, 1)).calls == 1
    monkeypatch.setattr(shared, "_client", connect("redis://127.0.0.1:1"))
    assert (await budgets.take("x", SLOW, 4)).calls == 1
    monkeypatch.undo()
    now[0] += 60
    assert (await budgets.take("x", SLOW, 4)).calls == 1, "the store's word counts again"


async def test_a_mistake_while_serving_reaches_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Budgets, "take", broken)
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(1):
            await Pacer().turn("chat.update")


async def test_a_rate_limit_that_does_not_end_is_an_error_in_the_end(client: PacedClient, faults: Faults) -> None:
    faults.always("users.info", ("ratelimited", 0))
    with pytest.raises(Exception, match="ratelimited"):
        await at_priority(client, Priority.SEARCH).users_info(user="U0ASHA00001")
    assert faults.calls["users.info"] == 4
