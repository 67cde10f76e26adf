"""Who asks when, and where: a working day's questions, with peaks, bursts and threads that go on."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

HOURS = dict(zip(range(8, 19), (2, 9, 13, 13, 7, 8, 13, 13, 12, 7, 3), strict=True))
"""By hour of the day, how many of 100 questions; a guess of the usual, with two peaks."""
FOLLOW_UPS = 0.4
"""So many of the questions go on in the asker's last thread, if that is younger than `THREAD_SECONDS`."""
THREAD_SECONDS = 1_200.0
DIRECT, SLASH, IN_OLD_THREADS = 0.30, 0.05, 0.05
"""The shares that are asked in direct messages, by `/dolly`, and in threads that Dolly has to read first."""
PEOPLE_PER_CHANNEL = 25
BURST_SECONDS = 60.0
BURSTS_PER_HOUR = 2
BURST_SHARE = 0.01
"""Of all people, so many ask within a minute when something has happened: an outage, an announcement."""
MEAN_TOKENS, MOST_TOKENS = 200, 512
MEAN_PROMPT_TOKENS = 900


@dataclass(frozen=True)
class Question:
    """One, as it comes in."""

    at: float
    """Seconds since the beginning."""
    user: int
    channel: str
    thread: str
    """What is answered in order."""
    prompt_tokens: int
    tokens: int
    """Of the answer."""
    is_slash: bool = False
    is_unread: bool = False
    """Whether its thread has to be read first."""


@dataclass(frozen=True)
class Company:
    """How much its people ask."""

    users: int
    questions_per_user: float = 3.0
    """In a working day."""

    @property
    def peak_per_second(self) -> float:
        """Of the fullest hour, bursts aside."""
        return self.users * self.questions_per_user * max(HOURS.values()) / 100 / 3600


def questions(company: Company, *, hour: int, minutes: float, seed: int = 1) -> list[Question]:
    """What is asked in the first `minutes` from `hour` on, in order."""
    chance, numbers = random.Random(seed), itertools.count()
    seconds = minutes * 60
    per_second = company.users * company.questions_per_user * HOURS[hour] / 100 / 3600
    times = [*_evenly(chance, per_second, seconds), *_bursts(chance, company.users, seconds)]
    last: dict[int, Question] = {}
    asked = []
    for at in sorted(times):
        user = min(int(company.users * chance.random() ** 2), company.users - 1)  # a quarter asks half of it
        before = last.get(user)
        if before is not None and at - before.at < THREAD_SECONDS and chance.random() < FOLLOW_UPS:
            channel, thread = before.channel, before.thread
        else:
            channel, thread = _place(chance, company, user), f"thread-{next(numbers)}"
        is_slash = chance.random() < SLASH
        question = Question(
            at,
            user,
            channel,
            f"slash-{next(numbers)}" if is_slash else thread,
            prompt_tokens=round(chance.lognormvariate(0, 0.8) * MEAN_PROMPT_TOKENS / 1.38),  # e^(0.8²/2)
            tokens=max(8, min(MOST_TOKENS, round(chance.lognormvariate(0, 0.7) * MEAN_TOKENS / 1.28))),
            is_slash=is_slash,
            is_unread=not is_slash and chance.random() < IN_OLD_THREADS,
        )
        if not is_slash:
            last[user] = question
        asked.append(question)
    return asked


def _evenly(chance: random.Random, per_second: float, seconds: float) -> Iterator[float]:
    """A Poisson process."""
    at = chance.expovariate(per_second)
    while at < seconds:
        yield at
        at += chance.expovariate(per_second)


def _bursts(chance: random.Random, users: int, seconds: float) -> Iterator[float]:
    apart = 3600 / BURSTS_PER_HOUR
    begin = apart / 2
    while begin < seconds:
        for _ in range(round(users * BURST_SHARE)):
            yield begin + chance.random() * BURST_SECONDS
        begin += apart


def _place(chance: random.Random, company: Company, user: int) -> str:
    if chance.random() < DIRECT:
        return f"D{user}"
    channels = max(1, company.users // PEOPLE_PER_CHANNEL)
    return f"C{int(channels * chance.random() ** 2)}"  # some channels are busier than others
