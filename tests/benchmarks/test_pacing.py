"""make bench-pacing in small: its formula, and a rush that nothing is lost in and that keeps to Slack's limits."""

from pathlib import Path

import pytest

from tests.benchmarks.pacing.__main__ import report, town
from tests.benchmarks.pacing.rush import Rush, Seen, lost

SMALL = Rush(questions=30, channels=3, old_threads=8, tokens=40)


def test_the_optimum_is_what_slacks_limits_let() -> None:
    rush = Rush(questions=200, channels=20, old_threads=50, tokens=200)
    assert rush.engine_seconds == 5
    assert rush.streams == 21
    assert rush.optimum_seconds == 9, "nine posts in a channel, five of them at once"
    assert rush.optimum_shown_p95_seconds == 9
    assert Rush(questions=10, channels=20, old_threads=0, tokens=200).optimum_seconds == 5
    assert Rush(questions=100, channels=100, old_threads=75, tokens=200).optimum_seconds == 5 + 25 * 60 / 50


async def test_a_rush_is_answered_whole_within_slacks_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with town(SMALL, tmp_path) as people:
        seen = await people.ask(0, SMALL.questions)
    assert lost(seen, SMALL) == 0
    assert sum(seen.refused.values()) <= 0.01 * sum(seen.calls.values())
    assert seen.calls["conversations.replies"] >= SMALL.old_threads
    streamed = sum(answer.is_streamed for answer in seen.answers)
    assert 0.9 * SMALL.streams <= streamed < SMALL.questions
    assert seen.calls["chat.postMessage"] == SMALL.questions - streamed
    assert seen.calls["chat.update"] == 0
    report(seen, SMALL)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("figure: pacing.")]
    assert [line.split()[1].partition(".")[2] for line in lines] == [
        *("lost", "over_optimum", "streamed_share", "first_visible_p95_s", "share_429")
    ]
    assert lines[0] == "figure: pacing.lost 0 questions goal 0 ok"


def test_what_is_said_twice_or_in_part_counts_as_lost(capsys: pytest.CaptureFixture[str]) -> None:
    rush = Rush(questions=4, channels=1, old_threads=0, tokens=3)
    whole = "§ word0 ¶"
    assert lost(Seen([], {}, {}, [[whole], [whole, whole], [], ["§ word0"]]), rush) == 3  # type: ignore[arg-type]
