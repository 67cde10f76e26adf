"""What is delivered to the app, and what happens when the app does not acknowledge it.

Slack gives an app 3 seconds. An event that is not acknowledged is delivered again, at once, after one
minute and after five more, with the same event_id; a command or a click is not: its person is told.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, TypeVar

from bot.local.workspace.clock import Clock
from bot.local.workspace.delivery.envelopes import DisconnectReason, Envelope, EnvelopeKind, NotAcknowledged
from bot.local.workspace.delivery.http_delivery import HttpDelivery
from bot.local.workspace.delivery.socket_mode import SocketMode
from bot.local.workspace.records import Json

ACK_SECONDS = 3.0
RETRY_WAITS_SECONDS = (0.0, 60.0, 300.0)
REMEMBERED_ENVELOPES = 1000

T = TypeVar("T")


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns. Raises TimeoutError when `seconds` pass first on this clock."""
    task, alarm = asyncio.ensure_future(work), asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()
        alarm.cancel()
        await asyncio.gather(task, alarm, return_exceptions=True)


class Delivery:
    """Brings events, commands and clicks to the app: to its request URL if it has one, else over its sockets."""

    def __init__(self, clock: Clock, sockets: SocketMode, http: HttpDelivery) -> None:
        self._clock = clock
        self._sockets = sockets
        self._http = http
        self._tasks: set[asyncio.Task[None]] = set()
        self.delivered: deque[Envelope] = deque(maxlen=REMEMBERED_ENVELOPES)
        """Every try, newest last, acknowledged or not."""

    @property
    def connections(self) -> int:
        """How many sockets the app holds open."""
        return self._sockets.connections

    async def disconnect(self, reason: DisconnectReason, *, sockets: int | None = None) -> None:
        """Tell every socket (or so many, the oldest first) to go, and close it, except on a mere warning."""
        await self._sockets.disconnect(reason, sockets=sockets)

    def pending(self) -> int:
        """How many events are neither acknowledged nor given up."""
        return len(self._tasks)

    def event(self, payload: Json) -> None:
        """Deliver an event_callback, in the background."""
        task = asyncio.get_running_loop().create_task(self._deliver_event(payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, kind: EnvelopeKind, payload: Json) -> Json:
        """Deliver a command or an interaction, once. Returns what the app answered, {} for nothing.

        Raises NotAcknowledged when it did not answer in time.
        """
        return await self._attempt(Envelope(kind, payload))

    async def stop(self) -> None:
        """Give up what is not acknowledged yet."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver_event(self, payload: Json) -> None:
        envelope = Envelope("events_api", payload)
        for retry_attempt, wait_seconds in enumerate((*RETRY_WAITS_SECONDS, None), start=1):
            try:
                await self._attempt(envelope)
                return
            except NotAcknowledged as failure:
                if failure.final or wait_seconds is None:
                    return
                envelope = Envelope("events_api", payload, retry_attempt, failure.reason)
            if wait_seconds:
                await self._clock.sleep(wait_seconds)

    async def _attempt(self, envelope: Envelope) -> Json:
        self.delivered.append(envelope)
        by_http = self._http.request_url() is not None
        send = self._http.send(envelope) if by_http else self._sockets.send(envelope)
        try:
            answer = await within(self._clock, ACK_SECONDS, send)
        except TimeoutError as error:
            raise NotAcknowledged("timeout" if by_http or self.connections else "connection_failed") from error
        envelope.acked = True
        return answer
