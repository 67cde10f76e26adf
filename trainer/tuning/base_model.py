"""Reading a base from files, whole or not at all: its model, and the tokenizer that belongs to it."""

import json
import mmap
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer as Backend
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from trainer.errors import BadInput, DiskFull, NotWhole
from trainer.tuning import unpickle

EXACT_PARAMETERS = 1_000_000_000
"""A GGUF's model below this size is kept in fp32, as exact as its file; a larger one in bf16."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
UNREADABLE = (
    *(OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ImportError, EOFError),
    *(struct.error, SafetensorError),
)
"""What transformers raises about files that are not what they should be."""


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a directory. Raises BadInput where it is missing, needs foreign code or is of no known kind."""
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        try:
            config = json.loads(path.read_bytes()) if path.exists() else {}
        except ValueError:
            raise NotWhole(f"{path} is not JSON: it is cut or damaged. Copy the base again.") from None
        if config.get("auto_map"):
            raise BadInput(f"{path} names program code that comes with the base (auto_map). Dolly runs no such code.")
    path = folder / "config.json"
    if not path.exists():
        raise BadInput(f"{folder} has no config.json: it is not a model's directory.")
    config = json.loads(path.read_bytes())
    if config.get("model_type") not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise BadInput(
            f"{folder} holds a model of the kind {config.get('model_type')!r}; a causal language model is needed."
        )
    if config.get("quantization_config"):
        raise BadInput(
            f"{folder} holds quantized weights, which cannot be tuned. Take the base that they were made from."
        )
    return dict(config)


def load_directory(folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a directory with safetensors files. Raises BadInput, NotWhole."""
    read_config(folder)
    check_safetensors(folder)
    tokenizer = _tokenizer(folder)
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto", use_safetensors=True, output_loading_info=True, local_files_only=True
        )
    except UNREADABLE as error:
        raise BadInput(f"{folder} cannot be read as a base: {_first_line(error)}") from error
    if missing := sorted(loading["missing_keys"]) + sorted(map(str, loading["mismatched_keys"])):
        raise NotWhole(f"{folder} lacks weights of its model, {missing[0]} for one ({len(missing)} in all).")
    return model, tokenizer


def load_gguf(path: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a GGUF file, its numbers as they are after dequantizing. Raises BadInput."""
    pre = gguf_text(path, "tokenizer.ggml.pre") or "default"
    if pre not in PRE_TOKENIZERS:
        raise BadInput(
            f"{path} cuts text by the rules {pre!r}, which Dolly cannot rebuild. Take the safetensors of the base."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        loaded = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    except UNREADABLE as error:
        raise BadInput(f"{path} cannot be read as a base: {_first_line(error)}") from error
    backend: Backend = tokenizer.backend_tokenizer
    if PRE_TOKENIZERS[pre] is not None:
        backend.pre_tokenizer = PRE_TOKENIZERS[pre]
    # transformers takes what it read for quantized still and would not save it: the same numbers, in a fresh model.
    config = loaded.config.__class__.from_dict(
        {key: value for key, value in loaded.config.to_dict().items() if key != "quantization_config"}
    )
    dtype = torch.float32 if loaded.num_parameters() < EXACT_PARAMETERS else torch.bfloat16
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.load_state_dict({name: value.to(dtype) for name, value in loaded.state_dict().items()}, assign=True)
    model.tie_weights()
    model.generation_config = loaded.generation_config
    return model, tokenizer


PRE_TOKENIZERS: dict[str, Any] = {
    "default": None,
    "gpt-2": None,
    "smollm": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
}
"""llama.cpp's name for how text is cut before merging → the same for package tokenizers; None = what transformers makes
of any GGUF (GPT-2's way)."""


def gguf_text(path: Path, key: str) -> str | None:
    """A text among a GGUF file's metadata. (The file's own reader takes seconds for the vocabulary beside it.)"""
    name = struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", 8)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(name)
        if at < 0:
            return None
        at += len(name)
        (length,) = struct.unpack("<Q", content[at : at + 8])
        return content[at + 8 : at + 8 + length].decode("utf-8", "replace")


def check_safetensors(folder: Path) -> None:
    """Raises NotWhole where a shard is missing or cut, and BadInput where there are no weights."""
    shards = _shards(folder, "model.safetensors")
    if not shards:
        raise BadInput(f"{folder} holds no weights: neither model.safetensors nor an old pytorch_model.bin.")
    for shard in shards:
        try:
            with safe_open(shard, framework="pt"):  # compares the header with the file's size
                pass
        except FileNotFoundError:
            raise NotWhole(f"{folder} is not whole: {shard.name} is missing. Copy the base again.") from None
        except (SafetensorError, OSError) as error:
            raise NotWhole(f"{shard} is cut or damaged ({_first_line(error)}). Copy the base again.") from None


def convert_old_weights(folder: Path, out: Path) -> None:
    """Write a directory's `.bin` weights as safetensors into `out`. Raises BadInput, NotWhole, DiskFull."""
    shards = _shards(folder, "pytorch_model.bin")
    if missing := [shard.name for shard in shards if not shard.is_file()]:
        raise NotWhole(f"{folder} is not whole: {missing[0]} is missing. Copy the base again.")
    command = [sys.executable, "-W", "ignore", "-m", unpickle.__name__, str(out), *map(str, shards)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    reason = child.stderr.strip().rpartition("\n")[2]
    match child.returncode:
        case 0:
            pass
        case unpickle.NOT_TENSORS:
            raise BadInput(f"{folder} is refused: {reason}. Take the safetensors files of this base.")
        case unpickle.UNREADABLE:
            raise NotWhole(f"{folder} cannot be read: {reason}. Copy the base again.")
        case unpickle.DISK_FULL:
            raise DiskFull(f"The disk of {out.parent} is full. Make room, or name a directory on another disk.")
        case code:
            raise BadInput(f"The weights of {folder} could not be read: the reader ended with {code} ({reason}).")
    index = folder / "pytorch_model.bin.index.json"
    if index.exists():
        said = json.loads(index.read_bytes())
        said["weight_map"] = {tensor: unpickle.new_name(Path(shard)) for tensor, shard in said["weight_map"].items()}
        (out / "model.safetensors.index.json").write_text(json.dumps(said))


def _shards(folder: Path, whole: str) -> list[Path]:
    """The files that hold the weights: those that the index names, whether they are there or not, or the one."""
    index = folder / f"{whole}.index.json"
    if index.exists():
        try:
            return [
                folder / Path(name).name for name in sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
            ]
        except (ValueError, KeyError, AttributeError, TypeError):
            raise NotWhole(f"{index} is cut or damaged. Copy the base again.") from None
    return [folder / whole] if (folder / whole).exists() else []


def _tokenizer(folder: Path) -> Any:
    if not any((folder / name).exists() for name in TOKENIZER_FILES):
        raise BadInput(
            f"{folder} has no tokenizer (tokenizer.json). The text that the base knows cannot be told without it: "
            "copy the tokenizer's files of the same base there."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except UNREADABLE as error:
        raise BadInput(f"The tokenizer of {folder} cannot be read: {_first_line(error)}") from error
    if not isinstance(getattr(tokenizer, "backend_tokenizer", None), Backend):
        raise BadInput(f"The tokenizer of {folder} has no fast form (tokenizer.json), which Dolly needs.")
    return tokenizer


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
