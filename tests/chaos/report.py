"""What a run prints: each finding with what led to it, what was injected, and the figures."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.chaos.context import Prompt
from tests.chaos.judge import GOALS, REPORTED, Evidence, Verdict

LEAST_PER_10_000 = {
    "worker_kill": 20,
    "worker_pause": 10,
    "store_kill": 5,
    "engine_kill": 5,
    "engine_pause": 3,
    "kill_after_post": 20,
    "takeovers": 50,
}
"""A run that injected less has proven nothing."""

EXPLAINED = 8
"""So many findings of a figure are explained."""
LOG_LINES = 25
FAULT_SECONDS = 6.0


def too_little(injected: Counter[str], questions: int) -> list[str]:
    """A sentence for each fault that was injected too rarely."""
    return [
        f"{fault}: {injected[fault]}, at least {least} are wanted"
        for fault, per_10_000 in LEAST_PER_10_000.items()
        if injected[fault] < (least := max(1, math.floor(per_10_000 * questions / 10_000)))
    ]


def takeovers(prompts: Sequence[Prompt], gone: Sequence[tuple[float, str]]) -> int:
    """How often a question was asked again because who had asked it was killed or paused."""
    last: dict[int, Prompt] = {}
    count = 0
    for prompt in prompts:
        if prompt.number is None:
            continue
        before = last.get(prompt.number, prompt)
        last[prompt.number] = prompt
        if before.asker != prompt.asker:
            count += any(asker == before.asker and before.at <= at <= prompt.at for at, asker in gone)
    return count


def print_figures(verdict: Verdict) -> None:
    for figure in GOALS:
        count = verdict.count(figure)
        print(f"figure: chaos.{figure} {count} questions goal 0 {'short' if count else 'ok'}", flush=True)
    for figure in REPORTED:
        print(f"figure: chaos.{figure} {verdict.count(figure)} questions goal - ok", flush=True)


def tell_unacked(evidence: Evidence) -> None:
    """What Slack was never told of: nothing was promised, and what was a message may be found in its history."""
    unacked = [a for a in evidence.asked if a.acked is None]
    commands = sum(a.is_command for a in unacked)
    answered = sum(a.number in evidence.whole_at for a in unacked)
    print(f"never acked: {commands} commands, {len(unacked) - commands} messages; {answered} of them answered")


def explain(verdict: Verdict, evidence: Evidence, told: Iterable[tuple[float, str]], folder: Path) -> None:
    """For each missed goal, what is known of the questions that missed it."""
    logs = [
        f"{path.stem}: {line}"
        for path in sorted(folder.glob("replica-*.log"))
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    faults = sorted(told)
    for figure in GOALS:
        for number, sentence in verdict.findings[figure][:EXPLAINED]:
            print(f"\n{figure}: q{number:05d}: {sentence}")
            _explain_one(number, evidence, faults, logs)


def _explain_one(number: int, evidence: Evidence, faults: list[tuple[float, str]], logs: list[str]) -> None:
    asked = next((a for a in evidence.asked if a.number == number), None)
    if asked is None:
        return
    print(f"  in {asked.conversation}, ts {asked.ts}, poison {asked.is_poison}, sent {asked.sent}, acked {asked.acked}")
    times = [float(asked.ts)]
    for prompt in evidence.prompts:
        if prompt.number == number:
            times.append(prompt.at)
            history = " ".join(f"{n:05d}" for n in prompt.history[-12:])
            print(f"  {prompt.at:.2f} asked by {prompt.asker} behind … {history}")
    if number in evidence.whole_at:
        times.append(evidence.whole_at[number])
        print(f"  {evidence.whole_at[number]:.2f} answered whole")
    for message in evidence.shown:
        if message.conversation == asked.conversation and (
            f"{number:05d}" in message.text or message.job_ts == asked.ts or "a0" not in message.text
        ):
            print(f"  stands at {message.ts}{' (streaming)' if message.is_streaming else ''}: {message.text[:100]!r}")
    for at, sentence in faults:
        if min(times) - FAULT_SECONDS <= at <= max(times) + FAULT_SECONDS:
            print(f"  {at:.2f} fault: {sentence}")
    own = (f'/{asked.ts}", "', f'"ts": "{asked.ts}"')  # the job's lines, and not those of the thread that it began
    for line in [line for line in logs if any(mark in line for mark in own) and '"event"' in line][:LOG_LINES]:
        print(f"  {line[:400]}")
