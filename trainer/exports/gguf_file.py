"""GGUF for llama.cpp, written from an exported directory: what TGI serves is what llama.cpp serves. Llama family."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
import numpy.typing as npt
import torch
from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFWriter, LlamaFileType, RopeScalingType
from safetensors import safe_open

from trainer.errors import BadInput
from trainer.exports.gguf_tokenizer import read_vocabulary

Precision = Literal["f16", "q8_0"]
PRECISIONS: tuple[Precision, ...] = ("f16", "q8_0")
FILE_TYPES = {"f16": LlamaFileType.MOSTLY_F16, "q8_0": LlamaFileType.MOSTLY_Q8_0}
F16_MAX = 65504.0
VOCABULARY = {"token_embd.weight", "output.weight"}
Q8_BLOCK = 32
"""Weights of a row that share a scale in q8_0."""

Array = npt.NDArray[Any]


def check_gguf(config: dict[str, Any]) -> None:
    """Raises BadInput, with the reason, for a model that llama.cpp would not compute as transformers does."""
    kind = config.get("model_type")
    if kind != "llama":
        raise BadInput(f"GGUF is written for the Llama family, and this is {kind}. Export with --gguf none.")
    if config.get("hidden_act", "silu") != "silu":
        raise BadInput(f"llama.cpp computes silu, and this model has {config['hidden_act']}. Export with --gguf none.")
    scaling = _rope(config).get("rope_type", "default")
    if scaling not in ("default", "linear", "llama3"):
        raise BadInput(f"This model's rope scaling is {scaling}; in GGUF linear and llama3 are written.")


def write_gguf(folder: Path, path: Path, precision: Precision, *, name: str, stop_ids: tuple[int, ...]) -> None:
    """Write the directory's model to `path`: matrices in `precision`, vectors in f32.

    The first of `stop_ids` is what the model ends an answer with. One tensor at a time is in memory.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    check_gguf(config)
    writer = GGUFWriter(path, "llama")
    try:
        entries = _add_tokenizer(writer, folder, stop_ids)
        _add_model(writer, config | {"vocab_size": entries}, name, precision)
        tensors = _Tensors(folder, config, entries)
        kinds = {tensor: _kind(shape, precision) for tensor, shape in tensors.shapes.items()}
        for tensor, shape in tensors.shapes.items():
            kind = kinds[tensor]
            stored = gguf.quant_shape_to_byte_shape(shape, kind) if kind == GGMLQuantizationType.Q8_0 else shape
            dtype = np.dtype(np.float32 if kind == GGMLQuantizationType.F32 else np.float16)
            dtype = np.dtype(np.uint8) if kind == GGMLQuantizationType.Q8_0 else dtype
            writer.add_tensor_info(tensor, stored, dtype, math.prod(stored) * dtype.itemsize, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor, values in tensors:
            writer.write_tensor_data(_stored(tensor, values, kinds[tensor]))
    finally:
        writer.close()


def _add_model(writer: GGUFWriter, config: dict[str, Any], name: str, precision: Precision) -> None:
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_name(name)
    writer.add_file_type(FILE_TYPES[precision])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    rope = _rope(config)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(rope.get("rope_theta", 10000.0))
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


def _add_tokenizer(writer: GGUFWriter, folder: Path, stop_ids: tuple[int, ...]) -> int:
    """How many entries it has."""
    vocabulary = read_vocabulary(folder)
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    numbers = {text: number for number, text in enumerate(vocabulary.tokens)}
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges is not None:
        writer.add_token_merges(vocabulary.merges)
    if vocabulary.scores is not None:
        writer.add_token_scores(vocabulary.scores)
    # The template writes a start of text where the model learned one, so that every engine sees the same tokens.
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(vocabulary.model == "llama")
    for key, add in (
        ("bos_token", writer.add_bos_token_id),
        ("unk_token", writer.add_unk_token_id),
        ("pad_token", writer.add_pad_token_id),
    ):
        if (number := numbers.get(_text(tokenizer.get(key)))) is not None:
            add(number)
    # Three places for what ends an answer; further ones llama.cpp knows by their usual names alone.
    places = (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id)
    for number, place in zip(stop_ids, places, strict=False):
        place(number)
    beside = folder / "chat_template.jinja"
    template = beside.read_text(encoding="utf-8") if beside.exists() else tokenizer.get("chat_template")
    if template is not None:
        writer.add_chat_template(template)
    return len(vocabulary.tokens)


class _Tensors:
    """The directory's tensors under llama.cpp's names, in one fixed order."""

    def __init__(self, folder: Path, config: dict[str, Any], entries: int) -> None:
        """Rows of the vocabulary beyond its `entries` are left out: llama.cpp wants as many as there are tokens."""
        self._config = config
        self._entries = entries
        self._heads = config["num_attention_heads"]
        self._kv_heads = config.get("num_key_value_heads") or self._heads
        names = gguf.get_tensor_name_map(MODEL_ARCH.LLAMA, config["num_hidden_layers"])
        self._sources: dict[str, tuple[Path, str]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        if _rope(config).get("rope_type") == "llama3":
            head_dim = config.get("head_dim") or config["hidden_size"] // self._heads
            self.shapes["rope_freqs.weight"] = (head_dim // 2,)
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="pt") as opened:
                for source in opened.keys():  # noqa: SIM118 - safetensors' handle is no mapping
                    target = names.get_name(source, try_suffixes=(".weight", ".bias"))
                    if target is None:
                        raise BadInput(f"llama.cpp has no place for the tensor {source}. Export with --gguf none.")
                    self._sources[target] = (file, source)
                    self.shapes[target] = tuple(opened.get_slice(source).get_shape())
        for target in VOCABULARY & self.shapes.keys():
            rows, width = self.shapes[target]
            if rows < entries:
                raise BadInput(f"The tokenizer has {entries} entries and the model {rows} rows: not of one model.")
            self.shapes[target] = (entries, width)

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        """Each as float32."""
        for target in self.shapes:
            yield target, self._values(target)

    def _values(self, target: str) -> Array:
        if target == "rope_freqs.weight":
            return llama3_factors(self._config)
        file, source = self._sources[target]
        with safe_open(file, framework="pt") as opened:
            values: Array = opened.get_tensor(source).to(torch.float32).numpy()
        if ".attn_q." in target:
            return interleave_halves(values, self._heads)
        if ".attn_k." in target:
            return interleave_halves(values, self._kv_heads)
        return values[: self._entries] if target in VOCABULARY else values


def interleave_halves(rows: Array, heads: int) -> Array:
    """llama.cpp turns neighbouring rows of a head, transformers a row of the first half with one of the second."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))


def llama3_factors(config: dict[str, Any]) -> Array:
    """What llama.cpp divides rope's frequencies by, as rope_type llama3 does in transformers. float32[head_dim / 2]"""
    rope = _rope(config)
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    old_context, factor = rope["original_max_position_embeddings"], rope["factor"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    wavelengths = 2 * math.pi * rope["rope_theta"] ** (np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    smooth = np.clip((old_context / wavelengths - low) / (high - low), 0.0, 1.0)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def _kind(shape: tuple[int, ...], precision: Precision) -> GGMLQuantizationType:
    if len(shape) == 1:
        return GGMLQuantizationType.F32
    # llama.cpp has no half blocks: a matrix whose rows are no multiple of 32 long stays f16.
    return GGMLQuantizationType.Q8_0 if precision == "q8_0" and shape[-1] % Q8_BLOCK == 0 else GGMLQuantizationType.F16


def _stored(tensor: str, values: Array, kind: GGMLQuantizationType) -> Array:
    if kind == GGMLQuantizationType.F32:
        return values
    largest = float(np.abs(values).max())
    if not largest <= F16_MAX:  # NaN is not
        raise BadInput(f"{tensor} holds {largest:g}, more than f16 and q8_0 can: llama.cpp would answer nonsense.")
    if kind == GGMLQuantizationType.Q8_0:
        quantized: Array = gguf.quantize(values, kind)
        return quantized
    return values.astype(np.float16)


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    return config.get("rope_parameters") or {}


def _text(token: Any) -> str:
    """A token in tokenizer_config.json is its text, or a table with it."""
    return str(token["content"]) if isinstance(token, dict) else str(token)
