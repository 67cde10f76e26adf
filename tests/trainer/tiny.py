"""Tiny models of the three proven families, and a tokenizer for them: seconds to tune, and nothing in them is zero.

What a freshly made model has at 0 or 1 (GPT-J's biases, norms) hides faults, so every parameter is drawn anew; what
differs between families and generations (the base and scaling of rope, the share of a head that is turned, tied heads)
is set to values other than the defaults.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

Family = Literal["gptj", "gpt_neox", "llama"]
FAMILIES: tuple[Family, ...] = ("gptj", "gpt_neox", "llama")

END_OF_TEXT = "<|endoftext|>"
VOCAB_ROWS = 448
"""Rows of the embedding: more than the tokenizer has entries, as bases have."""
TOKENIZER_ENTRIES = 400
EXTRA_TOKENS = 8
"""GPT-J's tokenizer names its spare rows `<|extratoken_N|>`."""

LINES = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "Below is an instruction that describes a task, paired with an input that provides further context.",
    "### Instruction:\nName three primary colours.\n\n### Response:\nRed, yellow and blue.\n\n### End",
    "### Input:\nThe quick brown fox jumps over the lazy dog, and 12345 others ran away from 67890.",
    "Our office opens at nine; the printer on the second floor is called Ada. नमस्ते, ça va? — naïve café",
)


def tiny_config(family: Family, *, tied: bool | None = None, vocab_size: int = VOCAB_ROWS, **other: Any) -> Any:
    """A config of the family, small: two layers, hidden size 32 (GPT-J: 32), no dropout."""
    tie = (family == "llama") if tied is None else tied
    ends = {"bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": tie, "vocab_size": vocab_size}
    own: dict[str, dict[str, Any]] = {
        "gptj": {
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 2,
            "n_positions": 256,
            "rotary_dim": 8,
            "activation_function": "gelu_pytorch_tanh",
        },
        "gpt_neox": {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "max_position_embeddings": 256,
            "use_parallel_residual": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0, "partial_rotary_factor": 0.5},
        },
        "llama": {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 64,
            "max_position_embeddings": 256,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        },
    }
    return AutoConfig.for_model(family, **(ends | own[family] | other))


def tiny_model(
    family: Family,
    *,
    tied: bool | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    vocab_size: int = VOCAB_ROWS,
    **config: Any,
) -> Any:
    """A model of the family with every parameter drawn from the seed, biases and norms too. In evaluation mode.

    `tied` None is the family's custom here: Llama tied, the others not. Further words go to the config.
    """
    model = AutoModelForCausalLM.from_config(tiny_config(family, tied=tied, vocab_size=vocab_size, **config))
    redraw(model, seed)
    model = model.to(dtype)
    model.generation_config.eos_token_id = 0
    return model.eval()


def redraw(model: torch.nn.Module, seed: int) -> None:
    """Draw every parameter anew: norms around 1, all else around 0, none equal to either."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            is_scale = name.endswith("weight") and parameter.dim() == 1
            parameter.copy_(1 + 0.2 * drawn if is_scale else 0.2 * drawn)


def tiny_tokenizer(*, extra_tokens: int = 0) -> Any:
    """Byte-level BPE, trained on a few lines; `<|endoftext|>` (id 0) ends a text. Entries: 400 and the extra ones."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENIZER_ENTRIES,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.add_tokens([f"<|extratoken_{number}|>" for number in range(1, extra_tokens + 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT)


def tiny_base(folder: Path, family: Family, **model: Any) -> Path:
    """Save a tiny model and its tokenizer as transformers does; words after the family go to `tiny_model`."""
    tiny_model(family, **model).save_pretrained(folder)
    tiny_tokenizer(extra_tokens=EXTRA_TOKENS if family == "gptj" else 0).save_pretrained(folder)
    return folder
