"""Mailbox and memory, as a whole, against a model in plain Python: any order of anything, on a real server.

Time is the server's own; a lease or a delay that ends is played by setting its end into the past.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bot.conversation import AGAIN, ConversationId, Exchange, Turn
from bot.errors import LeaseLost
from bot.local.store import LocalStore
from bot.store.claims import Claim
from bot.store.connection import Client, connect
from bot.store.corrections import Corrections
from bot.store.dead_letters import DeadLetters
from bot.store.forgetting import Forgetting, Forgotten
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
from bot.store.repeats import Repeats
from bot.store.sealing import Sealing
from tests.conftest import Background

LAYOUT = Layout("T1/B1", partitions=2)
SEALING = Sealing([bytes(32)])
THREADS = [ConversationId("T1", "C1", f"{number}00.000000") for number in (1, 2, 3)]
LONG_MS = 3_600_000
MEMORY_TOKENS = 10
PEOPLE = ["U1", "U2"]

threads = st.sampled_from(THREADS)
timestamps = st.integers(1, 7).map(lambda number: f"1000.{number:06d}")
people = st.sampled_from(PEOPLE)
tokens = st.sampled_from([4, 6, MEMORY_TOKENS + 1])
texts = st.text(max_size=5).map(lambda text: "text " + text)
clicks = st.sampled_from(["Tr1", "Tr2", "Tr3"])
picks = st.integers(0, 99)


@dataclass(frozen=True)
class Said:
    """A question that waits, or is remembered."""

    user_id: str
    text: str


@dataclass
class Thread:
    """What the model knows of one conversation."""

    waiting: dict[str, Said] = field(default_factory=dict)
    """By ts; with `~` behind it where it is answered once more. So are the letters."""
    letters: dict[str, Said] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    remembered: dict[str, tuple[Said, int]] = field(default_factory=dict)
    """By ts, oldest first; with the tokens that it takes."""
    due: bool = False
    held: Claim | None = None
    lapsed: bool = False
    """Whether the holder's lease has ended, so that the next claim may take its turn."""

    def lose(self) -> None:
        self.held, self.lapsed, self.due = None, False, bool(self.waiting)

    def remember(self, ts: str, said: Said, tokens: int, *, again: bool) -> None:
        """The newest that fit the budget; one that alone does not fit is not remembered. A new answer has the old one's
        place, if there is one."""
        if ts not in self.remembered if again else tokens > MEMORY_TOKENS:
            return
        self.remembered[ts] = (said, tokens)
        while sum(tokens for _, tokens in self.remembered.values()) > MEMORY_TOKENS:
            del self.remembered[next(iter(self.remembered))]


class MailboxMachine(RuleBasedStateMachine):
    """Does to the mailbox and to the model the same."""

    background: Background
    store_url: str
    claims: Bundle[Claim] = Bundle("claims")

    @initialize()
    def start(self) -> None:
        self.client = self.run(self._connect())
        self.mailbox = Mailbox(
            self.client,
            LAYOUT,
            SEALING,
            lease_seconds=LONG_MS / 1000,
            memory_tokens=MEMORY_TOKENS,
            waiting_per_user=100,
        )
        self.repeats = Repeats(self.client, LAYOUT, SEALING, self.mailbox, waiting_per_user=100)
        self.letters = DeadLetters(self.client, LAYOUT, SEALING, self.repeats)
        self.corrections = Corrections(self.client, LAYOUT, SEALING)
        self.forgetting = Forgetting(self.client, LAYOUT, SEALING)
        self.memory = Memory(self.client, LAYOUT, SEALING)
        self.model = {thread: Thread() for thread in THREADS}

    async def _connect(self) -> Client:
        client = connect(self.store_url)
        await client.flushall()
        return client

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.background.run(work)

    def teardown(self) -> None:
        self.run(self.client.aclose())

    @rule(thread=threads, ts=timestamps, user_id=people, text=texts)
    def enqueue(self, thread: ConversationId, ts: str, user_id: str, text: str) -> None:
        model = self.model[thread]
        assert self.run(self.mailbox.enqueue(Turn(thread, ts, user_id, text))) is (ts not in model.seen)
        if ts not in model.seen:
            model.seen.add(ts)
            self._stored(thread, ts, Said(user_id, text))

    def _stored(self, thread: ConversationId, name: str, said: Said) -> None:
        model = self.model[thread]
        model.waiting[name] = said
        if model.held is None and not self._is_delayed(thread):
            model.due = True

    @precondition(lambda self: any(model.remembered for model in self.model.values()))
    @rule(which=picks, text=texts, click=clicks)
    def repeat(self, which: int, text: str, click: str) -> None:
        """Have a remembered question answered once more."""
        thread, ts = self._pick(which, "remembered")
        model, user_id = self.model[thread], self.model[thread].remembered[ts][0].user_id
        outcome = self.run(self.repeats.ask(Turn(thread, ts, user_id, text, again=click)))
        name, mark = ts + AGAIN, ts + AGAIN + click
        assert outcome == ("before" if mark in model.seen else "waiting" if name in model.waiting else "stored")
        model.seen.add(mark)
        if outcome == "stored":
            self._stored(thread, name, Said(user_id, text))

    @precondition(lambda self: any(model.letters for model in self.model.values()))
    @rule(which=picks)
    def revive(self, which: int) -> None:
        """Have a dead letter asked again; one that an answer is remembered of, once more."""
        thread, name = self._pick(which, "letters")
        model, ts = self.model[thread], name.removesuffix(AGAIN)
        remembered = model.remembered.get(ts)
        asked = remembered is not None or name not in model.waiting
        assert self.run(self.letters.ask_again(f"{thread}/{name}")) is asked
        if asked:
            said = model.letters.pop(name)
            if remembered is None:
                self._stored(thread, name, said)
            elif ts + AGAIN not in model.waiting:
                self._stored(thread, ts + AGAIN, remembered[0])

    def _pick(self, which: int, of: str) -> tuple[ConversationId, str]:
        """A thread, and a name of what there is in it."""
        names = [(thread, name) for thread, model in self.model.items() for name in getattr(model, of)]
        return names[which % len(names)]

    def _is_delayed(self, thread: ConversationId) -> bool:
        due_ms = self.run(self.client.zscore(LAYOUT.prefix_of(thread) + "ready", str(thread)))
        return due_ms is not None and due_ms / 1000 > self.run(self.client.time())[0] + 10

    @rule(target=claims)
    def claim(self) -> Any:
        claim = self.run(self.mailbox.claim())
        if claim is None:
            for model in self.model.values():
                if model.lapsed:
                    model.lose()
                assert not (model.due and model.waiting and model.held is None)
                model.due = False
            return multiple()
        model = self.model[claim.turn.conversation]
        assert model.held is None or model.lapsed, "two workers in one conversation"
        assert name_of(claim) == min(model.waiting), "not the earliest"
        assert Said(claim.turn.user_id, claim.turn.text) == model.waiting[name_of(claim)]
        for other in self.model.values():  # a claim gives back what has lapsed, in the partitions that it came to
            if other.lapsed and self.run(self._held_by_nobody(other)):
                other.lose()
        model.held, model.lapsed, model.due = claim, False, False
        return claim

    async def _held_by_nobody(self, model: Thread) -> bool:
        assert model.held is not None
        thread = model.held.turn.conversation
        return await self.client.zscore(LAYOUT.prefix_of(thread) + "lease", str(thread)) is None

    def _holds(self, claim: Claim) -> bool:
        return self.model[claim.turn.conversation].held == claim

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        self._expect(claim, self.mailbox.renew(claim))
        if self._holds(claim):
            self.model[claim.turn.conversation].lapsed = False

    @rule(claim=claims, ts=timestamps)
    def post(self, claim: Claim, ts: str) -> None:
        self._expect(claim, self.mailbox.note_post(claim, ts))

    @rule(claim=consumes(claims), tokens=tokens, answered=st.booleans(), buried=st.booleans())
    def commit(self, claim: Claim, tokens: int, answered: bool, buried: bool) -> None:
        turn, held = claim.turn, self._holds(claim)
        exchange = Exchange(turn.ts, turn.user_id, turn.text, "an answer", tokens) if answered else None
        self._expect(claim, self.mailbox.commit(claim, exchange, buried="engine_broke" if buried else ""))
        if held:
            model, name = self.model[turn.conversation], name_of(claim)
            said = model.waiting.pop(name)
            if answered:
                model.remember(turn.ts, said, tokens, again=bool(turn.again))
            if buried:
                model.letters[name] = said
            model.lose()

    @rule(thread=threads, ts=timestamps, user_id=people, tokens=tokens, buried=st.booleans())
    def exchange(self, thread: ConversationId, ts: str, user_id: str, tokens: int, buried: bool) -> None:
        """As a rule a question is answered at once, so that memories fill up; or its answer breaks off."""
        self.enqueue(thread, ts, user_id, "said")
        claim = self.claim()
        if isinstance(claim, Claim):
            self.commit(claim, tokens, answered=True, buried=buried)

    @rule(claim=consumes(claims), delayed=st.booleans())
    def fail(self, claim: Claim, delayed: bool) -> None:
        held = self._holds(claim)
        self._expect(claim, self.mailbox.fail(claim, delay_seconds=LONG_MS / 1000 if delayed else 0))
        if held:
            self.model[claim.turn.conversation].lose()
            self.model[claim.turn.conversation].due = not delayed

    def _expect(self, claim: Claim, work: Coroutine[Any, Any, Any]) -> None:
        """The claim's holder may do this, and nobody else."""
        if self._holds(claim):
            self.run(work)
            return
        with pytest.raises(LeaseLost):
            self.run(work)

    @rule(thread=threads)
    def lease_ends(self, thread: ConversationId) -> None:
        if self.model[thread].held is not None:
            self.run(self.client.zadd(LAYOUT.prefix_of(thread) + "lease", {str(thread): 0}))
            self.model[thread].lapsed = True

    @rule(thread=threads)
    def delay_ends(self, thread: ConversationId) -> None:
        if self._is_delayed(thread):
            self.run(self.client.zadd(LAYOUT.prefix_of(thread) + "ready", {str(thread): 0}))
            self.model[thread].due = True

    @rule(thread=threads, ts=timestamps, text=texts)
    def revise(self, thread: ConversationId, ts: str, text: str) -> None:
        model = self.model[thread]
        found = self.run(self.corrections.revise(thread, ts, text))
        name = next((name for name in (ts, ts + AGAIN) if name in model.waiting), None)
        if name is not None:
            assert found == "waiting"
            is_new = model.waiting[name].text != text
            model.waiting[name] = replace(model.waiting[name], text=text)
            if is_new and model.held is not None and name_of(model.held) == name:
                model.lose()
        if ts in model.remembered and name != ts:
            assert name or found == "remembered" or model.remembered[ts][0].text == text
            said, tokens = model.remembered[ts]
            longer = max(len(text.encode(errors="surrogatepass")) - len(said.text.encode(errors="surrogatepass")), 0)
            model.remembered[ts] = (replace(said, text=text), tokens + longer)

    @rule(thread=threads, ts=timestamps)
    def withdraw(self, thread: ConversationId, ts: str) -> None:
        model = self.model[thread]
        self.run(self.corrections.withdraw(thread, ts))
        for name in (ts, ts + AGAIN):
            model.waiting.pop(name, None)
        model.remembered.pop(ts, None)
        if model.held is not None and model.held.turn.ts == ts:
            model.lose()

    @rule(thread=threads, user_id=st.none() | people)
    def forget(self, thread: ConversationId, user_id: str | None) -> None:
        """The conversation, or one person in it."""
        model = self.model[thread]
        gone = [ts for ts, (said, _) in model.remembered.items() if user_id in (None, said.user_id)]
        ended = [name for name, said in model.waiting.items() if user_id in (None, said.user_id)]
        dropped = [name for name, said in model.letters.items() if user_id in (None, said.user_id)]
        forgotten = self.run(
            self.forgetting.user(user_id, within=thread) if user_id else self.forgetting.conversation(thread)
        )
        assert forgotten == Forgotten(int(bool(gone or ended or dropped)), len(gone), len(ended) + len(dropped))
        for ts in gone:
            del model.remembered[ts]
        for name in ended:
            del model.waiting[name]
        for name in dropped:
            del model.letters[name]
        if model.held is not None or not model.waiting:  # whoever else was being answered is begun again
            model.lose()

    @invariant()
    def memory_is_what_was_committed(self) -> None:
        for thread, model in getattr(self, "model", {}).items():
            exchanges = self.run(self.memory.read(thread))
            found = [(e.ts, Said(e.user_id, e.question), e.tokens) for e in exchanges]
            assert found == [(ts, said, tokens) for ts, (said, tokens) in model.remembered.items()]

    @invariant()
    def what_waits_is_counted(self) -> None:
        if hasattr(self, "mailbox"):
            report = self.run(self.mailbox.report())
            assert report.waiting == sum(len(model.waiting) for model in self.model.values())
            assert report.dead == sum(len(model.letters) for model in self.model.values())


def name_of(claim: Claim) -> str:
    return claim.job_id.rpartition("/")[2]


def test_mailbox_and_memory_behave_as_the_model(background: Background, local_store: LocalStore) -> None:
    machine = type("Machine", (MailboxMachine,), {"background": background, "store_url": local_store.url})
    quick = settings(max_examples=25, stateful_step_count=40, suppress_health_check=list(HealthCheck), database=None)
    run_state_machine_as_test(machine, settings=quick)
