"""All that Dolly does with a store, once, on whichever store it is."""

import time
from dataclasses import replace
from typing import Any

import pytest

from bot.conversation import AGAIN, ConversationId, Exchange, Line, Posting, Turn
from bot.errors import LeaseLost, TooManyWaiting
from bot.feedback import Feedback
from bot.preferences import Preferences
from bot.quotas import Quotas
from bot.store.claims import Claim
from bot.store.connection import Client, store_errors
from bot.store.corrections import Corrections
from bot.store.cursors import Cursors
from bot.store.dead_letters import DeadLetters
from bot.store.feedback import FeedbackStore
from bot.store.files import rewrite_files
from bot.store.followed import KEPT, Followed, ToldSoFar
from bot.store.forgetting import Forgetting
from bot.store.layout import Layout, agree
from bot.store.mailbox import Mailbox
from bot.store.marks import Marks
from bot.store.memory import Memory
from bot.store.preferences import PreferenceStore
from bot.store.quotations import Quotation, Quotations
from bot.store.rates import Rate, SharedRates
from bot.store.repeats import Repeats
from bot.store.retraining import Request, Retraining
from bot.store.sealing import Sealing
from bot.store.served_models import Candidate, Owner, ServedModel, ServedModels
from bot.store.settlings import Settlings
from bot.store.tombstones import Target, Tombstones
from bot.store.usage import Usage, Used

OWNER = "T1/B1"
NO_WORDS = {
    "seen",
    "claim",
    "claimed",
    "edited",
    "refused",
    "asked",
    "following",
    "told",
    "layout",
    "cursors",
    "quota",
    "rate",
    "erasures",
    "forgotten",
}
"""Kinds of keys that may outlive forgetting."""
SEALING = Sealing([bytes(range(32))])


def thread(number: int) -> ConversationId:
    return ConversationId("T1", "D1" if number % 2 else "C1", f"{number}.000100")


async def live(client: Client, layout: Layout, *, wait_replicas: int = 0) -> None:
    """Conversations in every partition, answered, edited, taken over, given up and forgotten again."""
    life = Life(client, layout, wait_replicas)
    await agree(client, layout, SEALING)
    await agree(client, layout, SEALING)
    for conversation in spread(layout):
        await life.answers_in_order(conversation)
        await life.is_taken_over(conversation)
        await life.gives_up(conversation)
        await life.answers_once_more(conversation)
        await life.follows_slack(conversation)
        await life.is_rated(conversation)
        await life.is_asked_about(conversation)
    await life.bounds_one_person(spread(layout)[0])
    await life.is_looked_at()
    await life.raises_the_dead()
    await life.settles()
    await life.is_learned_from()
    await life.has_another_model()
    await life.catches_up()
    await life.counts()
    await life.forgets()


def spread(layout: Layout) -> list[ConversationId]:
    """A conversation of each partition."""
    found: dict[str, ConversationId] = {}
    for number in range(1, 100 * layout.partitions):
        found.setdefault(layout.prefix_of(thread(number)), thread(number))
    assert len(found) == layout.partitions
    return list(found.values())


class Life:
    """What happens in one store."""

    def __init__(self, client: Client, layout: Layout, wait_replicas: int) -> None:
        self.client = client
        self.layout = layout
        self.mailbox = Mailbox(client, layout, SEALING, waiting_per_user=3, wait_replicas=wait_replicas)
        self.repeats = Repeats(client, layout, SEALING, self.mailbox, wait_replicas=wait_replicas)
        self.letters = DeadLetters(
            client, layout, SEALING, self.repeats, memory_seconds=86_400, wait_replicas=wait_replicas
        )
        self.corrections = Corrections(client, layout, SEALING)
        self.memory = Memory(client, layout, SEALING)
        self.forgetting = Forgetting(client, layout, SEALING)

    async def claimed(self) -> Claim:
        claim = await self.mailbox.claim()
        assert claim is not None
        return claim

    async def answers_in_order(self, conversation: ConversationId) -> None:
        second, first = (Turn(conversation, ts, "U1", f"said at {ts}") for ts in ("2.000200", "1.000100"))
        for turn in (second, first):
            assert not await self.mailbox.known(turn)
            assert await self.mailbox.enqueue(turn)
            assert not await self.mailbox.enqueue(turn)
        for turn in (first, second):
            claim = await self.claimed()
            assert claim.turn == turn
            assert await self.mailbox.renew(claim) is False
            assert await self.mailbox.request_stop(conversation, "3.000000")
            assert await self.mailbox.renew(claim) is True
            said = (Line("0.1", "U2", "Bo: before"), Line("0.2", "U3", "Cy: before"))
            await self.mailbox.commit(claim, Exchange(turn.ts, "U1", turn.text, "answer", tokens=5, earlier=said))
        assert [exchange.ts for exchange in await self.memory.read(conversation)] == [first.ts, second.ts]

    async def is_taken_over(self, conversation: ConversationId) -> None:
        turn = Turn(conversation, "3.000300", "U2", "said")
        await self.mailbox.enqueue(turn)
        before = await self.claimed()
        await self.mailbox.note_shape(before, "stream")
        await self.mailbox.note_post(before, "3.000400")
        await self.mailbox.note_kept(before, Exchange(turn.ts, "U2", turn.text, "answer", tokens=5))
        assert await self.mailbox.place(before) == 1
        await self.mailbox.fail(before, delay_seconds=0, counted=False)
        after = await self.claimed()
        assert (after.claims, after.attempt) == (2, 1)
        assert after.posting == Posting("stream", ("3.000400",))
        assert after.kept is not None
        with pytest.raises(LeaseLost):
            await self.mailbox.commit(before, None)
        await self.mailbox.commit(after, replace(after.kept, answer_ts=("3.000400",)))
        assert await self.mailbox.recorded(conversation) == {"3.000400"}

    async def gives_up(self, conversation: ConversationId) -> None:
        await self.mailbox.enqueue(Turn(conversation, "4.000400", "U3", "said"))
        claim = await self.claimed()
        await self.mailbox.note_verdict(claim, "apology")
        await self.mailbox.fail(claim, delay_seconds=0)
        again = await self.claimed()
        assert again.verdict == "apology"
        await self.mailbox.commit(again, None, buried="is_archived")

    async def answers_once_more(self, conversation: ConversationId) -> None:
        turn = Turn(conversation, "3.000300", "U2", "said", again="Tr1")
        assert await self.repeats.ask(replace(turn, ts="9.000900")) == "unknown"
        assert [await self.repeats.ask(replace(turn, again=by)) for by in ("Tr1", "Tr1", "Tr2")] == [
            *("stored", "before", "waiting")
        ]
        claim = await self.claimed()
        assert (claim.turn, claim.posting) == (turn, Posting("placed", ("3.000400",)))
        await self.mailbox.commit(claim, Exchange(turn.ts, "U2", turn.text, "another", 5, answer_ts=("3.000400",)))
        answered = await self.repeats.remembered(conversation, turn.ts)
        assert answered is not None
        assert answered.answer == "another"

    async def is_rated(self, conversation: ConversationId) -> None:
        opinions = FeedbackStore(self.client, self.layout, SEALING)
        good = Feedback("2.000200", "U1", f"U{conversation.root_ts}", "up", "said", "answer", "", "", False, 1.0)
        await opinions.put(conversation, good)
        assert await opinions.newest(good.rater_id, 5) == [(conversation, good)]
        assert await opinions.withdraw(conversation, good.ts, good.rater_id)
        await opinions.put(conversation, good)
        await opinions.drop(conversation, good.ts)
        assert await opinions.newest(good.rater_id, 5) == []

    async def is_learned_from(self) -> None:
        """Feedback of every partition goes to a trainer, and part of it is taken back."""
        opinions = FeedbackStore(self.client, self.layout, SEALING)
        retraining = Retraining(self.client, self.layout.owner, bytes(range(1, 33)))
        said = Feedback("2.000200", "U8", "U9", "down", "said", "answer", "", "", True, 1.0, correction="better")
        for conversation in spread(self.layout):
            await opinions.put(conversation, said)
        kept = await opinions.all()
        assert len(kept) == self.layout.partitions
        assert await opinions.review(kept[0], said.reviewed("approved", "U7", edit="best"))
        assert not await opinions.review(kept[0], said.reviewed("rejected", "U7"))
        job_id = await retraining.prepare(Request("retrain", "U7"), {each.name: "a line" for each in kept})
        await retraining.queue(job_id)
        assert [job.id for job in await retraining.waiting()] == [job_id]
        assert (await retraining.latest(job_id), await retraining.plot(job_id)) == (None, None)
        assert await retraining.worker() is None
        await self.is_followed(job_id)
        for each in kept:
            await opinions.withdraw(each.conversation, said.ts, "U9")
        assert await retraining.exported.names() == frozenset()
        for asked in (job_id, await retraining.ask(Request("rollback", "U7"))):
            await retraining.cancel(asked)
            job = await retraining.job(asked)
            assert job is not None
            assert job.state == "cancelled"

    async def is_followed(self, job_id: str) -> None:
        """An admin is told of a job, to its end."""
        followed = Followed(self.client, self.layout)
        assert await followed.lead("one", 30)
        assert await followed.lead("one", 30)
        for number in range(KEPT):
            await followed.follow(f"{job_id}-{number}", float(number))
        await followed.follow(job_id, float(KEPT))
        assert (await followed.open())[-1] == (await followed.asked())[0] == job_id
        told = ToldSoFar("D1", "1.000100", "hash", is_concluded=True)
        await followed.note(job_id, told)
        assert await followed.told(job_id) == told
        for each in await followed.open():
            await followed.end(each)
        await followed.resign("one")

    async def is_asked_about(self, conversation: ConversationId) -> None:
        quotations = Quotations(self.client, self.layout, SEALING)
        where, copy = (replace(conversation, root_ts=conversation.root_ts + trigger) for trigger in (".a", ".b"))
        message = {"ts": "8.000800", "text": "said"}
        quotation = Quotation("U1", "U2", "C1", "8.000800", "9.000900", "http://127.0.0.1/r", 0.0, message)
        await quotations.put(where, quotation)
        await quotations.keep(where, is_private=False)
        assert await quotations.copy(where, copy)
        await quotations.forget(where)
        assert await quotations.of(where) is None
        await quotations.forget(copy, "U3")
        assert await quotations.of(copy) == quotation
        await quotations.forget(copy, "U2")
        assert await quotations.of(copy) is None

    async def follows_slack(self, conversation: ConversationId) -> None:
        waits = Turn(conversation, "5.000500", "U1", "said")
        await self.mailbox.enqueue(waits)
        assert await self.corrections.revise(conversation, waits.ts, "said better") == "waiting"
        claim = await self.claimed()
        assert claim.turn == replace(waits, text="said better")
        assert await self.corrections.revise(conversation, "1.000100", "changed meanwhile") == "remembered"
        await self.mailbox.commit(claim, None)
        assert (await self.memory.read(conversation))[0].question == "changed meanwhile"
        await self.corrections.withdraw(conversation, "1.000100")
        assert [exchange.ts for exchange in await self.memory.read(conversation)] == ["2.000200", "3.000300"]
        await self.mailbox.enqueue(Turn(conversation, "6.000600", "U1", "said"))
        await self.corrections.withdraw(conversation, "6.000600")
        assert await self.mailbox.claim() is None

    async def bounds_one_person(self, conversation: ConversationId) -> None:
        turns = [Turn(conversation, f"{number}.000000", "U4", "said") for number in range(10, 14)]
        for turn in turns[:-1]:
            await self.mailbox.enqueue(turn)
        with pytest.raises(TooManyWaiting):
            await self.mailbox.enqueue(turns[-1])

    async def is_looked_at(self) -> None:
        report = await self.mailbox.report()
        assert (report.waiting, report.leased, report.dead) == (3, 0, self.layout.partitions)
        assert report.oldest_seconds > 0
        assert set(await self.memory.threads(3600)) == set(spread(self.layout))
        assert await self.memory.first_time("T1/D1")
        assert not await self.memory.first_time("T1/D1")

    async def raises_the_dead(self) -> None:
        job_id = f"{spread(self.layout)[0]}/4.000400"
        assert await self.letters.ask_again(job_id)
        claim = await self.claimed()
        assert (claim.job_id, claim.attempt) == (job_id, 1)
        await self.mailbox.commit(claim, None, buried="is_archived")
        for letter in await self.letters.newest(10):
            assert letter.job_id == job_id or await self.letters.drop(letter.job_id)

    async def settles(self) -> None:
        settlings = Settlings(self.client, self.layout, SEALING)
        assert await settlings.next() is None, "it is not time yet"
        for prefix in self.layout.prefixes:
            async with store_errors():
                jobs: Any = await self.client.zrange(prefix + "settle", 0, -1)
                await self.client.zadd(prefix + "settle", dict.fromkeys(jobs, 0))
            for again in ("", AGAIN):
                settling = await settlings.next()
                assert settling is not None
                assert settling.job_id.endswith("/3.000300" + again)
                assert (settling.turn_ts, settling.kept) == ("3.000300", ("3.000400",))
                await settlings.done(settling)
        assert await settlings.next() is None

    async def has_another_model(self) -> None:
        models, owner = ServedModels(self.client), Owner(2, "box", 1)
        model = ServedModel("0001-3fa9c2d1", name="team-model", keys=("<|im_end|>",), url="http://127.0.0.1:8081")
        assert await models.own(owner, 15)
        assert (await models.owner(), await models.is_promoting()) == (owner, False)
        wanted = Candidate("attempt", "wanted", model)
        await models.want(wanted)
        assert await models.candidate() == wanted
        assert await models.all() == (wanted, None, None)
        assert await models.note(wanted, "ready", url=model.url) == replace(wanted, state="ready")
        await models.set_current(model)
        assert await models.move_current(model.revision, "")
        assert await models.current() == replace(model, url="")
        assert await models.approve("0002-00000000", "U7") == ["U7"]
        await models.drop_approvals("0002-00000000")
        await models.drop_canary()
        assert (await models.canary(), await models.previous()) == (None, None)
        await self.client.delete("model:current")
        await self.client.delete("model:candidate")

    async def catches_up(self) -> None:
        cursors, marks = Cursors(self.client, self.layout), Marks(self.client, self.layout)
        heard = await cursors.read(now=100.0)
        assert (heard.until, heard.behind) == (100.0, {})
        await cursors.probe(2)
        await cursors.advance(200.0)
        await cursors.hold("C1", 150.0)
        heard = await cursors.read(now=300.0)
        assert (heard.until, heard.behind) == (200.0, {"C1": 150.0})
        await cursors.release("C1")
        for conversation in spread(self.layout):
            assert await marks.is_newest_edit(conversation, "1.000100", "7.000000")
            assert not await marks.is_newest_edit(conversation, "1.000100", "6.000000")
            refused = Turn(conversation, "7.000000", f"U{conversation.root_ts}", "said")
            for new in (True, False):
                assert await self.mailbox.refuse(refused, "question_too_long", is_final=False) is new
            job = f"{self.layout.prefix_of(conversation)}job:{refused.job_id}"
            assert await self.client.hget(job, "verdict") == "question_too_long"

    async def counts(self) -> None:
        quotas = Quotas(self.client, self.layout, questions_per_minute=1, tokens_per_day=10)
        assert await quotas.admit("U1") is None
        assert await quotas.admit("U1") is not None
        assert await quotas.admit("U2") is None
        await quotas.spend(11)
        assert await quotas.admit("U3") is not None
        await quotas.set_own("U1", 5)
        await quotas.reset_person("U1")
        await quotas.reset_tokens()
        assert (await quotas.report()).own == {"U1": 5}
        await quotas.set_own("U1", None)
        usage = Usage(self.client, self.layout)
        await usage.count("U1", 11)
        assert await usage.of_days(2) == {"U1": Used(1, 11)}
        rates = SharedRates(self.client, self.layout)
        assert (await rates.take("chat.update", Rate(1, at_once=3), 2)).calls == 2
        await rates.give_back("chat.update", Rate(1, at_once=3))
        await rates.hold("chat.update", Rate(1, at_once=3), 1)
        assert (await rates.take("chat.update", Rate(1, at_once=3), 1)).calls == 0

    async def forgets(self) -> None:
        first, *others = spread(self.layout)
        await PreferenceStore(self.client, self.layout, SEALING).set_person("U2", Preferences())
        assert await self.forgetting.conversations_of("U1")
        assert "U1" in await self.forgetting.people(first)
        assert await self.forgetting.quoted(first) == {"U2", "U3"}
        assert (await self.forgetting.user("U2")).exchanges == 2 * self.layout.partitions
        assert await self.forgetting.quoted(first) == {"U3"}
        assert (await self.forgetting.conversation(first)).waiting >= 3
        assert await self.memory.read(first) == []
        await self.forgetting.channel("D1")
        assert (await self.forgetting.team()).conversations <= len(others)
        async with store_errors():
            found = {key async for key in self.client.scan_iter(match="dolly:*")}
        left = {key.partition("}:")[2].partition(":")[0] for key in found}
        assert left <= NO_WORDS, "nothing that holds people's words stays"
        tombstones = Tombstones(self.client, self.layout, SEALING)
        said = [Line("1.000000", "U1", "Asha: before"), Line("3.000000", "U1", "Asha: after")]
        assert await tombstones.unforgotten(first, said) == said
        await tombstones.put({tombstones.of(Target(user_id="U1")): 2.0, tombstones.of(Target(first)): 0.5})
        assert await tombstones.unforgotten(first, said) == said[1:]
        await tombstones.put({tombstones.of(Target(first)): time.time() - 1})
        assert await tombstones.unforgotten(first, said) == []
        assert await tombstones.unforgotten(thread(900), said) == said[1:]
        await tombstones.note_applied(["one", "two"])
        assert await tombstones.applied() == {"one", "two"}
        await rewrite_files(self.client)
