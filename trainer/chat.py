"""A talk with a model in the terminal: a base, a run, a checkpoint or an export, in its own template, as it comes."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import transformers
from rich.console import Console

from trainer.artifacts import read_manifest
from trainer.errors import EngineFailed
from trainer.evaluation.engine import Sampling, llama_cpp
from trainer.evaluation.local_model import LocalModel
from trainer.exports.origin import read_origin
from trainer.exports.weights import load_merged
from trainer.records import Message
from trainer.terminal import plain

MAX_ANSWER_TOKENS = 512
TEMPERATURE, TOP_P = 0.7, 0.92
"""Dolly's own top_p; a little cooler, for small models ramble."""

CONTEXT_TOKENS = 4096

HELP = "/reset begins a new conversation, /exit ends; Ctrl-C stops an answer."


class Speaking(Protocol):
    """What answers: llama.cpp or transformers."""

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Generator[str, None, None]:
        """The answer's text as it comes."""
        ...


def chat(model: Path, *, console: Console | None = None) -> None:
    """Talk until /exit, Ctrl-D, or Ctrl-C where one types. Raises BadInput, NotWhole, EngineFailed."""
    console = console or Console()
    with suppress(ImportError):
        import readline  # noqa: F401   # lines can be edited and called back
    with _opened(model, console) as speaking:
        console.print(HELP, style="dim")
        conversation: list[Message] = []
        while (asked := _asked(console)) is not None:
            if asked == "/reset":
                conversation = []
                console.print("A new conversation.", style="dim")
            elif asked.startswith("/"):
                console.print(HELP, style="dim")
            elif asked:
                conversation.append(Message("user", asked))
                answer = _say(speaking, conversation, console)
                if answer:
                    conversation.append(Message("assistant", answer))
                else:
                    conversation.pop()


@contextmanager
def _opened(model: Path, console: Console) -> Iterator[Speaking]:
    """An export's GGUF in llama.cpp; everything else in transformers, adapters merged."""
    kind = read_manifest(model)["kind"]
    gguf = sorted(model.glob("*.gguf")) if kind == "export" else []
    if gguf:
        with ExitStack() as stack:
            with console.status(f"llama.cpp reads {gguf[-1].name}"):
                engine = stack.enter_context(llama_cpp(gguf[-1], slots=1, context_tokens=CONTEXT_TOKENS))
            yield engine
        return
    transformers.logging.disable_progress_bar()
    with console.status(f"Reading {model}"):
        speaking = LocalModel.load(model) if kind == "export" else LocalModel(*load_merged(read_origin(model)))
    yield speaking


def _asked(console: Console) -> str | None:
    """What somebody typed; None to end."""
    try:
        asked = console.input("[bold]you:[/] ").strip()
    except (EOFError, KeyboardInterrupt):
        console.print()
        return None
    return None if asked in ("/exit", "/quit") else asked


def _say(speaking: Speaking, conversation: Sequence[Message], console: Console) -> str:
    """Prints the answer as it comes; what was said of it. Ctrl-C ends it there."""
    sampling = Sampling(MAX_ANSWER_TOKENS, TEMPERATURE, TOP_P, seed=len(conversation))
    console.print("[bold green]model:[/] ", end="")
    said = ""
    try:
        with closing(speaking.stream(conversation, sampling)) as deltas:  # closed, the engine stops writing
            for delta in deltas:
                said += delta
                console.print(plain(delta), end="", markup=False, highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        console.print(" [dim](stopped)[/]", end="")
    except EngineFailed as error:
        console.print(f"\n{error}", style="red", markup=False, end="")
    console.print()
    return said.strip()
