"""An answer that only its asker sees: one post, never two."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from bot import metrics
from bot.conversation import Turn
from bot.errors import SlackError, SlackUnreachable
from bot.slack.answering.markdown import MARKDOWN_CHARACTERS
from bot.slack.answering.output_filter import OutputFilter
from bot.slack.answering.slash_reply import SlashReply
from bot.words import Words
from tests.bot.slack.conftest import english
from tests.bot.slack.memory_journal import Job

WORDS = Words()
UNTIL = 1790001800.0


class ResponseUrl:
    """Takes posts; answers each with the next status, or cuts the connection (0)."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.posts.append(await request.json())
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=status or 200, headers={"Retry-After": "0"} if status == 429 else {})


@pytest.fixture
async def response_url(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ResponseUrl]:
    monkeypatch.setattr("bot.slack.answering.slash_reply.CONNECT_RETRY_SECONDS", (0.01, 0.01))
    monkeypatch.setattr("random.random", lambda: 0.0)
    taker, app = ResponseUrl(), web.Application()
    app.router.add_post("/", taker.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    taker.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield taker
    await runner.cleanup()


@pytest.fixture
def command(turn: Turn, response_url: ResponseUrl) -> Turn:
    return replace(turn, response_url=response_url.url, response_until=UNTIL)


def reply(command: Turn, job: Job, now: float = UNTIL - 1) -> SlashReply:
    return SlashReply(command, job.claim(), english, OutputFilter(), lambda: now)


def unknown() -> float:
    (family,) = metrics.ephemeral_unknown.collect()
    return next(sample.value for sample in family.samples if sample.name.endswith("_total"))


async def answer(reply: SlashReply, text: str, sentence: str | None = None) -> None:
    await reply.begin()
    await reply.notice("You are number 3.")
    for word in text.split(" "):
        await reply.write(word + " ")
    await reply.finish(sentence)


async def test_an_answer_is_one_post(command: Turn, job: Job, response_url: ResponseUrl) -> None:
    await answer(reply(command, job), "Once <upon> a time", "_The end._")
    (post,) = response_url.posts
    assert post["text"] == post["blocks"][0]["text"] == "Once &lt;upon&gt; a time\n\n_The end._"
    assert (post["response_type"], post["replace_original"]) == ("ephemeral", True)
    assert (post["unfurl_links"], post["unfurl_media"]) == (False, False)
    assert job.written == ["ephemeral"]


async def test_a_long_answer_is_cut_and_says_so(command: Turn, job: Job, response_url: ResponseUrl) -> None:
    await answer(reply(command, job), "word " * MARKDOWN_CHARACTERS, "_The end._")
    (post,) = response_url.posts
    assert post["text"].endswith(f"\n\n{WORDS.say('answer_cut')}\n\n_The end._")
    assert MARKDOWN_CHARACTERS < len(post["text"]) <= 12_000


async def test_what_another_worker_may_have_posted_is_not_posted_again(
    command: Turn, job: Job, response_url: ResponseUrl
) -> None:
    before = unknown()
    job.shape = "ephemeral"
    await answer(reply(command, job), "Once")
    assert response_url.posts == []
    assert unknown() == before + 1


@pytest.mark.parametrize("status", [0, 500, 503])
async def test_a_post_whose_outcome_is_not_known_is_counted(
    command: Turn, job: Job, response_url: ResponseUrl, status: int
) -> None:
    before = unknown()
    response_url.statuses = [status]
    await answer(reply(command, job), "Once")
    await answer(reply(command, job), "Once")
    assert len(response_url.posts) == 1
    assert unknown() == before + 2


async def test_a_rate_limit_is_waited_out(command: Turn, job: Job, response_url: ResponseUrl) -> None:
    response_url.statuses = [429, 429]
    await answer(reply(command, job), "Once")
    assert len(response_url.posts) == 3


@pytest.mark.parametrize("status", [400, 404])
async def test_a_refusal_is_an_error(command: Turn, job: Job, response_url: ResponseUrl, status: int) -> None:
    response_url.statuses = [status]
    with pytest.raises(SlackError, match=f"http_{status}"):
        await answer(reply(command, job), "Once")
    await answer(reply(command, job), "Sorry")
    assert [post["text"] for post in response_url.posts] == ["Once", "Sorry"], "it is known that the first is not there"


@pytest.mark.parametrize("fault", ["nobody is there", "rate limit"])
async def test_what_was_certainly_not_posted_may_be_posted_by_another_attempt(
    command: Turn, job: Job, response_url: ResponseUrl, fault: str
) -> None:
    before = unknown()
    if fault == "rate limit":
        response_url.statuses = [429] * 12
    away = replace(command, response_url="http://127.0.0.1:1/") if fault == "nobody is there" else command
    with pytest.raises(SlackUnreachable):
        await answer(reply(away, job), "Once")
    assert job.shape is None
    response_url.posts.clear()
    await answer(reply(command, job), "Once")
    assert [post["text"] for post in response_url.posts] == ["Once"]
    assert unknown() == before


async def test_after_half_an_hour_slack_takes_none(command: Turn, job: Job, response_url: ResponseUrl) -> None:
    with pytest.raises(SlackError, match="expired"):
        await answer(reply(command, job, now=UNTIL), "Once")
    assert response_url.posts == []
    assert job.written == []


@pytest.mark.parametrize("how", [{"in_place": True}, {"about": "1.2.trigger"}])
async def test_that_an_answer_is_prepared_is_said_once_however_often_it_is_tried(
    command: Turn, job: Job, response_url: ResponseUrl, how: dict[str, Any]
) -> None:
    """Slack takes five posts: what each attempt says would use them up before the answer comes."""
    asked = replace(command, **how)
    response_url.statuses = [0]  # whether Slack has this one, nobody knows: it counts
    for _ in range(6):
        await reply(asked, job).begin()
    await answer(reply(asked, job), "Once")
    taken, once = (post["text"] for post in response_url.posts)
    assert taken == WORDS.say("command_taken", question="a question")
    assert once == "Once"
    assert job.uses == 2


async def test_what_was_certainly_not_said_may_be_said_by_the_next_attempt(
    command: Turn, job: Job, response_url: ResponseUrl
) -> None:
    asked = replace(command, in_place=True)
    await reply(replace(asked, response_url="http://127.0.0.1:1/"), job).begin()
    assert job.uses == 0
    await reply(asked, job).begin()
    assert len(response_url.posts) == job.uses == 1


async def test_an_abandoned_answer_is_not_posted(command: Turn, job: Job, response_url: ResponseUrl) -> None:
    abandoned = reply(command, job)
    await abandoned.write("Once")
    await abandoned.abandon()
    assert response_url.posts == []
    stopped = reply(command, job)
    await stopped.write("Once")
    await stopped.stop("_Stopped._")
    assert [post["text"] for post in response_url.posts] == ["Once\n\n_Stopped._"]
