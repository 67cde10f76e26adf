"""What a gate measures of a model: bits per byte and exposure in transformers, answers in the engine that serves it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from trainer.artifacts import MANIFEST, sha256_of
from trainer.canaries import Canary
from trainer.evaluation.bits_per_byte import AnswerBits, answer_bits
from trainer.evaluation.engine import Answer, Engine, Sampling, llama_cpp
from trainer.evaluation.exposure import exposures
from trainer.evaluation.kept import Kept
from trainer.evaluation.local_model import LocalModel
from trainer.evaluation.scoring import Scored, score
from trainer.evaluation.suites import Item, sample
from trainer.evaluation.verdict import Judgeable
from trainer.loop_choices import GateChoice
from trainer.records import Message, Record
from trainer.segments import special_tokens

Told = Callable[[int], None]
"""Is told how many more records, canaries or questions are done."""
Prompt = Sequence[Message]


@dataclass(frozen=True, slots=True)
class Weighed:
    """What transformers tells of a candidate."""

    bits: list[AnswerBits]
    exposures: list[float]
    items: list[Item]
    """The questions of the suite that are short enough in its tokens."""


def weigh(
    judgeable: Judgeable,
    records: Sequence[Record],
    items: Sequence[Item],
    canaries: Sequence[Canary],
    choice: GateChoice,
    told: Told,
) -> Weighed:
    """Bits of every answer in the records that the model takes, and the exposure of each canary."""
    local = LocalModel.load(judgeable.folder)
    short = [item for item in items if len(local.template.encode_prompt(item.prompt)) <= choice.prompt_tokens]
    return Weighed(
        answer_bits(local, records, scored=told)[0],
        exposures(local, canaries, choice.references, choice.seed, ranked=lambda: told(1)),
        sample(short, choice.prompts, choice.seed),
    )


def kept_bits(judgeable: Judgeable, records: Sequence[Record], cache: Path | None, told: Told) -> list[AnswerBits]:
    """The same of a model whose results are kept; its weights are only loaded where some are missing."""
    kept = Kept(cache, f"bits {identity(judgeable.folder)}")

    def ask(places: list[int]) -> list[Any]:
        missing = [records[place] for place in places]
        found, _ = answer_bits(LocalModel.load(judgeable.folder), missing, scored=told)
        by_record: dict[str, list[Any]] = {}
        for one in found:
            by_record.setdefault(one.record_id, []).append([one.turn, one.bits, one.size_bytes])
        return [by_record.get(records[place].id, []) for place in places]

    values, asked = kept.all([record.messages for record in records], ask)
    told(len(records) - asked)
    return [
        AnswerBits(record.id, record.category, *entry)
        for record, entries in zip(records, values, strict=True)
        for entry in entries
    ]


def kept_answers(
    judgeable: Judgeable, prompts: Sequence[Prompt], choice: GateChoice, cache: Path | None, told: Told
) -> list[Answer | None]:
    """Greedy answers of a model whose answers are kept."""
    how = f"{choice.answer_tokens} {choice.context_tokens}"
    kept = Kept(cache, f"answers {identity(judgeable.gguf or judgeable.folder)} {how}")

    def ask(places: list[int]) -> list[Any]:
        found = answers(judgeable, [prompts[place] for place in places], choice, told)
        return [[one.text, one.finish, one.tokens] if one else None for one in found]

    values, asked = kept.all(prompts, ask)
    told(len(prompts) - asked)
    return [Answer(*value) if value else None for value in values]


def answers(judgeable: Judgeable, prompts: Sequence[Prompt], choice: GateChoice, told: Told) -> list[Answer | None]:
    """Greedy answers from the file that is served; from transformers where no engine serves one."""
    with _opened(judgeable, choice) as answering:
        return answering.answers(
            prompts, Sampling(choice.answer_tokens), at_once=choice.answers_at_once, answered=lambda: told(1)
        )


def scored(judgeable: Judgeable, items: Sequence[Item], found: Sequence[Answer | None]) -> list[Scored]:
    """The model's answers with what is measured of each."""
    tokenizer = AutoTokenizer.from_pretrained(judgeable.folder, local_files_only=True)
    keys = [token.content for token in special_tokens(tokenizer).values()]
    return [score(item, answer, keys) for item, answer in zip(items, found, strict=True)]


def identity(path: Path) -> str:
    """A hash of all that a file or an artifact's directory holds."""
    return sha256_of(path / MANIFEST if path.is_dir() else path)


@contextmanager
def _opened(judgeable: Judgeable, choice: GateChoice) -> Iterator[Engine | LocalModel]:
    if judgeable.gguf is None:
        yield LocalModel.load(judgeable.folder)
        return
    with llama_cpp(judgeable.gguf, slots=choice.answers_at_once, context_tokens=choice.context_tokens) as engine:
        yield engine
