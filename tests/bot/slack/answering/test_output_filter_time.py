"""Judging a text takes as much longer as it is longer, whatever stands in it: all of Dolly waits meanwhile."""

import time
from collections.abc import Callable

import pytest

from bot.slack.answering.output_filter import OutputFilter

SHORT, LONG = 1_500, 12_000
"""Eight times as many characters; sixty-four times the work where each of them looks at all the others."""
AT_MOST = 24

LINES: dict[str, Callable[[int], str]] = {
    "brackets": lambda size: "[" * size,
    "images": lambda size: "![" * (size // 2),
    "images in images": lambda size: "![" * (size // 4) + '"' + "![](" * (size // 8),
    "images in images, closed": lambda size: ("![" * 15 + "a" + "](b)" * 15) * (size // 91),
    "links that do not end": lambda size: "[a](" * (size // 4),
    "links": lambda size: "[a](b)" * (size // 6),
    "one word": lambda size: "a" * size + '"http://x.co',
    "words that may be entities": lambda size: "&" + "a" * size + " &a",
    "brackets that close nothing": lambda size: "http://a.co/" + ")" * size,
    "hosts without spaces": lambda size: "a.com," * (size // 6),
    "angles": lambda size: "<a:" * (size // 3),
    "backticks": lambda size: "".join("`" * number + " " for number in range(int((2 * size) ** 0.5))),
    "list items": lambda size: "- a\n" * (size // 4),
}


def seconds(work: Callable[[], object]) -> float:
    """Of this thread, whatever else the machine does."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def grows(work: Callable[[str], object], line: Callable[[int], str]) -> float:
    """How many times as long the long text takes."""
    short, long = line(SHORT), line(LONG)
    return min(seconds(lambda: work(long)) / seconds(lambda: work(short)) for _ in range(3))


def judge(text: str) -> None:
    output = OutputFilter()
    output.write(text)
    assert output.so_far is not None
    output.whole()


def hear(text: str) -> None:
    OutputFilter().hear([text])


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_judging_takes_as_much_longer_as_a_text_is_longer(line: Callable[[int], str]) -> None:
    assert grows(judge, line) < AT_MOST


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_hearing_takes_as_much_longer_as_a_text_is_longer(line: Callable[[int], str]) -> None:
    assert grows(hear, line) < AT_MOST


class Counting(OutputFilter):
    judged = 0

    def _judged(self, *, is_whole: bool) -> str:
        self.judged += 1
        return super()._judged(is_whole=is_whole)


@pytest.mark.parametrize("before", ["", "words " * 1_000])
def test_a_text_that_stays_undecided_is_judged_ever_less_often(before: str) -> None:
    output = Counting()
    output.write(before)
    counts = []
    for length in (2_000, 16_000):
        while len(output._text) < len(before) + length:
            output.write("[[[[")
            assert output.so_far == before
        counts.append(output.judged)
    assert counts[0] < 80
    assert counts[1] < counts[0] + 40  # eight times as much text
    assert output.whole() == before + "[" * 16_000


def test_what_is_decided_is_shown_at_once() -> None:
    output = OutputFilter()
    for word in ("Once ", "upon ", "a ", "time", ", ", "**long** ", "ago"):
        output.write(word)
        assert output.so_far.endswith(word)
