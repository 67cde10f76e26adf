"""The judge finds each kind of fault, and nothing in a good run."""

from dataclasses import replace

import pytest

from tests.chaos.context import Prompt
from tests.chaos.judge import GOALS, Asked, Evidence, Shown, Verdict, judge
from tests.chaos.markers import answer_text, question_text

THREAD, OTHER = "C1/100.0", "C1/200.0"


def asked(number: int, *, sent: float = 0, acked: float | None = 0.0, thread: str = THREAD) -> Asked:
    """Question `number`, which carries its number as ts, too."""
    return Asked(number, thread, f"{number}.000000", sent=sent, acked=acked)


def prompt(number: int, *history: int, at: float | None = None, asker: str = "a") -> Prompt:
    """Question `number`, asked behind the turns of `history`."""
    messages = [{"role": "system", "content": "You are Dolly."}]
    for earlier in history:
        messages.append({"role": "user", "content": question_text(earlier)})
        messages.append({"role": "assistant", "content": answer_text(earlier)})
    messages.append({"role": "user", "content": question_text(number)})
    return Prompt(number * 10 if at is None else at, asker, messages)


def answer(number: int, *, thread: str = THREAD) -> Shown:
    return Shown(thread, f"{number}.500000", answer_text(number))


GOOD = Evidence(
    asked=[asked(1), asked(2), asked(3), asked(4), asked(9, thread=OTHER)],
    shown=[answer(1), answer(2), answer(3), answer(4), answer(9, thread=OTHER)],
    prompts=[prompt(1), prompt(2, 1), prompt(3, 1, 2), prompt(4, 1, 2, 3), prompt(9)],
    whole_at={1: 11, 2: 21, 3: 31, 4: 41, 9: 91},
)


def found(evidence: Evidence) -> dict[str, list[int]]:
    """Which questions missed which goal."""
    verdict = judge(evidence)
    return {figure: [n for n, _ in verdict.findings[figure]] for figure in GOALS if verdict.count(figure)}


def test_a_good_run() -> None:
    assert found(GOOD) == {}
    assert judge(GOOD).is_good


LATE = [prompt(2), prompt(3, 2), prompt(4, 2, 3), prompt(1, 2, 3, 4, at=45), prompt(9)]
"""The first question was heard of last."""


def test_answered_again_behind_one_that_was_heard_late() -> None:
    heard = replace(GOOD, asked=[asked(1, acked=43.0), *GOOD.asked[1:]], whole_at={**GOOD.whole_at, 1: 46})
    assert found(replace(heard, prompts=[*LATE, prompt(3, 2, 1, at=50)])) == {}
    assert found(replace(heard, prompts=[*LATE, prompt(4, 2, 1, at=50)])) == {"lost": [3]}, "said before it"
    first_time = [*LATE[:2], prompt(1, 2, 3, at=25), prompt(4, 2, 1, at=40), prompt(9)]
    assert "lost" in found(replace(heard, prompts=first_time)), "nor is one excused that is asked for the first time"


def test_acked_and_never_heard_of_again() -> None:
    gone = replace(
        GOOD,
        shown=[s for s in GOOD.shown if s.ts != "2.500000"],
        prompts=[prompt(1), prompt(3, 1), prompt(4, 1, 3), prompt(9)],
        whole_at={1: 11, 3: 31, 4: 41, 9: 91},
    )
    assert found(gone) == {"lost": [2], "unanswered": [2]}
    unacked = replace(gone, asked=[asked(1), asked(2, acked=None), asked(3), asked(4), asked(9, thread=OTHER)])
    assert found(unacked) == {}
    assert judge(unacked).count("unacked") == 1


def test_answered_and_not_remembered() -> None:
    assert found(replace(GOOD, prompts=[prompt(1), prompt(2, 1), prompt(3, 1), prompt(4, 1, 3), prompt(9)])) == {
        "lost": [2]
    }


def test_remembered_and_forgotten_later() -> None:
    assert found(replace(GOOD, prompts=[*GOOD.prompts[:3], prompt(4, 1, 3), prompt(9)])) == {"lost": [2]}


def test_a_turn_twice_in_a_prompt() -> None:
    assert found(replace(GOOD, prompts=[*GOOD.prompts[:3], prompt(4, 1, 2, 2, 3), prompt(9)])) == {"duplicated": [2]}


def test_a_question_that_is_asked_behind_itself() -> None:
    assert found(
        replace(GOOD, prompts=[*GOOD.prompts[:3], prompt(4, 1, 2, 3), prompt(3, 1, 2, 3, at=45), prompt(9)])
    ) == {"duplicated": [3]}


def test_a_turn_of_another_thread() -> None:
    assert found(replace(GOOD, prompts=[*GOOD.prompts[:4], prompt(9, 1)]))["crossed"] == [9]


def test_an_answer_in_another_thread() -> None:
    assert found(replace(GOOD, shown=[*GOOD.shown, answer(9)])) == {"crossed": [9]}


@pytest.mark.parametrize(("acked_at", "figure"), [(10.5, "reordered"), (25.0, "late_arrivals")])
def test_order(acked_at: float, figure: str) -> None:
    """Question 2 is answered behind 3: wrong if it was there when 3 was claimed, after 11 s."""
    asked_all = [asked(1), asked(2, acked=acked_at), asked(3), asked(4), asked(9, thread=OTHER)]
    swapped = replace(
        GOOD,
        asked=asked_all,
        prompts=[prompt(1), prompt(3, 1, at=20), prompt(2, 1, 3, at=30), prompt(4, 1, 3, 2), prompt(9)],
        whole_at={1: 11, 3: 21, 2: 31, 4: 41, 9: 91},
    )
    assert "reordered" not in found(replace(swapped, taken_back={2: 15.0})), (
        "it may become whole when its stream expires"
    )
    verdict = judge(swapped)
    assert [n for n, _ in verdict.findings[figure]] == [2]
    assert verdict.is_good == (figure == "late_arrivals")


def test_an_attempt_with_an_older_memory_is_no_fault() -> None:
    """A paused worker asks with what it had read, after another has gone on."""
    stale = prompt(3, 1, at=70, asker="paused")
    assert found(replace(GOOD, prompts=[*GOOD.prompts, stale])) == {}


def test_a_trimmed_memory_is_no_fault_and_a_short_one_is() -> None:
    numbers = list(range(1, 15))
    long = Evidence(
        asked=[asked(n) for n in numbers],
        shown=[answer(n) for n in numbers],
        prompts=[prompt(n, *numbers[max(0, n - 11) : n - 1]) for n in numbers],
        whole_at={n: n * 10 + 1 for n in numbers},
    )
    assert found(long) == {}
    short = replace(long, prompts=[prompt(n, *numbers[max(0, n - 7) : n - 1]) for n in numbers])
    assert "lost" in found(short)


def test_two_answers_and_half_an_answer() -> None:
    assert found(replace(GOOD, shown=[*GOOD.shown, replace(answer(2), ts="2.6")])) == {"double_visible": [2]}
    half = replace(answer(2), text=answer_text(2).rpartition(" ")[0])
    assert found(replace(GOOD, shown=[GOOD.shown[0], half, *GOOD.shown[2:]])) == {"unanswered": [2]}
    open_stream = replace(answer(2), is_streaming=True)
    assert found(replace(GOOD, shown=[GOOD.shown[0], open_stream, *GOOD.shown[2:]])) == {"unanswered": [2]}


def test_apologies() -> None:
    """One for each poison, by metadata or by count; none for others."""
    sorry = Shown(THREAD, "8.5", "Sorry.")
    poison = replace(asked(2), is_poison=True)
    broken = replace(
        GOOD,
        asked=[asked(1), poison, *GOOD.asked[2:]],
        shown=[answer(1), sorry, answer(3), answer(4), answer(9, thread=OTHER)],
        prompts=[prompt(1), prompt(2, 1), prompt(3, 1), prompt(4, 1, 3), prompt(9)],
        whole_at={1: 11, 3: 31, 4: 41, 9: 91},
    )
    assert found(broken) == {}
    assert found(replace(broken, shown=[s for s in broken.shown if s is not sorry])) == {"unanswered": [2]}
    assert "apologised" in found(replace(broken, shown=[*broken.shown, sorry]))
    marked = replace(sorry, job_ts=poison.ts)
    assert found(replace(broken, shown=[*broken.shown[:1], marked, marked, *broken.shown[2:]])) == {
        "double_visible": [2]
    }
    assert found(replace(GOOD, shown=[*GOOD.shown, replace(sorry, job_ts="3.000000")]))["apologised"] == [3]


def test_a_slash_answer_that_nobody_knows_of_is_told_apart() -> None:
    command = Asked(7, "/dolly 7", "7.0", is_command=True, sent=0, acked=0)
    begun = replace(GOOD, asked=[*GOOD.asked, command], prompts=[*GOOD.prompts, prompt(7)])
    assert found(begun) == {}
    assert judge(begun).count("ephemeral_unknown") == 1
    assert found(replace(begun, prompts=GOOD.prompts)) == {"unanswered": [7]}
    twice = Shown("/dolly 7", "7.5", answer_text(7))
    assert found(replace(begun, shown=[*GOOD.shown, twice, replace(twice, ts="7.6")])) == {"double_visible": [7]}


def test_a_finding_counts_once_for_each_question() -> None:
    verdict = Verdict()
    verdict.add("lost", 1, "once")
    verdict.add("lost", 1, "again")
    assert verdict.count("lost") == 1
    assert not verdict.is_good


def test_what_was_taken_back_may_be_gone() -> None:
    gone = replace(
        GOOD,
        shown=[s for s in GOOD.shown if s.ts != "2.500000"],
        prompts=[prompt(1), prompt(3, 1), prompt(4, 1, 3), prompt(9)],
        whole_at={1: 11, 3: 31, 4: 41, 9: 91},
        taken_back={2: 15.0},
    )
    assert found(gone) == {}
    assert found(replace(GOOD, taken_back={2: 15.0})) == {}, "what was under way may end with it"


def test_forgotten_and_asked_with_all_the_same() -> None:
    late = [*GOOD.prompts[:3], prompt(4, 1, 2, 3, at=100), prompt(9)]
    assert found(replace(GOOD, prompts=late, taken_back={2: 60.0})) == {"stale": [2]}
    assert found(replace(GOOD, prompts=late, taken_back={2: None})) == {}, "Dolly never heard of it"
    again = [*GOOD.prompts, prompt(2, 1, at=100)]
    assert found(replace(GOOD, prompts=again, taken_back={2: 60.0})) == {"stale": [2]}
