"""How fast novelty is judged, and whether rightly: `python -m tests.benchmarks.novelty`, on one core, in a few minutes.

The texts are Alpaca's 52,002 instructions, none of them too near to another (so they were made), and 8,000 variations
of these: words left out, replaced, said twice. Each is judged against those before it that were kept, as self-instruct
does; the same is decided once more by comparing all pairs, and thousands of these pairs by rouge_score itself. Then
1,000 instructions, taken out of the pool, are judged against pools of 1,000 to 51,000. All times are this process's own
seconds of processor time, within one run. The last lines are the figures:

    figure: novelty.speedup            rouge_score's time for a new instruction over the filter's, at the largest pool:
                                       that of its LCS alone, the words split before
    figure: novelty.decisions_differ   decisions other than by all pairs, or other than rouge_score's
    figure: novelty.growth_exponent    the power of the pool's size that the time for a new instruction grows like
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy
from rapidfuzz import process
from rapidfuzz.distance import Indel
from rouge_score import rouge_scorer

from tests.conftest import SHARED_DATA
from trainer.evaluation.rouge import rouge
from trainer.self_instruct.novelty import THRESHOLD, WORD, NoveltyFilter, f_measure

ALPACA = SHARED_DATA / "alpaca" / "alpaca_data.json"
POOLS = (1000, 2000, 4000, 8000, 16000, 32000, 51000)
NEW = 1000
PAIRS = 4000
"""So many pairs are timed in rouge_score; the rest is multiplied."""
ROUNDS = 3
VARIED = 8000


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--plot", type=Path, help="draw the times into this PNG")
    chosen = arguments.parse_args()
    if not ALPACA.is_file():
        print("Not measured: Alpaca's records are not in ../shared/data.")
        return
    texts = [record["instruction"] for record in json.loads(ALPACA.read_text(encoding="utf-8"))]
    differ = decisions_differ([*texts, *varied(texts)])
    shuffled = random.Random(42).sample(texts, len(texts))
    new, pool = shuffled[:NEW], shuffled[NEW:]
    ours = {size: seconds_each(new, pool[:size]) for size in POOLS}
    lcs, whole = rouge_seconds_a_pair(new, pool)
    for size, seconds in ours.items():
        print(f"pool of {size:6,}: {seconds * 1e6:6.1f} µs for a new instruction; rouge_score's LCS {lcs * size:.3f} s")
    print(f"rouge_score takes {lcs * 1e6:.1f} µs for the LCS of a pair and {whole * 1e6:.1f} µs for the pair.")
    if chosen.plot:
        draw(ours, lcs, chosen.plot)
    speedup = lcs * POOLS[-1] / ours[POOLS[-1]]
    exponent = statistics.linear_regression(
        [float(numpy.log(size)) for size in POOLS], [float(numpy.log(ours[size])) for size in POOLS]
    ).slope
    print(f"Beside rouge_score as it is called, words and all: {whole * POOLS[-1] / ours[POOLS[-1]]:,.0f} times.")
    print(f"figure: novelty.speedup {speedup:.0f} times goal 5000 {'ok' if speedup >= 5000 else 'short'}")
    print(f"figure: novelty.decisions_differ {differ} decisions goal 0 {'ok' if not differ else 'short'}")
    print(f"figure: novelty.growth_exponent {exponent:.2f} power goal 0.7 {'ok' if exponent <= 0.7 else 'short'}")


def varied(texts: Sequence[str]) -> list[str]:
    """Some are too near to what they were made of, some are not."""
    chance = random.Random(5)
    words = [word for text in chance.sample(list(texts), 500) for word in text.split()]
    found = []
    for text in chance.sample(list(texts), VARIED):
        changed = text.split()
        for _ in range(chance.randint(1, 1 + len(changed) // 2)):
            at = chance.randrange(len(changed) + 1)
            changed[at : at + chance.randint(0, 1)] = chance.sample(words, chance.randint(0, 1))
        found.append(" ".join(changed))
    return found


def timed(act: Callable[[], object]) -> float:
    """Seconds of processor time."""
    begun = time.process_time()
    act()
    return time.process_time() - begun


def seconds_each(new: Sequence[str], pool: Sequence[str]) -> float:
    """For one new instruction: the median of a few rounds."""
    novelty = NoveltyFilter()
    for text in pool:
        novelty.add(text)
    rounds = [timed(lambda: [novelty.nearest(text) for text in new]) for _ in range(ROUNDS)]
    return statistics.median(rounds) / len(new)


def rouge_seconds_a_pair(new: Sequence[str], pool: Sequence[str]) -> tuple[float, float]:
    """Of the LCS alone, and of a pair as texts."""
    chance = random.Random(1)
    pairs = [(chance.choice(new), chance.choice(pool)) for _ in range(PAIRS)]
    split = [(WORD.findall(one.lower()), WORD.findall(other.lower())) for one, other in pairs]
    lcs = timed(lambda: [rouge_scorer._score_lcs(one, other) for one, other in split])
    whole = timed(lambda: [rouge(one, other, "rougeL", stemmer=False) for one, other in pairs])
    return lcs / PAIRS, whole / PAIRS


def decisions_differ(texts: Sequence[str]) -> int:
    """How many decisions are others than by all pairs, and how many of these pairs rouge_score sees otherwise."""
    novelty = NoveltyFilter()
    begun = time.process_time()
    ours = [novelty.admit(text) is None for text in texts]
    print(f"All {len(texts):,} instructions judged in {time.process_time() - begun:.1f} s, {sum(ours):,} kept.")
    begun = time.process_time()
    similar = all_similar_pairs(texts)
    print(f"All pairs compared in {time.process_time() - begun:.1f} s, {sum(map(len, similar)):,} too near.")
    kept: list[bool] = []
    for before in similar:
        kept.append(not any(kept[earlier] for earlier in before))
    differ = sum(one != other for one, other in zip(ours, kept, strict=True))
    decided = [(one, other) for one, others in enumerate(similar) for other in others]
    chance = random.Random(3)
    for one, other in chance.sample(decided, min(PAIRS, len(decided))):
        differ += rouge(texts[other], texts[one], "rougeL", stemmer=False)[2] <= THRESHOLD
    near = {*decided}
    for _ in range(PAIRS):
        one = chance.randrange(1, len(texts))
        other = chance.randrange(one)
        if (one, other) not in near:
            differ += rouge(texts[other], texts[one], "rougeL", stemmer=False)[2] > THRESHOLD
    return differ


def all_similar_pairs(texts: Sequence[str]) -> list[list[int]]:
    """For each text, the earlier ones that it is too near to: every pair is compared, bit-parallel and no more."""
    characters: dict[str, str] = {}
    read = [
        "".join(characters.setdefault(word, chr(0xE000 + len(characters))) for word in WORD.findall(text.lower()))
        for text in texts
    ]
    found: list[list[int]] = []
    for start in range(0, len(read), 500):
        rows = read[start : start + 500]
        scores = process.cdist(
            rows, read[: start + len(rows)], scorer=Indel.normalized_similarity, score_cutoff=0.699, dtype=numpy.float32
        )
        for row, one in enumerate(rows):
            likely = numpy.flatnonzero(scores[row, : start + row])
            found.append([int(other) for other in likely if one and _too_near(one, read[other])])
    return found


def _too_near(one: str, other: str) -> bool:
    common = (len(one) + len(other) - Indel.distance(one, other)) // 2
    return f_measure(common, len(one), len(other)) > THRESHOLD


def draw(ours: dict[int, float], lcs: float, path: Path) -> None:
    """Time for a new instruction over the pool's size, both on logarithmic scales."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(list(ours), [lcs * size for size in ours], "o-", color="#999999", label="rouge_score, its LCS alone")
    axes.plot(list(ours), list(ours.values()), "o-", color="#7b5ea7", label="the novelty filter")
    axes.set(xscale="log", yscale="log", xlabel="instructions in the pool", ylabel="seconds for a new one")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
