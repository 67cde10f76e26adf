"""Dolly in virtual time: a fleet of replicas, engines and one Slack, and what people see of it.

Real are the pacing of Slack's limits (bot/slack/pacing.py, budgets.py), how an answer is brought out under them
(bot/slack/answering/reply_stream.py: streams, posts, yields), and the limits themselves (the workspace's). Modelled are
the mailbox (order in a thread, so many answers at once in each replica), the processors, the engine's speed, and time.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from bot.conversation import ConversationId, Turn
from bot.slack.answering.output_filter import OutputFilter
from bot.slack.answering.reply_stream import ReplyStream
from bot.slack.client import Identity
from bot.slack.pacing import Pacer, Priority
from bot.words import Words
from tests.benchmarks.scale.people import Question
from tests.benchmarks.scale.virtual_time import VirtualTime
from tests.benchmarks.scale.world import Answer, Engine, EngineSpeed, Processor, Slack
from tests.bot.slack.memory_journal import Job

CHARACTERS_PER_TOKEN = 4
BEFORE, AFTER = 0.35, 0.2
"""The shares of an answer's processor time until its engine is asked, and once all is written. The rest is for its
text and the calls by which it is shown."""
STORE_SECONDS = 0.01
"""From Slack's event to a worker's claim where one is free."""
IDENTITY = Identity("T1", "Team", None, "U1", "B1", "dolly", "https://slack.example/", frozenset())
WORDS = Words()


@dataclass(frozen=True)
class Fleet:
    """What an operator runs."""

    replicas: int
    concurrent_answers: int
    engines: int
    speed: EngineSpeed
    cpu_seconds: float
    """Of a replica, per answer."""
    seconds_per_call: float = 0.15
    """Until Slack has answered one."""
    questions_per_minute: int = 20

    @property
    def name(self) -> str:
        return f"{self.replicas} × {self.concurrent_answers} answers, {self.engines} engine{'s' * (self.engines > 1)}"


@dataclass
class Outcome:
    """What was seen of all questions, and of the fleet."""

    answers: list[Answer]
    slack: Slack
    seconds: float
    """Until the last answer was whole."""
    most_writing: int
    """Answers under way at once, at most."""
    busiest: float
    """The share of its time that the busiest replica computed."""
    written_tokens: float

    def of(self, name: str) -> list[float]:
        """`shown`, `whole` or `claimed` of all that were not refused, in seconds."""
        return [cast(float, getattr(answer, name)) for answer in self.answers if not answer.is_refused]

    @property
    def refused_calls(self) -> list[int]:
        """By method, how many calls Slack refused by its limits."""
        return list(self.slack.refused.values())

    @property
    def streamed_share(self) -> float:
        return sum(answer.is_streamed for answer in self.answers) / len(self.answers)


def simulate(fleet: Fleet, asked: Sequence[Question]) -> Outcome:
    """All of `asked`, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(_run(fleet, asked))


def catch_up_hours(places: int) -> float:
    """How long a catch-up takes that reads so many channels and direct messages, a page of each."""
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(_catch_up(places)) / 3600


async def _catch_up(places: int) -> float:
    loop = asyncio.get_running_loop()
    pacer = Pacer(clock=loop.time)
    for _ in range(places):
        await pacer.pass_through("conversations.history", "", Priority.CATCH_UP)
    await pacer.end()
    return loop.time()


async def _run(fleet: Fleet, asked: Sequence[Question]) -> Outcome:
    return await _Day(fleet).run(asked)


class _Plain:
    """In the output filter's place: text of which nothing but its length matters."""

    def __init__(self) -> None:
        self.so_far = ""

    def write(self, delta: str) -> None:
        self.so_far += delta

    def whole(self) -> str:
        return self.so_far

    def hear(self, texts: object) -> None:
        pass


async def _words() -> Words:
    return WORDS


class _Day:
    """One run; to be made within its loop."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._pacer = Pacer(clock=asyncio.get_running_loop().time)
        self._slack = Slack(self._pacer, fleet.seconds_per_call)
        self._processors = [Processor() for _ in range(fleet.replicas)]
        self._free = [fleet.concurrent_answers] * fleet.replicas
        self._places = asyncio.Semaphore(fleet.replicas * fleet.concurrent_answers)
        self._engines = [Engine(fleet.speed) for _ in range(fleet.engines)]
        self._threads: dict[str, asyncio.Lock] = {}
        self._recent: dict[int, deque[float]] = {}
        self._numbers = itertools.count()
        self._under_way = self._most = 0

    async def run(self, asked: Sequence[Question]) -> Outcome:
        loop = asyncio.get_running_loop()
        answers = [Answer(question.at) for question in asked]
        async with asyncio.TaskGroup() as tasks:
            for question, answer in zip(asked, answers, strict=True):
                await asyncio.sleep(max(0.0, question.at - loop.time()))
                tasks.create_task(self._asked(question, answer))
        seconds = loop.time()
        await self._pacer.end()
        return Outcome(
            answers,
            self._slack,
            seconds,
            self._most,
            max(processor.busy_seconds for processor in self._processors) / seconds,
            sum(engine.written_tokens for engine in self._engines),
        )

    async def _asked(self, question: Question, answer: Answer) -> None:
        loop = asyncio.get_running_loop()
        if not self._may_ask(question.user, loop.time()):
            answer.is_refused = True
            return
        await asyncio.sleep(STORE_SECONDS)
        thread = self._threads.setdefault(question.thread, asyncio.Lock())
        async with thread, self._places:
            answer.claimed = loop.time() - answer.asked_at
            replica = max(range(len(self._free)), key=self._free.__getitem__)
            self._free[replica] -= 1
            self._under_way += 1
            self._most = max(self._most, self._under_way)
            try:
                await self._answer(question, answer, self._processors[replica])
            finally:
                self._free[replica] += 1
                self._under_way -= 1
            answer.whole = loop.time() - answer.asked_at

    def _may_ask(self, user: int, now: float) -> bool:
        recent = self._recent.setdefault(user, deque())
        while recent and now - recent[0] > 60:
            recent.popleft()
        if len(recent) >= self._fleet.questions_per_minute:
            return False
        recent.append(now)
        return True

    async def _answer(self, question: Question, answer: Answer, processor: Processor) -> None:
        cpu = self._fleet.cpu_seconds
        per_token = cpu * (1 - BEFORE - AFTER) / max(1, question.tokens)
        client = self._slack.of(answer)
        engine = min(self._engines, key=lambda engine: engine.writing)
        if question.is_slash:
            await processor.work(cpu * BEFORE)
            async for some in engine.stream(question.prompt_tokens, question.tokens):
                await processor.work(some * per_token)
            await processor.work(cpu * AFTER)
            await client.called("response_url", "")
            return
        reply = self._reply(client, question)
        beginning = asyncio.create_task(reply.begin())
        await processor.work(cpu * BEFORE)
        if question.is_unread:
            await client.conversations_replies(channel=question.channel, ts="1.000000")
        async for some in engine.stream(question.prompt_tokens, question.tokens):
            await beginning
            await processor.work(some * per_token)
            await reply.write("word " * max(1, some * CHARACTERS_PER_TOKEN // 5))
        await processor.work(cpu * AFTER)
        await reply.finish()

    def _reply(self, client: Slack, question: Question) -> ReplyStream:
        number = next(self._numbers)
        turn = Turn(ConversationId("T1", question.channel, f"{number + 1}.000000"), f"{number + 1}.000000", "U2", "?")
        return ReplyStream(
            client,
            IDENTITY,
            turn,
            Job(str(number)).claim(),
            self._pacer,
            _words,
            cast(OutputFilter, cast(Any, _Plain())),
            clock=asyncio.get_running_loop().time,
        )
