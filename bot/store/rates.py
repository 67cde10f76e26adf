"""How often something may be done, counted in the store, for all replicas.

    rate:<name>    when the budget of that name would be full again, in µs of the server's time (rate.lua)

A key is there only while its budget is not full: seconds, as a rule. It holds no id but a channel's.
"""

from dataclasses import dataclass

from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.layout import Layout

SCRIPT = load_script("rate")
MICROSECONDS = 1_000_000
STORE_SECONDS = 5.0
"""A store that takes longer is not waited for: somebody waits for an answer."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_minute` calls in the long run, `at_once` of them without a pause (4.5: the fifth after half of one)."""

    per_minute: float
    at_once: float = 1

    @property
    def each_seconds(self) -> float:
        """In what time one call may be made."""
        return 60 / self.per_minute

    @property
    def early_seconds(self) -> float:
        """How much earlier than evenly a call may come."""
        return (self.at_once - 1) * self.each_seconds


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken of a budget."""

    calls: int
    wait_seconds: float
    """Until the next call may be made."""
    full_seconds: float = 0.0
    """Until the budget is full."""


class SharedRates:
    """The budgets. Every method raises StoreUnavailable."""

    def __init__(self, client: Client, layout: Layout) -> None:
        self._client = client
        self._prefix = layout.prefix

    async def take(self, name: str, rate: Rate, wanted: int, *, spare: float = 0.0) -> Taken:
        """Take what may be had now of `wanted` calls, and leave the share `spare` of those `at_once` to others."""
        return await self._run(name, rate, wanted, spare=spare)

    async def give_back(self, name: str, rate: Rate) -> None:
        """A call that was taken is not made."""
        await self._run(name, rate, -1)

    async def hold(self, name: str, rate: Rate, seconds: float) -> None:
        """Nobody may call for so long; then one call may be made, and further ones evenly."""
        await self._run(name, rate, 0, held_seconds=seconds)

    async def _run(self, name: str, rate: Rate, wanted: int, *, spare: float = 0.0, held_seconds: float = 0.0) -> Taken:
        each = max(1, round(rate.each_seconds * MICROSECONDS))
        early = round(each * (rate.at_once - 1))
        args = (each, early, round(early * spare), wanted, round(held_seconds * MICROSECONDS))
        async with store_errors(STORE_SECONDS):
            calls, wait, full = await run_script(self._client, SCRIPT, [f"{self._prefix}rate:{name}"], args)
        return Taken(int(calls), int(wait) / MICROSECONDS, int(full) / MICROSECONDS)
