"""Who may call Slack next: for each method (for posts: each channel) a line, whose first waits for the budget.

The client takes a turn for each call (bot/slack/client.py). Whoever has to know when, because more text may have come
until then, takes the turn itself and calls within it:

    async with await pacer.turn("chat.appendStream", priority=Priority.GROWTH):
        await client.chat_appendStream(…)
"""

import asyncio
import contextlib
import heapq
import itertools
import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from enum import IntEnum
from typing import Any, Self

from bot import metrics
from bot.slack.budgets import RATES, Budgets
from bot.store.rates import Rate, SharedRates

STREAMS_REFUSED_SECONDS = 600.0
"""How long no stream is tried in a workspace that has just refused them."""


class Priority(IntEnum):
    """Who goes first."""

    ANSWER = 0
    """What somebody waits for: an answer's first text, its end, and what is read for it."""
    GROWTH = 1
    """More text of an answer that shows some."""
    SEARCH = 2
    """Reading after a takeover what another worker left."""
    CATCH_UP = 3
    """Reading what was said while Dolly did not hear."""


SPARE = {Priority.ANSWER: 0.0, Priority.GROWTH: 0.8, Priority.SEARCH: 0.25, Priority.CATCH_UP: 0.5}
"""The share of the calls at once that each leaves for others, at this and at other replicas."""


class Permit:
    """A call that may be made now: the next one of its method within the `async with`. If none is, it is given back."""

    def __init__(self, line: "_Line") -> None:
        self._line = line
        self._is_open = True
        self._token: Token[Permit | None] | None = None

    async def __aenter__(self) -> Self:
        self._token = _current.set(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is GeneratorExit:  # the process ends, and this runs anywhere
            return
        if self._token is not None:
            _current.reset(self._token)
        if self.use():
            self._line.give_back()

    def use(self) -> bool:
        """Whether the call is still to be made; then it counts as made."""
        was_open, self._is_open = self._is_open, False
        return was_open

    def is_for(self, line: "_Line") -> bool:
        return self._line is line


_current: ContextVar[Permit | None] = ContextVar("permit", default=None)


class Pacer:
    """The lines of one process before the budgets of one workspace. `scale` is how many times Slack's own they are."""

    def __init__(
        self,
        shared: SharedRates | None = None,
        *,
        scale: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`shared` counts for all replicas; without it, this process has the workspace to itself."""
        self._budgets = Budgets(shared, clock)
        self._scale = scale
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._streams_from = 0.0

    @property
    def has_streams(self) -> bool:
        """Whether the workspace takes streams, as far as is known."""
        return self._clock() >= self._streams_from

    def streams_refused(self) -> None:
        """Slack takes no streams in this workspace: try none for a while."""
        self._streams_from = self._clock() + STREAMS_REFUSED_SECONDS

    async def turn(
        self,
        method: str,
        channel_id: str = "",
        *,
        priority: Priority = Priority.ANSWER,
        yields_seconds: float = 0.0,
    ) -> Permit:
        """Return when `method` may be called. Who is cancelled has used nothing.

        Of one priority, who asks first goes first; `yields_seconds` let those who come so much later go before.
        """
        line = self._line(method, channel_id)
        await line.wait(priority, yields_seconds)
        return Permit(line)

    async def take(self, method: str, channel_id: str = "", *, priority: Priority = Priority.ANSWER) -> bool:
        """Whether `method` may be called this moment; then the call counts as made."""
        return await self._line(method, channel_id).take(priority)

    async def pass_through(self, method: str, channel_id: str, priority: Priority) -> None:
        """Return when the call that comes now may be made: in the turn around it, or in one of its own."""
        if method not in RATES:
            return
        line, permit = self._line(method, channel_id), _current.get()
        if permit is None or not permit.is_for(line) or not permit.use():
            await line.wait(priority)

    async def hold(self, method: str, channel_id: str, seconds: float) -> None:
        """Slack wants no call of the method for so long (Retry-After). Return when all replicas know, or it is over."""
        if method in RATES:
            await self._line(method, channel_id).hold(seconds)
        else:
            await asyncio.sleep(seconds)

    async def end(self) -> None:
        """Let nobody wait any more; what is not used goes back."""
        for line in self._lines.values():
            await line.end()

    def _line(self, method: str, channel_id: str) -> "_Line":
        name = f"{method}:{channel_id}" if method == "chat.postMessage" else method
        if name not in self._lines:
            self._lines = {name: line for name, line in self._lines.items() if line.is_used or ":" not in name}
            rate = RATES[method]
            self._lines[name] = _Line(method, name, Rate(rate.per_minute * self._scale, rate.at_once), self._budgets)
        return self._lines[name]


class _Line:
    """Those who wait for one budget, in order."""

    def __init__(self, method: str, name: str, rate: Rate, budgets: Budgets) -> None:
        self._method = method
        self._name = name
        self._rate = rate
        self._budgets = budgets
        self._waiting: list[tuple[Priority, float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._is_new = asyncio.Event()
        """Somebody more urgent has come, or nobody waits any more."""
        self._serving: asyncio.Task[None] | None = None
        self._giving_back: set[asyncio.Task[None]] = set()

    @property
    def is_used(self) -> bool:
        return bool(self._waiting or self._giving_back or (self._serving and not self._serving.done()))

    async def wait(self, priority: Priority, yields_seconds: float = 0.0) -> None:
        """Return when it is one's turn."""
        loop = asyncio.get_running_loop()
        came, served = loop.time(), loop.create_future()
        if self._waiting and priority < self._waiting[0][0]:
            self._is_new.set()
        heapq.heappush(self._waiting, (priority, came + yields_seconds, next(self._order), served))
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
            self._serving.add_done_callback(self._broken)
        try:
            await served
        except asyncio.CancelledError:
            if served.done() and not served.cancelled():
                self.give_back()
            if all(other.done() for *_, other in self._waiting):
                self._is_new.set()
            raise
        metrics.slack_wait_seconds.labels(self._method).observe(loop.time() - came)

    async def take(self, priority: Priority) -> bool:
        taken = await self._budgets.take(self._name, self._rate, 1, spare=SPARE[priority])
        return taken.calls == 1

    def give_back(self) -> None:
        """A call that could have been made is not."""
        task = asyncio.create_task(self._budgets.give_back(self._name, self._rate))
        self._giving_back.add(task)
        task.add_done_callback(self._giving_back.discard)

    async def hold(self, seconds: float) -> None:
        await self._budgets.hold(self._name, self._rate, seconds)

    async def end(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        await asyncio.gather(*self._giving_back, return_exceptions=True)

    async def _serve(self) -> None:
        """Let those who wait go, as the budget allows, until nobody does."""
        while wanted := self._most_urgent():
            self._is_new.clear()
            priority = self._waiting[0][0]
            taken = await self._budgets.take(self._name, self._rate, wanted, spare=SPARE[priority])
            for _ in range(taken.calls):
                if self._most_urgent():
                    heapq.heappop(self._waiting)[-1].set_result(None)
                else:
                    self.give_back()
            if taken.calls < wanted and self._most_urgent():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(taken.wait_seconds):
                        await self._is_new.wait()

    def _most_urgent(self) -> int:
        """How many wait with the highest priority there is; who was cancelled has left."""
        while self._waiting and self._waiting[0][-1].done():
            heapq.heappop(self._waiting)
        return sum(entry[0] == self._waiting[0][0] and not entry[-1].done() for entry in self._waiting)

    def _broken(self, serving: asyncio.Task[Any]) -> None:
        """Tell those who wait, should serving them have ended with a mistake."""
        error = serving.exception() if not serving.cancelled() else asyncio.CancelledError()
        if error is not None:
            for *_, served in self._waiting:
                if not served.done():
                    served.set_exception(error)
