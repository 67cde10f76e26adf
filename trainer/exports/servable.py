"""A model's file as llama.cpp serves it here: one that lies in its directory, or one made for the occasion."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from trainer.artifacts import read_manifest
from trainer.errors import BadInput
from trainer.evaluation.engine import Engine, llama_cpp
from trainer.evaluation.local_model import LocalModel
from trainer.exports.gguf_file import Precision, check_gguf, write_gguf


@contextmanager
def serving(
    model: Path,
    *,
    slots: int,
    context_tokens: int,
    precision: Precision = "q8_0",
    threads: int | None = None,
    cache_mib: int = 0,
) -> Iterator[Engine]:
    """llama.cpp on a GGUF file, or on the directory of an imported base or an export, while the context lasts.

    Raises BadInput for what llama.cpp cannot serve, EngineFailed.
    """
    with TemporaryDirectory(prefix="dolly-gguf-") as place:
        file = model if model.is_file() else _file(model, precision, Path(place))
        with llama_cpp(
            file, slots=slots, context_tokens=context_tokens, threads=threads, cache_mib=cache_mib
        ) as engine:
            yield engine


def _file(model: Path, precision: Precision, place: Path) -> Path:
    found = sorted(model.rglob("*.gguf"))
    if found:
        return next((path for path in found if precision in path.name), found[0])
    if (kind := read_manifest(model)["kind"]) not in ("base", "export"):
        raise BadInput(f"{model} holds a {kind}. Export it first: `dolly-trainer export {model} --out …`.")
    try:
        check_gguf(json.loads((model / "config.json").read_text("utf-8")))
    except BadInput as reason:
        raise BadInput(f"llama.cpp cannot serve {model}: {reason} Serve it by another engine (--engine-url).") from None
    made = place / f"{precision}.gguf"
    write_gguf(model, made, precision, name=model.name, stop_ids=LocalModel.load(model).stop_ids)
    return made
