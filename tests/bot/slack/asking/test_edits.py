"""Messages that are edited or deleted: what waits, what is remembered, what becomes a question, what is refused."""

from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from slack_sdk.web.async_client import AsyncWebClient

from bot.attachments import SUMMARISE, Attached
from bot.conversation import Exchange, Line
from bot.errors import NotUnderstood, QuestionTooLong, StoreUnavailable, TooManyWaiting
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import BOT_USER_ID, Json
from bot.slack.client import Identity
from bot.store.connection import connect
from tests.bot.slack.conftest import ASHA, BEN, GENERAL
from tests.bot.slack.listening import Listener

DOLLY = f"<@{BOT_USER_ID}>"


@pytest.fixture
def ears(workspace: Workspace, client: AsyncWebClient, redis: Redis, identity: Identity) -> Listener:
    return Listener(workspace, client, redis, identity, waiting_per_user=2)


def say(ears: Listener, text: str, channel_id: str = GENERAL, user_id: str = ASHA, **options: Any) -> Json:
    return ears.workspace.timeline.post(channel_id, user_id, text, **options)


def told(ears: Listener, message: Json, channel_id: str = GENERAL, kind: str = "channel") -> Json:
    """The event of a message, as Slack sends it."""
    return {**message, "channel": channel_id, "channel_type": kind}


def changed(ears: Listener, message: Json, text: str, channel_id: str = GENERAL, kind: str = "channel") -> Json:
    """The event of an edit, made now."""
    new = ears.workspace.timeline.update(channel_id, message["ts"], text=text, edited_by=message["user"])
    event = {"type": "message", "subtype": "message_changed", "hidden": True, "ts": "1790000900.000001"}
    return {**event, "message": new, "previous_message": message, "channel": channel_id, "channel_type": kind}


def deleted(message: Json, channel_id: str = GENERAL) -> Json:
    event = {"type": "message", "subtype": "message_deleted", "hidden": True, "ts": "1790000900.000001"}
    return {**event, "deleted_ts": message["ts"], "previous_message": message, "channel": channel_id}


async def test_a_waiting_question_gets_its_new_text(ears: Listener) -> None:
    message = say(ears, f"{DOLLY} Berlin?")
    await ears.questions.said(told(ears, message))
    event = changed(ears, message, f"{DOLLY} Bern?")
    for _ in range(2):
        await ears.edits.changed(event)
    assert await ears.texts() == ["Bern?"]


async def test_a_repeated_edit_does_not_begin_a_running_answer_again(ears: Listener) -> None:
    message = say(ears, f"{DOLLY} Berlin?")
    await ears.questions.said(told(ears, message))
    event = changed(ears, message, f"{DOLLY} Bern?")
    await ears.edits.changed(event)
    claim = await ears.mailbox.claim()
    assert claim is not None
    await ears.edits.changed(event)
    await ears.mailbox.renew(claim)  # raises LeaseLost where it was taken away


async def test_what_is_remembered_follows_an_edit(ears: Listener) -> None:
    said, root = "1789999999.000001", say(ears, f"{DOLLY} Berlin?")
    await ears.remember(root, GENERAL, "yes", Line(said, BEN, "ben: a secret"))
    await ears.edits.changed(changed(ears, root, f"{DOLLY} Bern?"))
    assert await ears.remembered(root, GENERAL) == [("Bern?", "yes")]
    assert await ears.texts() == ["Bern?"], "it is answered again"
    quoted = {"ts": said, "thread_ts": root["ts"], "user": BEN, "text": "no secret", "edited": {"ts": "1790000800.0"}}
    event = changed(ears, root, f"{DOLLY} Bern?") | {
        "message": quoted,
        "previous_message": {**quoted, "text": "a secret"},
    }
    await ears.edits.changed(event)
    (exchange,) = await ears.memory.read(ears.questions.conversation({**root, "channel": GENERAL}))
    assert [line.text for line in exchange.earlier] == ["ben: no secret"]


async def test_what_was_read_of_a_file_goes_when_the_file_does(ears: Listener) -> None:
    files = [{"id": "F1", "name": "a.txt"}, {"id": "F2", "name": "b.txt"}]
    message = say(ears, f"{DOLLY} Berlin?", files=files)
    attached = (Attached("F1", "a.txt", "a secret", 8), Attached("F2", "b.txt", "no secret", 9))
    await ears.remember(message, GENERAL, "yes", attached=attached)
    conversation = ears.questions.conversation({**message, "channel": GENERAL})
    event = changed(ears, message, message["text"])
    await ears.edits.changed(event)
    (exchange,) = await ears.memory.read(conversation)
    assert exchange.attached == attached
    event["message"] = {**message, "files": [{"id": "F1", "mode": "tombstone"}, files[1]]}
    for _ in range(2):
        await ears.edits.changed(event)
    (exchange,) = await ears.memory.read(conversation)
    assert (exchange.question, exchange.attached) == ("Berlin?", attached[1:])


async def test_a_question_whose_words_are_taken_back_still_asks_about_its_file(ears: Listener) -> None:
    message = say(ears, f"{DOLLY} how much?", files=[{"id": "F1", "name": "a.txt"}])
    await ears.questions.said(told(ears, message))
    await ears.edits.changed(changed(ears, message, DOLLY))
    assert await ears.texts() == [SUMMARISE]


async def test_an_edit_that_comes_late_does_not_undo_a_later_one(ears: Listener, clock: ManualClock) -> None:
    message = say(ears, f"{DOLLY} one")
    await ears.questions.said(told(ears, message))
    first = changed(ears, message, f"{DOLLY} two")
    await clock.advance(5)
    second = changed(ears, message, f"{DOLLY} three")
    for event in (second, first, second):
        await ears.edits.changed(event)
    assert await ears.texts() == ["three"]


async def test_an_edit_before_its_message_and_one_that_adds_the_mention_are_questions(ears: Listener) -> None:
    early, mention, direct = (
        say(ears, f"{DOLLY} teh"),
        say(ears, "who knows?"),
        ears.workspace.timeline.direct_channel(BEN),
    )
    await ears.edits.changed(changed(ears, early, f"{DOLLY} the"))
    await ears.questions.said(told(ears, early))
    await ears.questions.said(told(ears, mention))
    event = changed(ears, mention, f"{DOLLY} who knows?")
    for _ in range(2):
        await ears.edits.changed(event)
    assert await ears.texts() == ["the", "who knows?"]
    await ears.edits.changed(changed(ears, say(ears, "helo", direct.id, BEN), "hello", direct.id, "im"))
    assert await ears.texts() == ["hello"]


async def test_an_edit_of_an_old_message_is_no_question(ears: Listener, clock: ManualClock) -> None:
    message = say(ears, "who knows?")
    await clock.advance(7 * 3600)
    await ears.edits.changed(changed(ears, message, f"{DOLLY} who knows?"))
    assert await ears.texts() == []


async def test_what_is_no_edit_changes_nothing(ears: Listener) -> None:
    """Unfurls, replies counted, streams that grow, other people's talk: none of it reaches the store."""
    away = connect("redis://127.0.0.1:1/0")
    deaf = Listener(ears.workspace, ears.client, away, ears.identity)
    asked, own = say(ears, f"{DOLLY} see https://a.example"), say(ears, "an answer", user_id=BOT_USER_ID, as_app=True)
    talk = say(ears, "people talk")
    for event in (
        changed(ears, asked, asked["text"]),
        changed(ears, own, "an answer that grows"),
        changed(ears, talk, "the reply count") | {"message": {**talk, "text": "streamed by another", "bot_id": "B9"}},
    ):
        await deaf.edits.changed(event)
    await deaf.questions.said(told(ears, talk))
    with pytest.raises(StoreUnavailable):
        await deaf.edits.changed(changed(ears, talk, "people talk on"))
    await away.aclose()


async def test_a_deleted_question_is_not_answered_and_not_remembered(ears: Listener) -> None:
    waiting, answered = say(ears, f"{DOLLY} waiting"), say(ears, f"{DOLLY} answered")
    await ears.remember(answered, GENERAL, "yes")
    await ears.questions.said(told(ears, waiting))
    for message in (waiting, answered):
        await ears.edits.deleted(deleted(message))
        await ears.questions.said(told(ears, message))
    assert await ears.texts() == []
    assert await ears.remembered(answered, GENERAL) == []


async def test_a_question_that_is_told_of_after_its_deletion_is_not_asked(ears: Listener) -> None:
    early, talk = say(ears, f"{DOLLY} never mind"), say(ears, "people talk")
    for message in (early, talk):
        await ears.edits.deleted(deleted(message))
        await ears.questions.said(told(ears, message))
    assert await ears.texts() == []
    assert len(await ears.redis.keys("*")) == 1, "nothing is kept of other people's talk"


async def test_a_deleted_root_with_replies_leaves_a_tombstone(ears: Listener) -> None:
    heard: list[Json] = []
    root = say(ears, f"{DOLLY} answered")
    await ears.remember(root, GENERAL, "yes")
    ears.workspace.changes.subscribe(lambda c: heard.append({"message": c.message, "previous_message": c.previous}))
    ears.workspace.timeline.delete(GENERAL, root["ts"])
    assert heard[0]["message"]["subtype"] == "tombstone"
    await ears.edits.changed({**heard[0], "channel": GENERAL, "channel_type": "channel"})
    assert await ears.remembered(root, GENERAL) == []


async def test_a_deleted_answer_takes_its_question_out_of_memory(ears: Listener) -> None:
    root = say(ears, f"{DOLLY} question")
    answer_ts = await ears.remember(root, GENERAL, "a wrong answer")
    answer = ears.workspace.timeline.message(GENERAL, answer_ts)
    assert answer is not None
    await ears.edits.deleted(deleted(answer))
    assert await ears.remembered(root, GENERAL) == []


async def test_what_dolly_takes_back_itself_withdraws_nothing(ears: Listener) -> None:
    """A new answer needs fewer messages than the old one, which is remembered until the new one is."""
    root = say(ears, f"{DOLLY} question")
    answer_ts = await ears.remember(root, GENERAL, "a long answer")
    answer = ears.workspace.timeline.message(GENERAL, answer_ts)
    turn = await ears.questions.question({**root, "channel": GENERAL}, direct=False)
    assert answer is not None
    assert turn is not None
    assert await ears.edits._repeats.ask(replace(turn, again="1.2.trigger")) == "stored"
    claim = await ears.mailbox.claim()
    assert claim is not None
    await ears.mailbox.note_taken_back(claim, answer_ts)
    await ears.edits.deleted(deleted(answer))
    assert await ears.remembered(root, GENERAL) == [("question", "a long answer")]
    await ears.mailbox.commit(claim, Exchange(turn.ts, ASHA, "question", "a short answer", 10))
    assert await ears.remembered(root, GENERAL) == [("question", "a short answer")]


async def test_a_question_that_is_too_long_is_refused_once(ears: Listener) -> None:
    message = say(ears, f"{DOLLY} {'x' * 201}")
    for _ in range(2):
        await ears.questions.mentioned(told(ears, message))
        await ears.questions.said(told(ears, message))
    await ears.edits.changed(changed(ears, message, f"{DOLLY} {'y' * 201}"))
    assert await ears.texts() == []
    assert ears.told == [(message["ts"], QuestionTooLong.words_key)]
    await ears.edits.changed(changed(ears, message, f"{DOLLY} short"))
    assert await ears.texts() == ["short"]


async def test_the_question_that_is_one_too_many_is_refused_once(ears: Listener) -> None:
    for number in range(3):
        message = say(ears, f"{DOLLY} {number}")
        await ears.questions.mentioned(told(ears, message))
        await ears.questions.said(told(ears, message))
    assert await ears.texts() == ["0", "1"]
    assert ears.told == [(message["ts"], TooManyWaiting.words_key)]


@pytest.mark.parametrize(
    "event",
    [
        {"message": None},
        {"message": {"ts": "x", "user": ASHA, "text": "a", "edited": {"ts": "1.0"}}},
        {"message": {"ts": "1.0", "user": ASHA, "text": "a", "edited": {"ts": "soon"}}},
        {"message": {"ts": "1.0", "user": ASHA, "text": 7, "edited": {"ts": "1.0"}}},
        {"message": {"subtype": "tombstone"}},
    ],
)
async def test_what_cannot_be_read_is_said_to_be_so(ears: Listener, event: Json) -> None:
    with pytest.raises(NotUnderstood):
        await ears.edits.changed({"channel": GENERAL, **event})
    with pytest.raises(NotUnderstood):
        await ears.edits.deleted({"channel": GENERAL, "previous_message": event["message"]})
