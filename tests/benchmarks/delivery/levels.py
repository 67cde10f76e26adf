"""What was seen with so many conversations at once: as a table's rows, and as the plot of docs/."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.delivery.contestants import Run
from tests.benchmarks.delivery.figures import Spread, percentile


@dataclass
class Level:
    """The runs with so many conversations at once, Dolly's and the plain bot's in pairs."""

    conversations: int
    dolly: list[Run] = field(default_factory=list)
    plain: list[Run] = field(default_factory=list)

    def added_ms(self, share: float) -> Spread:
        """What Dolly adds to the time to the first visible text, pair by pair."""
        return Spread.of(
            1000 * (percentile(mine.seen.first_text_seconds, share) - percentile(its.seen.first_text_seconds, share))
            for mine, its in zip(self.dolly, self.plain, strict=True)
        )

    def cpu_ratio(self) -> Spread:
        return Spread.of(
            (mine.cpu_seconds + mine.store_cpu_seconds) / its.cpu_seconds
            for mine, its in zip(self.dolly, self.plain, strict=True)
        )


def first_text_ms(runs: Sequence[Run], share: float) -> Spread:
    return Spread.of(1000 * percentile(run.seen.first_text_seconds, share) for run in runs)


def print_table(levels: Sequence[Level]) -> None:
    """docs/figures.md's table."""
    print(
        "| at once | first text p50, Dolly / plain (ms) | p95, Dolly / plain (ms) | added p50 (ms) | added p95 (ms) "
        "| CPU per answer, Dolly + store / plain (ms) |"
    )
    print("|---|---|---|---|---|---|")
    for level in levels:
        mine, its = level.dolly, level.plain
        half, most = [[first_text_ms(runs, share).median for runs in (mine, its)] for share in (0.5, 0.95)]
        cpu = [
            1000 * Spread.of(costs).median
            for costs in (
                [run.cpu_seconds for run in mine],
                [run.store_cpu_seconds for run in mine],
                [run.cpu_seconds for run in its],
            )
        ]
        print(
            f"| {level.conversations} | {half[0]:.0f} / {half[1]:.0f} | {most[0]:.0f} / {most[1]:.0f} "
            f"| {level.added_ms(0.5)} | {level.added_ms(0.95)} | {cpu[0]:.1f} + {cpu[1]:.1f} / {cpu[2]:.1f} |"
        )


def draw(levels: Sequence[Level], path: Path) -> None:
    from tests.benchmarks.delivery.plot import draw_first_text

    points: dict[str, dict[int, tuple[Spread, Spread]]] = {"Dolly": {}, "plain bot": {}}
    for level in levels:
        for name, runs in (("Dolly", level.dolly), ("plain bot", level.plain)):
            points[name][level.conversations] = (first_text_ms(runs, 0.5), first_text_ms(runs, 0.95))
    draw_first_text(points, path)
