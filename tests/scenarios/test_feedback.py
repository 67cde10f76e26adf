"""Thumbs under answers and as reactions, "Fix this answer", and what people can see and withdraw of it."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bot import metrics
from bot.access import StoreAccess
from bot.conversation import ConversationId
from bot.errors import StoreUnavailable
from bot.feedback import CORRECTION_CHARACTERS, Feedback
from bot.preferences import ChannelRules
from bot.ratings import Ratings
from bot.slack.answering.answer_blocks import FEEDBACK
from bot.slack.feedback.form import COMMENT, CORRECTION, FIX, WITHDRAW
from bot.slack.feedback.listing import WITHDRAW_LISTED
from bot.slack.permalinks import permalink
from bot.store.feedback import FeedbackStore
from bot.store.layout import Layout
from bot.store.preferences import PreferenceStore
from bot.store.sealing import Sealing
from bot.words import Words
from tests.scenarios.conftest import MEMORY_KEY, Json, Team, Transport, running_team, until
from tests.scenarios.faults import Faults
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()
ANSWER = "A frame for weaving cloth."


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text=ANSWER)) as engine:
        yield engine


@pytest.fixture
async def team(store_url: str, engine: ScriptedEngine, transport: Transport) -> AsyncIterator[Team]:
    async with running_team(store_url, engine.url, transport) as team:
        yield team


class Desk:
    """What people do about Dolly's answers, and what is kept of it."""

    def __init__(self, team: Team, redis: Redis) -> None:
        identity = team.workspace.identity
        layout, sealing = (
            Layout(f"{identity.team_id}/{identity.bot_id}", StoreAccess("").partitions),
            Sealing([MEMORY_KEY]),
        )
        self.team, self.people, self.timeline = team, team.workspace.people, team.workspace.timeline
        self.store = FeedbackStore(redis, layout, sealing)
        self.preferences = PreferenceStore(redis, layout, sealing)
        self.general = team.channel("general")

    async def asked(self, name: str = "asha", text: str = "@dolly what is a loom?", channel: str | None = None) -> str:
        """Ask, and wait for the answer; the question's ts."""
        root = await self.team.say(name, text, channel=channel)
        await self.team.answered(root, channel=channel)
        return root

    def answer_ts(self, root: str, channel: str | None = None) -> str:
        return str(self.team.thread(root, channel=channel)[-1]["ts"])

    async def rate(self, name: str, root: str, rating: str, channel: str | None = None) -> Json:
        """Press a thumb under the answer; what Dolly says of it."""
        place, before = channel or self.general, len(self.told(name, channel))
        ts = self.answer_ts(root, channel)
        await self.people.press(self.team.person(name), place, ts, FEEDBACK, value=rating)
        return await self.heard(name, before, channel)

    async def heard(self, name: str, before: int, channel: str | None = None) -> Json:
        await until(lambda: len(self.told(name, channel)) > before)
        return self.told(name, channel)[-1]

    def told(self, name: str, channel: str | None = None) -> list[Json]:
        return self.timeline.ephemerals(channel or self.general, self.team.person(name))

    async def view(self, name: str) -> Json:
        """The form that is open."""
        await until(lambda: self.timeline.top_view(self.team.person(name)) is not None)
        view = self.timeline.top_view(self.team.person(name))
        assert view is not None
        return view

    async def fill_in(self, name: str, answers: Json) -> dict[str, str]:
        return await self.people.fill_in(self.team.person(name), (await self.view(name))["id"], answers)

    def conversation(self, root: str, channel: str | None = None) -> ConversationId:
        return ConversationId(self.team.workspace.identity.team_id, channel or self.general, root)

    async def kept(self, root: str, channel: str | None = None) -> list[Feedback]:
        return await self.store.of_conversation(self.conversation(root, channel))

    async def gone(self, root: str) -> None:
        """Wait until nothing is kept of what was said of an answer."""
        async with asyncio.timeout(10):
            while await self.kept(root):
                await asyncio.sleep(0.01)

    def sorry(self, root: str) -> str:
        """Have Dolly say something in a thread that is no answer; its ts."""
        bot = self.team.bot_id
        return str(self.timeline.post(self.general, bot, "Sorry.", thread_ts=root, as_app=True)["ts"])

    async def listed(self, name: str) -> Json:
        before = len(self.told(name))
        await self.people.command(self.team.person(name), self.general, "/dolly", "feedback")
        return await self.heard(name, before)


@pytest.fixture
def desk(team: Team, redis: Redis) -> Desk:
    return Desk(team, redis)


def texts(message: Json) -> str:
    """All that a message with blocks says."""
    said = [block["text"]["text"] for block in message.get("blocks", []) if block["type"] == "section"]
    said += [each.get("text", "") for block in message.get("blocks", []) for each in block.get("elements", [])
             if block["type"] == "context"]  # fmt: skip
    return "\n".join([message.get("text", ""), *said])


def counted(rating: str) -> float:
    return float(metrics.feedback.labels(rating)._value.get())


async def test_a_thumb_up_is_kept_with_all_that_can_be_learnt_from(desk: Desk, engine: ScriptedEngine) -> None:
    engine.model_sha = "1234567890abcdef"
    root, before = await desk.asked(), counted("up")
    note = await desk.rate("ben", root, "up")
    assert note["text"] == WORDS.say("feedback_noted_up")
    assert WORDS.say("feedback_kept") in texts(note)
    assert WORDS.say("feedback_trains_not") in texts(note)
    assert note["thread_ts"] == root
    (kept,) = await desk.kept(root)
    asha, ben = desk.team.person("asha"), desk.team.person("ben")
    assert (kept.ts, kept.asker_id, kept.rater_id, kept.rating) == (root, asha, ben, "up")
    assert (kept.question, kept.answer, kept.correction) == ("what is a loom?", ANSWER, "")
    assert kept.model == f"{engine.model}@1234567890ab"
    assert len(kept.prompt_hash) == 12
    assert not kept.consent
    assert desk.timeline.top_view(ben) is None
    assert counted("up") == before + 1

    await desk.rate("ben", root, "up")
    assert await desk.kept(root) == [kept], "to click twice is to click once"
    assert counted("up") == before + 1


async def test_a_thumb_down_asks_for_the_right_answer(desk: Desk, redis: Redis) -> None:
    await desk.preferences.set_channel(desk.general, ChannelRules(training_consent=True))
    root = await desk.asked()
    note = await desk.rate("ben", root, "down")
    assert note["text"] == WORDS.say("feedback_noted_down")
    assert WORDS.say("feedback_trains") in texts(note)
    (down,) = await desk.kept(root)
    assert (down.rating, down.correction, down.consent) == ("down", "", True), "at once, whatever becomes of the form"

    view = await desk.view("ben")
    assert (view["callback_id"], view["title"]["text"]) == (FIX, "Fix this answer")
    assert view["blocks"][0]["element"]["initial_value"] == ANSWER
    consent = view["blocks"][-1]["elements"][0]["text"]
    assert consent == f"{WORDS.say('feedback_kept')} {WORDS.say('feedback_trains')}"
    assert await desk.fill_in("ben", {CORRECTION: "A machine for weaving.", COMMENT: "too vague"}) == {}
    await until(lambda: desk.timeline.top_view(desk.team.person("ben")) is None)
    (fixed,) = await desk.kept(root)
    assert fixed == replace(down, correction="A machine for weaving.", comment="too vague", at=fixed.at)

    note = await desk.rate("ben", root, "down")  # again: what was written stands in the form
    assert (await desk.view("ben"))["blocks"][0]["element"]["initial_value"] == "A machine for weaving."
    assert await desk.kept(root) == [fixed]
    await desk.fill_in("ben", {CORRECTION: ANSWER})
    (back,) = await desk.kept(root)
    assert (back.correction, back.comment) == ("", "too vague"), "the answer itself is no correction"


async def test_the_form_opens_again_from_the_note(desk: Desk) -> None:
    root, ben = await desk.asked(), desk.team.person("ben")
    note = await desk.rate("ben", root, "down")
    await desk.people.close_view(ben, (await desk.view("ben"))["id"])
    await desk.people.press(ben, desk.general, note["ts"], FIX)
    await desk.fill_in("ben", {COMMENT: "wrong"})
    (kept,) = await desk.kept(root)
    assert (kept.correction, kept.comment) == ("", "wrong")


async def test_changing_ones_mind_replaces_and_withdrawing_removes(desk: Desk) -> None:
    root, ben = await desk.asked(), desk.team.person("ben")
    await desk.rate("asha", root, "up")
    await desk.rate("ben", root, "down")
    await desk.fill_in("ben", {CORRECTION: "Otherwise."})
    note = await desk.rate("ben", root, "up")
    of_ben = [each for each in await desk.kept(root) if each.rater_id == ben]
    assert [(each.rating, each.correction) for each in of_ben] == [("up", "")]

    before = counted("withdrawn")
    await desk.people.press(ben, desk.general, note["ts"], WITHDRAW)
    await until(lambda: desk.told("ben")[-1]["text"] == WORDS.say("feedback_withdrawn"))
    assert [each.rater_id for each in await desk.kept(root)] == [desk.team.person("asha")]
    assert counted("withdrawn") == before + 1


@pytest.mark.parametrize(("emoji", "rating"), [("+1", "up"), ("thumbsup::skin-tone-3", "up"), ("-1", "down")])
async def test_reactions_count_too(desk: Desk, emoji: str, rating: str) -> None:
    root, ben = await desk.asked(), desk.team.person("ben")
    ts = desk.answer_ts(root)
    await desk.people.react(ben, desk.general, ts, emoji)
    note = await desk.heard("ben", 0)
    assert note["thread_ts"] == root
    assert [(each.rater_id, each.rating) for each in await desk.kept(root)] == [(ben, rating)]
    await desk.people.unreact(ben, desk.general, ts, emoji)
    assert (await desk.heard("ben", 1))["text"] == WORDS.say("feedback_withdrawn")
    assert await desk.kept(root) == []


async def test_a_reaction_that_was_replaced_takes_nothing_with_it(desk: Desk) -> None:
    root, ben = await desk.asked(), desk.team.person("ben")
    ts = desk.answer_ts(root)
    await desk.people.react(ben, desk.general, ts, "+1")
    await desk.heard("ben", 0)
    await desk.people.react(ben, desk.general, ts, "-1")
    note = await desk.heard("ben", 1)
    await desk.people.unreact(ben, desk.general, ts, "+1")
    await desk.people.press(ben, desk.general, note["ts"], FIX)  # a reaction opens no form, but its note does
    assert await desk.fill_in("ben", {CORRECTION: "Better."}) == {}
    assert [(each.rating, each.correction) for each in await desk.kept(root)] == [("down", "Better.")]


async def test_other_reactions_and_other_messages_mean_nothing(desk: Desk) -> None:
    root, ben = await desk.asked(), desk.team.person("ben")
    ts = desk.answer_ts(root)
    await desk.people.react(ben, desk.general, ts, "tada")
    await desk.people.react(ben, desk.general, root, "+1")  # asha's question
    await desk.people.react(ben, desk.general, desk.sorry(root), "+1")
    await desk.people.react(ben, desk.general, ts, "+1")
    await desk.heard("ben", 0)
    assert len(desk.told("ben")) == 1
    assert len(await desk.kept(root)) == 1


async def test_what_is_not_remembered_cannot_be_rated(desk: Desk, redis: Redis) -> None:
    root, ben = await desk.asked(), desk.team.person("ben")
    note = await desk.rate("ben", root, "down")
    view = await desk.view("ben")
    await desk.people.command(
        desk.team.person("asha"), desk.general, "/dolly", f"forget {permalink('https://x.example', desk.general, root)}"
    )
    await until(
        lambda: desk.told("asha") != [] and desk.told("asha")[-1]["text"] == WORDS.say("forgotten_conversation")
    )
    assert await desk.kept(root) == []

    faults = await desk.people.fill_in(ben, view["id"], {CORRECTION: "Better."})
    assert faults == {COMMENT: WORDS.say("feedback_unknown")}
    assert (await desk.rate("ben", root, "up"))["text"] == WORDS.say("feedback_unknown")
    await desk.people.react(ben, desk.general, desk.answer_ts(root), "+1")
    await until(lambda: [m["text"] for m in desk.told("ben")].count(WORDS.say("feedback_unknown")) == 2)
    await desk.people.press(ben, desk.general, note["ts"], FIX)
    await until(lambda: WORDS.say("feedback_gone") in [m["text"] for m in desk.told("ben")])
    assert await desk.kept(root) == []


async def test_a_deleted_question_takes_what_was_said_of_its_answer_along(desk: Desk) -> None:
    root, other = await desk.asked(), await desk.asked()
    for each in (root, other):
        await desk.rate("ben", each, "up")
    await desk.people.delete(desk.team.person("asha"), desk.general, root)
    await desk.gone(root)
    assert len(await desk.kept(other)) == 1
    desk.timeline.delete(desk.general, desk.answer_ts(other))  # by an admin: the answer itself
    await desk.gone(other)


async def test_feedback_lists_what_one_said_and_takes_it_back(desk: Desk) -> None:
    assert (await desk.listed("ben"))["text"] == WORDS.say("feedback_none")
    direct = desk.team.direct("ben")
    first = await desk.asked("ben", "what is <this>?", direct)
    second = await desk.asked()
    await desk.rate("ben", first, "up", direct)
    await desk.rate("ben", second, "down")
    await desk.fill_in("ben", {CORRECTION: "Better.", COMMENT: "too vague"})
    await desk.rate("asha", second, "up")

    shown = await desk.listed("ben")
    entries = [block["text"]["text"] for block in shown["blocks"] if "accessory" in block]
    assert len(entries) == 2
    assert entries[0].startswith(f"Not a good answer · <#{desk.general}>")
    assert WORDS.say("feedback_corrected", text="Better.") in entries[0]
    assert WORDS.say("feedback_commented", text="too vague") in entries[0]
    assert entries[1].startswith("A good answer · Direct message")
    assert "> what is &lt;this>?" in entries[1]

    ben = desk.team.person("ben")
    await desk.people.press(ben, desk.general, shown["ts"], WITHDRAW_LISTED)
    await until(lambda: [m for m in desk.told("ben") if m["ts"] == shown["ts"] and "too vague" not in texts(m)] != [])
    assert [each.rater_id for each in await desk.kept(second)] == [desk.team.person("asha")]
    assert len(await desk.kept(first, direct)) == 1
    assert len([block for block in (await desk.listed("ben"))["blocks"] if "accessory" in block]) == 1


async def test_feedback_is_listed_whatever_was_said(desk: Desk) -> None:
    """Escaped, three quotes of 300 characters would be longer than what a paragraph may have."""
    root = await desk.asked("ben", "@dolly " + "&" * 400)
    await desk.rate("ben", root, "down")
    await desk.fill_in("ben", {CORRECTION: "&" * 400, COMMENT: "<" * 400})
    (entry,) = [block["text"]["text"] for block in (await desk.listed("ben"))["blocks"] if "accessory" in block]
    assert entry.count("&amp;…") == 2
    assert entry.count("&lt;…") == 1


async def test_feedback_with_more_words_is_a_question(desk: Desk, engine: ScriptedEngine) -> None:
    await desk.people.command(desk.team.person("ben"), desk.general, "/dolly", "feedback of customers: summarise")
    await until(lambda: any(ANSWER in message["text"] for message in desk.told("ben")))
    assert engine.requests[-1].messages[-1]["content"] == "feedback of customers: summarise"


async def test_an_answer_that_only_its_asker_sees_has_thumbs_too(desk: Desk) -> None:
    ben = desk.team.person("ben")
    await desk.people.command(ben, desk.general, "/dolly", "what is a loom?")
    await until(lambda: any(ANSWER in message["text"] for message in desk.told("ben")))
    answer = next(message for message in desk.told("ben") if ANSWER in message["text"])
    before = len(desk.told("ben"))
    await desk.people.press(ben, desk.general, answer["ts"], FEEDBACK, value="down")
    assert (await desk.heard("ben", before))["text"] == WORDS.say("feedback_noted_down")
    assert await desk.fill_in("ben", {CORRECTION: "A machine."}) == {}
    ((_, kept),) = await desk.store.newest(ben, 5)
    assert (kept.question, kept.answer, kept.correction) == ("what is a loom?", ANSWER, "A machine.")
    entry = next(block for block in (await desk.listed("ben"))["blocks"] if "accessory" in block)
    assert "|open>" not in entry["text"]["text"], "there is no thread"


async def test_an_answer_too_long_for_the_form_is_cut_and_says_so(desk: Desk, engine: ScriptedEngine) -> None:
    whole = " ".join(f"{number:0100}" for number in range(40))
    engine.script = Script(text=whole)
    root = await desk.asked()
    await desk.rate("ben", root, "down")
    view = await desk.view("ben")
    assert view["blocks"][0]["element"]["initial_value"] == whole[:CORRECTION_CHARACTERS].strip()
    assert view["blocks"][1]["elements"][0]["text"] == WORDS.say("feedback_cut", count=CORRECTION_CHARACTERS)
    assert await desk.fill_in("ben", {}) == {}
    (kept,) = await desk.kept(root)
    assert (kept.correction, kept.answer) == ("", whole), "what was cut and left alone is no correction"


async def test_a_reader_of_hindi_is_told_in_hindi(desk: Desk) -> None:
    root = await desk.asked()
    hindi = Words("hi")
    await desk.people.change(desk.team.person("chen"), locale="hi-IN")
    note = await desk.rate("chen", root, "down")
    assert note["text"] == hindi.say("feedback_noted_down")
    assert (await desk.view("chen"))["title"]["text"] == hindi.say("feedback_fix")


async def away(*_: object) -> None:
    raise StoreUnavailable("The store does not answer.")


async def test_a_store_that_is_away_is_told_and_nothing_is_lost_silently(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, ben = await desk.asked(), desk.team.person("ben")
    note = await desk.rate("ben", root, "down")
    view = await desk.view("ben")
    with monkeypatch.context() as patch:
        patch.setattr("bot.ratings.Ratings.rate", away)
        assert (await desk.rate("asha", root, "up"))["text"] == WORDS.say("feedback_no_store")
        faults = await desk.people.fill_in(ben, view["id"], {CORRECTION: "Better."})
        assert faults == {COMMENT: WORDS.say("feedback_no_store")}, "what was written is still there"
        patch.setattr("bot.store.feedback.FeedbackStore.of", away)
        before = len(desk.told("ben"))
        await desk.people.press(ben, desk.general, note["ts"], WITHDRAW)
        assert (await desk.heard("ben", before))["text"] == WORDS.say("feedback_no_store")
        await desk.people.press(ben, desk.general, note["ts"], FIX)
        assert (await desk.heard("ben", before + 1))["text"] == WORDS.say("store_unavailable")
    assert await desk.people.fill_in(ben, view["id"], {CORRECTION: "Better."}) == {}
    assert [(each.rater_id, each.correction) for each in await desk.kept(root)] == [(ben, "Better.")]


async def test_a_reaction_waits_for_a_store_that_is_away(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.slack.feedback.reactions.RETRY_SECONDS", (0.05, 0.05))
    root, ben = await desk.asked(), desk.team.person("ben")
    rate, tries = Ratings.rate, iter([away, away])

    async def later(*given: Any) -> Any:
        return await next(tries, rate)(*given)

    monkeypatch.setattr("bot.ratings.Ratings.rate", later)
    await desk.people.react(ben, desk.general, desk.answer_ts(root), "+1")
    assert (await desk.heard("ben", 0))["text"] == WORDS.say("feedback_noted_up")
    assert len(await desk.kept(root)) == 1
    monkeypatch.setattr("bot.ratings.Ratings.withdraw", away)
    await desk.people.unreact(ben, desk.general, desk.answer_ts(root), "+1")
    assert (await desk.heard("ben", 1))["text"] == WORDS.say("feedback_no_store")


async def test_a_thumb_that_is_put_and_taken_at_once_ends_as_taken(desk: Desk) -> None:
    root, ben = await desk.asked(), desk.team.person("ben")
    ts = desk.answer_ts(root)
    for _ in range(5):
        await desk.people.react(ben, desk.general, ts, "+1")
        await desk.people.unreact(ben, desk.general, ts, "+1")
    await desk.people.react(ben, desk.general, ts, "-1")
    await until(lambda: WORDS.say("feedback_noted_down") in [m["text"] for m in desk.told("ben")])
    assert [each.rating for each in await desk.kept(root)] == ["down"]
    await desk.people.unreact(ben, desk.general, ts, "-1")
    await desk.gone(root)


async def test_a_form_that_slack_does_not_open_is_told(faults: Faults, desk: Desk) -> None:
    faults.always("views.open", "expired_trigger_id")
    root = await desk.asked()
    await desk.rate("ben", root, "down")
    await until(lambda: WORDS.say("form_not_opened") in [m["text"] for m in desk.told("ben")])
    assert [each.rating for each in await desk.kept(root)] == ["down"]


async def test_no_word_of_it_is_logged(desk: Desk, logs: io.StringIO) -> None:
    root = await desk.asked()
    await desk.rate("ben", root, "down")
    await desk.fill_in("ben", {CORRECTION: "Zanzibar.", COMMENT: "Timbuktu"})
    await desk.listed("ben")
    assert len(await desk.kept(root)) == 1
    assert "Zanzibar" not in logs.getvalue()
    assert "Timbuktu" not in logs.getvalue()
