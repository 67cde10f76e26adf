"""Many people who ask at once, in channels and in old threads; what is seen of their answers; and the least time."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.local.workspace import Workspace
from bot.local.workspace.clock import SystemClock
from bot.local.workspace.timeline.changes import Change
from bot.local.workspace.web_api.rate_limits import POST_MESSAGE, RATES, RateLimits
from tests.benchmarks.delivery.figures import percentile
from tests.benchmarks.delivery.processes import Child
from tests.benchmarks.pacing.engine import BEGINNING, END, TOKENS_PER_SECOND, text_of

LIMIT_SECONDS = 180.0


@dataclass(frozen=True)
class Rush:
    """How much is asked at once."""

    questions: int
    channels: int
    old_threads: int
    """So many of the questions are asked in threads that Dolly has never seen, and has to read first."""
    tokens: int

    @property
    def engine_seconds(self) -> float:
        return self.tokens / TOKENS_PER_SECOND

    @property
    def streams(self) -> int:
        """What startStream's tier lets be started until the answers are written."""
        tier = RATES["chat.startStream"]
        return min(self.questions, int(tier.burst + self.engine_seconds * tier.per_minute / 60))

    @property
    def shown_seconds(self) -> list[float]:
        """When each answer can be shown first, at best: streams at once, each other one as its one message."""
        posts, channels = self.questions - self.streams, self.channels
        places = [number // channels for number in range(posts)]  # in its channel
        late = [max(0, place + 1 - POST_MESSAGE.burst) * 60 / POST_MESSAGE.per_minute for place in places]
        return [0.0] * self.streams + [self.engine_seconds + seconds for seconds in late]

    @property
    def optimum_seconds(self) -> float:
        """No answer can be whole sooner than all of these let it."""
        reads = RATES["conversations.replies"]
        read_seconds = max(0, self.old_threads - reads.burst) * 60 / reads.per_minute
        return max(self.engine_seconds, read_seconds + self.engine_seconds, *self.shown_seconds)

    @property
    def optimum_shown_p95_seconds(self) -> float:
        return percentile(self.shown_seconds, 0.95)

    def explain(self) -> str:
        posts = self.questions - self.streams
        in_a_channel, starts = -(-posts // self.channels), RATES["chat.startStream"]
        return (
            f"The optimum of {self.questions} questions at once in {self.channels} channels: the engine writes "
            f"{self.tokens} tokens at {TOKENS_PER_SECOND}/s = {self.engine_seconds:g} s; until then "
            f"{starts.burst} + {starts.per_minute}/min = {self.streams} streams can be started; of the {posts} others "
            f"{in_a_channel} are posted in a channel, {POST_MESSAGE.burst} at once and one a second: "
            f"max(0, {in_a_channel} - {POST_MESSAGE.burst}) s; {self.old_threads} threads are read, "
            f"{RATES['conversations.replies'].burst} at once. In all {self.optimum_seconds:g} s; the 95th percentile "
            f"of the first text {self.optimum_shown_p95_seconds:g} s."
        )


@dataclass
class Answer:
    """What is seen of one."""

    thread: str
    question_ts: str
    asked_seconds: float = 0.0
    """After the beginning, like the others."""
    shown_seconds: float | None = None
    whole_seconds: float | None = None
    is_streamed: bool = False


@dataclass
class Seen:
    """What is seen of all answers to a rush."""

    answers: list[Answer]
    calls: Counter[str]
    refused: Counter[str]
    """Calls, and those answered with 429, by method."""
    texts: list[list[str]] = field(default_factory=list)
    """What Dolly's messages say at the end, for each question."""


class SlowClock(SystemClock):
    """A time that passes `slower` times as slowly as that of the machine."""

    def __init__(self, slower: float) -> None:
        self._slower = slower

    def now(self) -> float:
        return time.perf_counter() / self._slower


class CountedLimits(RateLimits):
    """Slack's rate limits, and how often they were met; in a world that is `slower`."""

    def __init__(self, slower: float) -> None:
        super().__init__(SlowClock(slower))
        self._slower = slower
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def retry_after(self, method: str, channel_id: str = "") -> int | None:
        seconds = super().retry_after(method, channel_id)
        self.calls[method] += 1
        self.refused[method] += seconds is not None
        return None if seconds is None else math.ceil(seconds * self._slower)


class Town:
    """The people of `workspace`, and the channels that they ask in."""

    def __init__(self, workspace: Workspace, rush: Rush, slower: float) -> None:
        """Times are told as if the world were not `slower`."""
        self.replicas: list[Child] = []
        self._slower = slower
        self._workspace = workspace
        self._rush = rush
        self.limits = workspace.web_api._rate_limits = CountedLimits(slower)
        self._people = [user.id for user in workspace.timeline.users() if not user.is_bot]
        self._channels = [self._channel(number) for number in range(rush.channels)]
        self._old = [self._old_thread(number) for number in range(rush.old_threads)]
        self._waiting: dict[str, Answer] = {}
        self._began = 0.0
        self._all_whole = asyncio.Event()
        workspace.changes.subscribe(self._on_change)

    def _channel(self, number: int) -> str:
        timeline = self._workspace.timeline
        channel = timeline.create_channel(f"team-{number}", self._people[0])
        for user_id in (*self._people[1:], self._workspace.identity.bot_user_id):
            timeline.join(channel.id, user_id)
        return channel.id

    def _old_thread(self, number: int) -> str:
        """A talk without Dolly; the ts of its root."""
        timeline, channel_id = self._workspace.timeline, self._channels[number % len(self._channels)]
        root = str(timeline.post(channel_id, self._people[0], f"Who minds printer {number}?")["ts"])
        for reply in range(3):
            timeline.post(channel_id, self._people[1], f"Not me, said {reply}.", thread_ts=root)
        return root

    async def ask(self, first: int, count: int, *, after: Sequence[float] = ()) -> Seen:
        """Ask `count` questions, those from number `first` on; return when all are answered, or time is up.

        At once, or each `after` so many seconds; what is seen of it counts from then on.
        """
        self.limits.calls.clear()
        self.limits.refused.clear()
        self._waiting.clear()
        self._all_whole.clear()
        self._began = time.perf_counter()
        delays = after or [0.0] * count
        asking = (self._ask(number, delay) for number, delay in zip(range(first, first + count), delays, strict=True))
        answers = list(await asyncio.gather(*asking))
        deadline = self._began + LIMIT_SECONDS * self._slower
        while any(answer.whole_seconds is None for answer in answers) and time.perf_counter() < deadline:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)  # what comes twice, comes now
        return Seen(
            answers,
            Counter(self.limits.calls),
            Counter(self.limits.refused),
            [self._said(number, answer) for number, answer in enumerate(answers, first)],
        )

    async def _ask(self, number: int, after_seconds: float) -> Answer:
        await asyncio.sleep(after_seconds * self._slower)
        channel_id = self._channels[number % len(self._channels)]
        thread_ts = self._old[number] if number < len(self._old) else None
        user_id = self._people[number % len(self._people)]
        said = await self._workspace.people.post(
            user_id, channel_id, f"@dolly What is number {number}?", thread_ts=thread_ts
        )
        assert said is not None
        answer = Answer(thread_ts or str(said["ts"]), str(said["ts"]))
        answer = self._waiting.setdefault(answer.thread, answer)
        answer.asked_seconds = after_seconds
        return answer

    def _said(self, number: int, answer: Answer) -> list[str]:
        channel_id = self._channels[number % len(self._channels)]
        messages = self._workspace.timeline.replies(channel_id, answer.thread)[0]
        bot = self._workspace.identity.bot_user_id
        return [message["text"] for message in messages if message["user"] == bot]

    def _on_change(self, change: Change) -> None:
        message = change.message
        if message is None or message.get("user") != self._workspace.identity.bot_user_id:
            return
        root, now = message.get("thread_ts"), (time.perf_counter() - self._began) / self._slower
        if not root:
            return
        # An answer may be there before the call that asked has returned.
        answer = self._waiting.setdefault(root, Answer(root, root))
        answer.is_streamed |= change.detail.get("state") == "streaming"
        if answer.shown_seconds is None and BEGINNING in message["text"]:
            answer.shown_seconds = now
        if answer.whole_seconds is None and END in message["text"] and change.detail.get("state") != "streaming":
            answer.whole_seconds = now


def lost(seen: Seen, rush: Rush) -> int:
    """How many questions have not exactly one answer that says all that the engine wrote, and nothing else."""
    return sum(texts != [text_of(rush.tokens)] for texts in seen.texts)
