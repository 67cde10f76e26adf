"""The model that answers people now: what a candidate is judged beside, and whose own answers are kept."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from transformers import AutoTokenizer, GenerationConfig

from trainer.artifacts import read_manifest
from trainer.errors import BadInput
from trainer.evaluation.engine import Answering, Sampling, llama_cpp
from trainer.evaluation.local_model import LocalModel
from trainer.exports.gguf_file import check_gguf, write_gguf
from trainer.records import Message
from trainer.registry import Registry
from trainer.serving import Served
from trainer.template import stops_of, template_of


@dataclass(frozen=True, slots=True)
class InService:
    """Of the registry, or the base where none of its revisions answers yet."""

    revision: str | None
    folder: str
    """Of the revision, or of the imported base."""
    gguf: str | None
    """The file that llama.cpp serves; None of a model that llama.cpp does not serve."""


def in_service(
    served: Served | None, registry: Registry, base: Path, made: Path, precision: Literal["f16", "q8_0"]
) -> InService:
    """`served` is what the store says; without one, the registry's current revision, or else the base.

    A base that nobody has a served file of gets one, `made`, in `precision`. Raises BadInput, NotWhole.
    """
    known = registry.revisions()
    revision = served.revision if served is not None else registry.current()
    if served is not None and revision not in known and revision != "shipped":
        raise BadInput(
            f"The bot is answered by revision {revision}, which is not in {registry.folder}: name the registry that "
            "it comes from by --models."
        )
    folder = registry.folder_of(revision) if revision in known else base
    said = Path(served.path) if served is not None else None
    if said is not None and said.suffix == ".gguf" and said.is_file():
        gguf: Path | None = said
    else:
        gguf = _exported(folder, precision) if revision in known else _made(base, made, precision)
    return InService(revision if revision in known else None, str(folder), str(gguf) if gguf else None)


class OwnAnswers:
    """A model's own greedy answers; the engine starts with the first question. A context manager.

    One at a time: answers written side by side differ in their last bits from run to run, and with them, now and then,
    a word. So a retrain that is done again learns the same.
    """

    def __init__(
        self, model: InService, *, longest_tokens: int, context_tokens: int, told: Callable[[int, int], None]
    ) -> None:
        """`told` hears how many answers are there, of how many; what it raises ends the asking."""
        self._model = model
        self._sampling = Sampling(longest_tokens)
        self._context_tokens = context_tokens
        self._told = told
        self._stack = ExitStack()
        self._answering: Answering | None = None

    def __enter__(self) -> "OwnAnswers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
        self._answering = None

    def __call__(self, conversations: Sequence[Sequence[Message]]) -> list[str]:
        """One for each, also where it is cut off; empty where the window is too small. Raises EngineFailed."""
        if not conversations:
            return []
        if self._answering is None:
            self._answering = self._opened()
        done = iter(range(1, len(conversations) + 1))
        found = self._answering.answers(
            conversations, self._sampling, at_once=1, answered=lambda: self._told(next(done), len(conversations))
        )
        return [answer.text.strip() if answer is not None else "" for answer in found]

    def _opened(self) -> Answering:
        if self._model.gguf is None:
            return LocalModel.load(Path(self._model.folder))
        engine = llama_cpp(Path(self._model.gguf), slots=1, context_tokens=self._context_tokens)
        return self._stack.enter_context(engine)


def _exported(folder: Path, precision: str) -> Path | None:
    files = read_manifest(folder, "export").get("gguf") or {}
    name = files.get(precision) or next(iter(files.values()), None)
    return folder / name if name else None


def _made(base: Path, made: Path, precision: Literal["f16", "q8_0"]) -> Path | None:
    if made.is_file():
        return made
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    try:
        if not tokenizer.chat_template:
            return None  # no engine could ask it
        check_gguf(json.loads((base / "config.json").read_text(encoding="utf-8")))
        named = GenerationConfig.from_pretrained(base, local_files_only=True).eos_token_id
        partial = made.with_name(f".{made.name}.partial")
        stop_ids = stops_of(tokenizer, template_of(tokenizer), named)
        write_gguf(base, partial, precision, name=base.name, stop_ids=stop_ids)
    except BadInput:
        return None
    partial.replace(made)
    return made
