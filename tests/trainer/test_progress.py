"""Speeds of the last while, in words."""

import io

import pytest
from rich.console import Console

from trainer.progress import RECENT_SECONDS, Moment, NoFollower, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_speed_mfu_and_loss_are_those_of_the_last_while() -> None:
    clock = Clock()
    output = io.StringIO()
    console = Console(file=output, width=120, force_terminal=True)
    with Progress("tuning", 10, done=2, flops_per_second=1000.0, console=console, clock=clock) as progress:
        assert progress.speed == ""
        clock.now += 100.0  # the first step compiles
        progress.advance(tokens=100, flops=1000.0, loss=3.0)
        assert progress.tokens_per_second == pytest.approx(1.0)
        for _ in range(5):
            clock.now += RECENT_SECONDS / 5
            progress.advance(tokens=600, flops=3000.0, loss=1.25)
        assert progress.tokens_per_second == pytest.approx(100.0)
        assert progress.mfu == pytest.approx(0.5)
        assert progress.speed == "100 tokens/s · MFU 50 % · loss 1.250"
        progress.say("[a line] with brackets")
    shown = output.getvalue()
    assert "[a line] with brackets" in shown
    assert "8/10" in shown


def test_what_is_not_known_is_not_said() -> None:
    clock = Clock()
    with Progress("building", 3, console=Console(file=io.StringIO()), clock=clock) as progress:
        clock.now += 1
        progress.advance(loss=2.0)
        assert progress.mfu is None
        assert progress.tokens_per_second is None
        assert progress.speed == "loss 2.000"


def test_who_follows_is_told_how_far_it_is() -> None:
    heard: list[Moment] = []

    class Hearing(NoFollower):
        def told(self, moment: Moment) -> None:
            heard.append(moment)

    with Progress("tuning", 4, done=1, console=Console(file=io.StringIO()), follower=Hearing()) as progress:
        progress.advance(loss=3.0)
        progress.advance(2)
    assert [(moment.done, moment.total, moment.loss) for moment in heard] == [(2, 4, 3.0), (4, 4, 3.0)]
