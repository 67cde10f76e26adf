"""make bench-scale in small: virtual time, who asks when, and a simulation that keeps order and Slack's limits."""

import asyncio
import time
from dataclasses import replace

import pytest

from tests.benchmarks.delivery.figures import percentile
from tests.benchmarks.scale.people import BURST_SHARE, MOST_TOKENS, Company, Question, questions
from tests.benchmarks.scale.real_run import arrivals
from tests.benchmarks.scale.simulation import Fleet, catch_up_hours, simulate
from tests.benchmarks.scale.virtual_time import VirtualTime
from tests.benchmarks.scale.world import Engine, EngineSpeed, Processor

SPEED = EngineSpeed(one=40, all=1_000, reads=10_000)
FLEET = Fleet(2, 16, 1, SPEED, cpu_seconds=0.06)


def test_a_day_passes_in_no_time() -> None:
    async def day() -> list[float]:
        loop, woke = asyncio.get_running_loop(), []

        async def wake(after: float) -> None:
            await asyncio.sleep(after)
            woke.append(loop.time())

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3_600):
                await asyncio.gather(wake(60), wake(30), wake(86_400))
        return [*woke, loop.time()]

    began = time.perf_counter()
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        assert runner.run(day()) == pytest.approx([30, 60, 3_600])
    assert time.perf_counter() - began < 5


def test_who_waits_for_nobody_is_told() -> None:
    nobody_comes = pytest.raises(RuntimeError, match="nothing will wake them")
    with asyncio.Runner(loop_factory=VirtualTime) as runner, nobody_comes:
        runner.run(asyncio.Event().wait())


def test_an_engine_gives_each_its_share() -> None:
    async def seconds(answers: int) -> float:
        engine = Engine(EngineSpeed(one=40, all=400, reads=1e9))

        async def read() -> None:
            assert sum([some async for some in engine.stream(1, 201)]) == 201

        await asyncio.gather(*(read() for _ in range(answers)))
        return asyncio.get_running_loop().time()

    for answers, expected in ((1, 5), (10, 5), (40, 20)):
        with asyncio.Runner(loop_factory=VirtualTime) as runner:
            assert runner.run(seconds(answers)) == pytest.approx(expected, abs=0.5)


def test_a_processor_does_one_thing_after_the_other() -> None:
    async def both() -> float:
        processor = Processor()
        await asyncio.gather(processor.work(2), processor.work(3))
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        assert runner.run(both()) == 5


def test_as_many_ask_as_a_company_has_questions() -> None:
    company = Company(10_000)
    asked = questions(company, hour=10, minutes=30)
    expected = company.peak_per_second * 1_800 + 10_000 * BURST_SHARE
    assert len(asked) == pytest.approx(expected, rel=0.1)
    assert [question.at for question in asked] == sorted(question.at for question in asked)
    assert asked == questions(company, hour=10, minutes=30), "a seed fixes it"
    assert sum(question.tokens for question in asked) / len(asked) == pytest.approx(200, rel=0.1)
    assert max(question.tokens for question in asked) <= MOST_TOKENS
    assert len(arrivals(40)) == 40


def test_nobody_is_left_out_and_slacks_limits_are_kept() -> None:
    asked = questions(Company(5_000), hour=10, minutes=10)
    seen = simulate(FLEET, asked)
    assert all(answer.whole is not None and answer.shown is not None for answer in seen.answers)
    assert seen.refused_calls == [] or sum(seen.refused_calls) == 0
    starts = seen.slack.calls["chat.startStream"]
    assert starts == seen.slack.calls["chat.stopStream"] == sum(answer.is_streamed for answer in seen.answers)
    assert starts <= 20 + seen.seconds / 3 + 1, "20 a minute"
    posts, slashes = seen.slack.calls["chat.postMessage"], seen.slack.calls["response_url"]
    assert starts + posts + slashes == len(asked)


def test_a_thread_is_answered_in_its_order_and_the_next_waits_for_a_place() -> None:
    one = Question(0.0, 1, "C1", "t", prompt_tokens=10, tokens=80)
    thread = [replace(one, at=at, user=user) for user, at in enumerate((0.0, 0.1, 0.2))]
    ends = [answer.asked_at + (answer.whole or 0) for answer in simulate(FLEET, thread).answers]
    assert ends == sorted(ends)
    assert ends[2] > 3 * 2, "each takes two seconds to be written"
    apart = [replace(question, thread=f"t{question.user}") for question in thread]
    assert max(simulate(FLEET, apart).of("whole")) < 4
    alone = simulate(replace(FLEET, replicas=1, concurrent_answers=1), apart)
    assert max(alone.of("claimed")) > 3


def test_who_asks_too_often_is_refused() -> None:
    one = Question(0.0, 1, "C1", "t", prompt_tokens=10, tokens=8)
    asked = [replace(one, at=number / 10, thread=f"t{number}") for number in range(30)]
    assert sum(answer.is_refused for answer in simulate(FLEET, asked).answers) == 10


def test_more_of_what_is_short_helps() -> None:
    asked = questions(Company(10_000), hour=10, minutes=16)

    def waited(fleet: Fleet) -> float:
        return percentile(simulate(fleet, asked).of("claimed"), 0.95)

    few = replace(FLEET, replicas=1, concurrent_answers=8)
    assert waited(few) > 5 > waited(FLEET)


def test_a_catch_up_is_slacks_tier() -> None:
    assert catch_up_hours(3_000) == pytest.approx(1, rel=0.05), "50 a minute"
