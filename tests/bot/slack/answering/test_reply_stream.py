"""One answer on its way into a thread. Takeovers are in test_takeover.py, Dolly whole in tests/scenarios."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot import metrics
from bot.collaborators import Stopped
from bot.conversation import Turn
from bot.errors import SlackError, SlackUnreachable
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.slack.answering.markdown import MARKDOWN_CHARACTERS
from bot.slack.answering.output_filter import OutputFilter
from bot.slack.answering.reply_stream import STREAM_SECONDS, ReplyStream
from bot.slack.client import Identity, PacedClient
from bot.slack.pacing import Pacer, Permit
from bot.words import Words
from tests.bot.slack.conftest import ASHA, GENERAL, Thread, Worker, english
from tests.bot.slack.memory_journal import Job
from tests.scenarios.faults import Answer, Faults


@pytest.fixture
async def reply(worker: Worker, job: Job, pacer: Pacer) -> ReplyStream:
    """Begun where streams can be started."""
    reply = worker(job.claim(), pacer)
    await reply.begin()
    return reply


@pytest.fixture
async def placed(worker: Worker, job: Job, no_streams: Pacer) -> ReplyStream:
    """Begun where they cannot."""
    reply = worker(job.claim(), no_streams)
    await reply.begin()
    return reply


@pytest.fixture(params=["stream", "placed"])
async def either(request: pytest.FixtureRequest, worker: Worker, job: Job, pacer: Pacer, no_streams: Pacer) -> Any:
    reply = worker(job.claim(), pacer if request.param == "stream" else no_streams)
    await reply.begin()
    return reply


# --- streamed -----------------------------------------------------------------------------------------------------


async def test_deltas_become_one_message(reply: ReplyStream, thread: Thread, job: Job) -> None:
    await reply.write("Once")
    await thread.says("Once")
    await reply.write(" upon")
    await thread.says("Once upon")
    assert thread.states == ["streaming"]
    await reply.write(" a time")
    await reply.finish("_The end._")
    assert thread.texts == ["Once upon a time\n\n_The end._"]
    assert thread.states == ["stopped"]
    assert job.written == ["stream", thread.messages[0]["ts"]]
    assert thread.jobs == [job.job_id]


async def test_white_space_alone_opens_nothing(reply: ReplyStream, thread: Thread) -> None:
    await reply.write(" \n")
    await asyncio.sleep(0.05)
    assert thread.texts == []
    await reply.write("Now")
    await reply.finish()
    assert [text.strip() for text in thread.texts] == ["Now"]


async def test_a_sentence_alone_is_posted(reply: ReplyStream, thread: Thread, job: Job) -> None:
    await reply.finish("Sorry.")
    assert thread.texts == ["Sorry."]
    assert thread.states == [None]
    assert job.written == ["placed", thread.messages[0]["ts"]]


async def test_many_deltas_are_few_calls(worker: Worker, job: Job, thread: Thread, faults: Faults) -> None:
    """The first at once, what comes after it 0.6 s later, and the rest with the end."""
    reply = worker(job.claim(), Pacer())
    await reply.begin()
    for number in range(200):
        await reply.write(f"{number} ")
        await asyncio.sleep(0.004)
    await reply.finish()
    assert thread.texts[0].split() == [str(number) for number in range(200)]
    assert 1 <= faults.calls["chat.appendStream"] <= 4


async def test_writing_does_not_wait_for_slack(reply: ReplyStream, thread: Thread, faults: Faults) -> None:
    faults.next("chat.startStream", ("ratelimited", 1))
    for word in ["one", "two", "three"]:
        async with asyncio.timeout(0.5):
            await reply.write(word + " ")
            await asyncio.sleep(0.01)
    await reply.finish()
    assert [text.strip() for text in thread.texts] == ["one two three"]


async def test_stop_pressed_by_the_reader_is_told_and_nothing_more_is_written(
    reply: ReplyStream, thread: Thread, workspace: Workspace
) -> None:
    await reply.write("Once")
    await thread.says("Once")
    workspace.timeline.stop_by_user(GENERAL, thread.messages[0]["ts"])
    await reply.write(" upon")
    await asyncio.sleep(0.1)
    with pytest.raises(Stopped):
        await reply.write(" a time")
    await reply.stop("_Stopped._")
    assert thread.texts == ["Once"]


async def test_stop_without_slacks_help_says_so(either: ReplyStream, thread: Thread) -> None:
    await either.write("Once")
    await thread.says("Once")
    await either.stop("_Stopped._")
    assert thread.texts == ["Once\n\n_Stopped._"]
    assert thread.states[0] != "streaming"


async def test_a_stream_that_has_ended_goes_on_at_its_place(
    reply: ReplyStream, thread: Thread, clock: ManualClock
) -> None:
    """Slack ends it five minutes after its start."""
    await reply.write("Once")
    await thread.says("Once")
    await clock.advance(301)
    await reply.write(" upon")
    await thread.says("Once upon")
    await clock.advance(301)
    await reply.write(" a time")
    await reply.finish("_The end._")
    assert thread.texts == ["Once upon a time\n\n_The end._"]


async def test_a_sentence_for_a_stream_that_has_ended_stands_below_its_text(
    reply: ReplyStream, thread: Thread, clock: ManualClock
) -> None:
    await reply.write("Once")
    await thread.says("Once")
    await clock.advance(301)
    await reply.finish("_The end._")
    assert thread.texts == ["Once\n\n_The end._"]


async def test_an_abandoned_answer_stays_as_it_is(either: ReplyStream, thread: Thread, faults: Faults) -> None:
    await either.write("Once")
    await thread.says("Once")
    for method in ("chat.appendStream", "chat.update"):
        faults.next(method, ("ratelimited", 1))
    await either.write(" upon")
    await asyncio.sleep(0.05)
    async with asyncio.timeout(0.5):
        await either.abandon()
    await asyncio.sleep(0.05)
    assert thread.texts == ["Once"]
    assert "streaming" not in thread.states


# --- placed -------------------------------------------------------------------------------------------------------


async def test_without_a_stream_a_placeholder_is_written_over(placed: ReplyStream, thread: Thread, job: Job) -> None:
    assert thread.texts == [Words().say("placeholder")]
    assert job.written == ["placed", thread.messages[0]["ts"]]
    await placed.write("Once")
    await thread.says("Once")
    await placed.write(" upon")
    await thread.says("Once upon")
    await placed.finish("_The end._")
    assert thread.texts == ["Once upon\n\n_The end._"]
    assert thread.states == [None]
    assert thread.jobs == [job.job_id]


async def test_a_full_stream_goes_on_in_further_messages(either: ReplyStream, thread: Thread, job: Job) -> None:
    text = "".join(f"{number:09} " for number in range(MARKDOWN_CHARACTERS // 4))
    for start in range(0, len(text), 1000):
        await either.write(text[start : start + 1000])
        await asyncio.sleep(0.002)
    await either.finish("_The end._")
    assert len(thread.texts) == 3
    assert "".join(thread.texts) == text.strip() + "\n\n_The end._"
    assert job.posts == [message["ts"] for message in thread.messages]
    assert thread.jobs == [job.job_id] * 3


@pytest.mark.parametrize("reason", ["unknown_method", "streaming_mode_mismatch", "feature_not_enabled"])
async def test_where_slack_has_no_streams_later_answers_do_not_ask_for_one(
    worker: Worker, thread: Thread, turn: Turn, pacer: Pacer, faults: Faults, reason: str
) -> None:
    faults.always("chat.startStream", reason)
    for number in range(3):
        reply = worker(Job(f"{turn.job_id}-{number}").claim(), pacer)
        await reply.begin()
        await reply.write("Once")
        await asyncio.sleep(0.05)
        await reply.finish()
    assert thread.texts == ["Once"] * 3
    assert faults.calls["chat.startStream"] == 1


REFUSALS = [
    *("unknown_method", "method_deprecated", "feature_not_enabled", "not_allowed_token_type", "no_permission"),
    *("streaming_mode_mismatch", "message_not_in_streaming_state", "streaming_state_conflict", "message_not_found"),
    *("missing_recipient_user_id", "missing_recipient_team_id", "message_not_owned_by_app", "msg_too_long"),
    *("markdown_text_or_chunks_required", "cannot_provide_both_markdown_text_and_chunks", "markdown_text_conflict"),
    *("channel_type_not_supported", "restricted_action", "team_access_not_granted", "invalid_arguments"),
    *("team_not_found", "user_not_found"),
]
"""Slack's names for what a stream may be refused with; any other is met in the same way."""


async def test_a_stream_goes_on_as_another_kind_of_message_before_slack_ends_it(
    client: PacedClient, identity: Identity, turn: Turn, job: Job, pacer: Pacer, thread: Thread, clock: ManualClock,
    faults: Faults
) -> None:  # fmt: skip
    reply = ReplyStream(client, identity, turn, job.claim(), pacer, english, OutputFilter(), clock.now)
    await reply.begin()
    await reply.write("Once")
    await thread.says("Once")
    await clock.advance(STREAM_SECONDS - 1)
    await reply.write(" upon")
    await thread.says("Once upon")
    assert (thread.states, faults.calls["chat.appendStream"]) == (["streaming"], 1)
    await clock.advance(1)
    await reply.write(" a")
    await thread.says("Once upon a")
    assert thread.states == ["stopped"]
    await clock.advance(60)
    await reply.write(" time")
    await reply.finish("_The end._")
    assert thread.texts == ["Once upon a time\n\n_The end._"]
    assert faults.calls["chat.appendStream"] == 1, "none is made that Slack would refuse"


@pytest.mark.parametrize("reason", REFUSALS)
@pytest.mark.parametrize("method", ["chat.startStream", "chat.appendStream", "chat.stopStream"])
async def test_wherever_a_stream_is_refused_the_whole_filtered_text_stands_there(
    reply: ReplyStream, thread: Thread, job: Job, faults: Faults, method: str, reason: str
) -> None:
    faults.next(method, reason)
    output = OutputFilter()
    for delta in ("Once <!chan", "nel> upon", " https://evil", ".example/?q=1", " a time"):
        await reply.write(delta)
        output.write(delta)
        await asyncio.sleep(0.01)
    await reply.finish("_The end._")
    assert thread.texts == [output.whole() + "\n\n_The end._"]
    assert thread.states[0] != "streaming"
    assert thread.jobs == [job.job_id]
    assert faults.calls[method] >= 1


async def test_what_one_thread_refuses_is_tried_in_the_next(
    worker: Worker, thread: Thread, turn: Turn, pacer: Pacer, faults: Faults
) -> None:
    faults.next("chat.startStream", "restricted_action")
    for number in range(2):
        reply = worker(Job(f"{turn.job_id}-{number}").claim(), pacer)
        await reply.begin()
        await reply.write("Once")
        await asyncio.sleep(0.05)
        await reply.finish()
    assert thread.texts == ["Once"] * 2
    assert thread.states == [None, "stopped"]


async def used_up(method: str, times: int) -> Pacer:
    """A pacer whose calls of `method` are made; no more will come, since time stands still."""
    pacer = Pacer(clock=lambda: 1000.0)
    for _ in range(times):
        await pacer.take(method)
    return pacer


async def test_what_is_finished_before_a_stream_may_start_is_one_message(
    worker: Worker, thread: Thread, job: Job, faults: Faults
) -> None:
    reply = worker(job.claim(), await used_up("chat.startStream", 20))
    await reply.begin()
    for word in ("Once", " upon", " a time"):
        await reply.write(word)
        await asyncio.sleep(0.02)
    assert thread.texts == []
    await reply.finish()
    assert thread.texts == ["Once upon a time"]
    assert faults.calls["chat.startStream"] == faults.calls["chat.update"] == 0
    assert faults.calls["chat.postMessage"] == 1


async def test_an_answer_is_streamed_as_soon_as_a_stream_may_start(worker: Worker, thread: Thread, job: Job) -> None:
    now = [1000.0]
    pacer = Pacer(clock=lambda: now[0], scale=10)
    while await pacer.take("chat.startStream"):
        pass
    reply = worker(job.claim(), pacer)
    await reply.begin()
    await reply.write("Once")
    await asyncio.sleep(0.02)
    assert thread.texts == []
    await reply.write(" upon")
    now[0] += 1
    await thread.says("Once upon")
    assert thread.states == ["streaming"]
    await reply.abandon()


async def test_an_answer_that_starts_no_stream_takes_none_from_others(worker: Worker, turn: Turn) -> None:
    pacer = await used_up("chat.startStream", 18)
    for number in range(25):
        reply = worker(Job(f"{turn.job_id}-{number}").claim(), pacer)
        await reply.begin()
        await (reply.finish("Sorry.") if number == 0 else reply.abandon())
    assert await pacer.take("chat.startStream")


async def test_where_a_stream_cannot_end_yet_its_text_is_shown_already(
    worker: Worker, thread: Thread, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.answering.reply_stream.STOP_SOON_SECONDS", 0.02)
    pacer = Pacer(scale=1e6)
    may, asked, turn = {name: asyncio.Event() for name in ("append", "stop")}, asyncio.Event(), pacer.turn

    async def turn_when_it_may(method: str, *args: Any, **options: Any) -> Permit:
        if method == "chat.stopStream":
            asked.set()
            await may["stop"].wait()
        if method == "chat.appendStream":
            await may["append"].wait()
        return await turn(method, *args, **options)

    monkeypatch.setattr(pacer, "turn", turn_when_it_may)
    may["append"].set()
    reply = worker(job.claim(), pacer)
    await reply.begin()
    await reply.write("Once")
    await thread.says("Once")
    await reply.write(" upon")
    await thread.says("Once upon")
    may["append"].clear()
    await reply.write(" a time")
    ending = asyncio.create_task(reply.finish("_The end._"))
    await asked.wait()
    may["append"].set()
    await thread.says("Once upon a time")
    assert thread.states == ["streaming"]
    may["stop"].set()
    await ending
    assert thread.texts == ["Once upon a time\n\n_The end._"]
    assert thread.states == ["stopped"]


async def test_without_streams_many_answers_at_once_are_one_message_each(
    worker: Worker, thread: Thread, turn: Turn, faults: Faults
) -> None:
    """The few whose text is shown early must find calls left for their last text."""
    pacer = Pacer(clock=lambda: 1000.0, scale=10)
    pacer.streams_refused()
    for number in range(30):
        pacer._budgets._own._full.pop(f"chat.postMessage:{turn.conversation.channel_id}", None)
        reply = worker(Job(f"{turn.job_id}-{number}").claim(), pacer)
        await reply.begin()
        await reply.write("Once upon")
        await asyncio.sleep(0.005)
        await reply.finish()
    assert thread.texts == ["Once upon"] * 30
    assert 2 <= faults.calls["chat.update"] <= 20


@pytest.mark.parametrize("fault", ["cut", 503, "internal_error"])
async def test_what_cannot_be_sent_now_goes_out_with_the_end(
    either: ReplyStream, thread: Thread, faults: Faults, fault: Answer
) -> None:
    await either.write("Once")
    await thread.says("Once")
    for method in ("chat.appendStream", "chat.stopStream", "chat.update"):
        faults.always(method, fault)
    for word in (" upon", " a", " time"):
        await either.write(word)
        await asyncio.sleep(0.02)
    with pytest.raises(SlackUnreachable):
        await either.finish()
    faults.none()
    await either.finish()
    assert thread.texts == ["Once upon a time"]
    assert "streaming" not in thread.states


# --- what stands under it -----------------------------------------------------------------------------------------


async def test_thumbs_stand_under_a_finished_answer(either: ReplyStream, thread: Thread) -> None:
    await either.write("Once")
    await thread.says("Once")
    assert thread.rateable == [False]
    await either.write(" upon a time")
    await either.finish("_The end._")
    assert thread.texts == ["Once upon a time\n\n_The end._"]
    assert thread.rateable == [True]


async def test_thumbs_stand_under_the_last_message_of_a_long_answer(either: ReplyStream, thread: Thread) -> None:
    text = "".join(f"{number:09} " for number in range(MARKDOWN_CHARACTERS // 8))
    await either.write(text)
    await either.finish()
    assert "".join(thread.texts) == text.strip()
    assert thread.rateable == [False, True]


async def test_no_thumbs_stand_under_what_is_no_answer(
    worker: Worker, job: Job, pacer: Pacer, no_streams: Pacer, thread: Thread
) -> None:
    for number, of in enumerate([pacer, no_streams]):
        for words in ("Sorry.", None):
            reply = worker(Job(f"{job.job_id}-{number}-{words}").claim(), of)
            await reply.begin()
            await (reply.finish(words) if words else reply.stop("_Stopped._"))
    assert thread.texts == ["Sorry.", "_Stopped._"] * 2
    assert thread.rateable == [False] * 4


# --- a notice -----------------------------------------------------------------------------------------------------


async def test_a_notice_stands_where_the_answer_will(worker: Worker, job: Job, thread: Thread, pacer: Pacer) -> None:
    for sentence in ("You are number 3.", "You are number 2."):
        await worker(job.claim(), pacer).notice(sentence)
        assert thread.texts == [sentence]
        assert thread.jobs == [job.job_id]
    reply = worker(job.claim(), pacer)
    await reply.begin()
    await reply.write("Once")
    await reply.finish()
    assert thread.texts == ["Once"]
    assert job.posts == [thread.messages[0]["ts"]]


async def test_a_notice_takes_the_place_of_what_was_written(
    worker: Worker, job: Job, thread: Thread, pacer: Pacer
) -> None:
    journal = job.claim()
    reply = worker(journal, pacer)
    await reply.begin()
    await reply.write("Once")
    await thread.says("Once")
    await reply.abandon()
    await worker(journal, pacer).notice("You are number 3.")
    assert thread.texts == ["You are number 3."]


# --- what Slack says of it ----------------------------------------------------------------------------------------


async def test_a_refusal_is_not_an_absence(worker: Worker, job: Job, pacer: Pacer, faults: Faults) -> None:
    for fault, kind in [("is_archived", SlackError), ("cut", SlackUnreachable), (("ratelimited", 0), SlackUnreachable)]:
        reply = worker(Job("job").claim(), pacer)
        await reply.begin()
        faults.always("chat.postMessage", fault)  # type: ignore[arg-type]
        with pytest.raises(kind):
            await reply.finish("Sorry.")


async def test_a_refused_update_ends_the_answer(either: ReplyStream, thread: Thread, faults: Faults) -> None:
    await either.write("Once")
    await thread.says("Once")
    for method in ("chat.appendStream", "chat.stopStream", "chat.update"):
        faults.always(method, "is_archived")

    async def on_and_on() -> None:
        while True:
            await either.write(" upon a time")
            await asyncio.sleep(0.05)

    with pytest.raises(SlackError, match="is_archived"):
        await asyncio.wait_for(on_and_on(), timeout=10)


async def test_thinking_is_shown_and_is_never_a_reason_to_fail(
    worker: Worker, job: Job, pacer: Pacer, workspace: Workspace, turn: Turn, faults: Faults
) -> None:
    reply = worker(job.claim(), pacer)
    await reply.begin()
    assert workspace.timeline.status(GENERAL, turn.ts)
    await reply.abandon()
    assert not workspace.timeline.status(GENERAL, turn.ts)
    for fault in ("missing_scope", "cut", 503):
        faults.always("assistant.threads.setStatus", fault)
        await worker(job.claim(), pacer).begin()


async def test_the_first_text_is_timed_once(either: ReplyStream, thread: Thread) -> None:
    def timed() -> float:
        (family,) = metrics.first_text_seconds.collect()
        return next(sample.value for sample in family.samples if sample.name.endswith("_count"))

    before = timed()
    for word in ("Once", " upon", " a time"):
        await either.write(word)
        await asyncio.sleep(0.03)
    assert timed() == before + 1
    await either.finish()
    assert timed() == before + 1


@pytest.fixture
async def sent(client: AsyncWebClient, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The arguments of the last call, by method."""
    sent: dict[str, dict[str, Any]] = {}
    for method in ("chat_postMessage", "chat_startStream"):

        async def call(method: str = method, **arguments: Any) -> dict[str, str]:
            sent[method] = arguments
            return {"ts": "1.2"}

        monkeypatch.setattr(client, method, call)
    return sent


async def test_posts_unfurl_nothing(reply: ReplyStream, sent: dict[str, dict[str, Any]]) -> None:
    """Slack would load a link that a model wrote, and so tell its owner what was said."""
    await reply.finish("See https://example.org")
    assert sent["chat_postMessage"]["unfurl_links"] is sent["chat_postMessage"]["unfurl_media"] is False


async def test_the_reader_is_named(reply: ReplyStream, identity: Identity, sent: dict[str, dict[str, Any]]) -> None:
    await reply.write("Hi")
    await asyncio.sleep(0.01)
    start = sent["chat_startStream"]
    assert (start["recipient_user_id"], start["recipient_team_id"]) == (ASHA, identity.home_id)
    await reply.abandon()


async def test_a_reader_of_another_team_is_named_with_it(
    client: PacedClient, identity: Identity, turn: Turn, job: Job, pacer: Pacer, sent: dict[str, dict[str, Any]]
) -> None:
    theirs = replace(turn, asker_team_id="T0OTHER0001")
    reply = ReplyStream(client, identity, theirs, job.claim(), pacer, english, OutputFilter())
    await reply.begin()
    await reply.write("Hi")
    await asyncio.sleep(0.01)
    assert sent["chat_startStream"]["recipient_team_id"] == "T0OTHER0001"
    await reply.abandon()
