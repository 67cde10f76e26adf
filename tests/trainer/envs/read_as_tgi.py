"""Reads model directories as TGI 3.3.7 does, with its transformers (4.51.3). Run by .envs/tgi's Python.

    python tests/trainer/envs/read_as_tgi.py IDS.json DIRECTORY…

prints a JSON list with one answer per directory, and leaves DIRECTORY.logits.safetensors beside it: `as_saved`, eager
attention, of transformers; for GPT-J also `as_served`, as TGI's flash_gptj_modeling.py has it: without the head's
bias, with its GELU, its rope's angles in fp32; and `as_tuned`, the same with those angles rounded to the model's dtype,
as transformers 5 does.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.models.gptj.modeling_gptj import create_sinusoidal_positions

PROBE = "### Instruction:\nName 3 colours.\n\n### Response:\nRed,  12345 ça va\n\n### End <|im_start|>"


def main() -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    ids = torch.tensor([json.loads(Path(sys.argv[1]).read_text())])
    print(json.dumps([read(Path(folder), ids) for folder in sys.argv[2:]]))


def read(folder: Path, ids: torch.Tensor) -> dict[str, Any]:
    answer: dict[str, Any] = {"transformers": transformers.__version__, "torch": torch.__version__}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (ValueError, AttributeError) as error:
        return answer | {"error": f"{type(error).__name__}: {error}"}
    config = AutoConfig.from_pretrained(folder)
    # dtype: what --dtype gives; "auto" reads torch_dtype, as engines without that option do.
    model = AutoModelForCausalLM.from_pretrained(
        folder, torch_dtype="auto", attn_implementation="eager", use_safetensors=True
    ).eval()
    with torch.no_grad():
        logits = {"as_saved": model(ids).logits.contiguous()}
        angles_off = 0.0
        if config.model_type == "gptj":
            angles_off = _angles_off(model)
            serve_as_flash_gptj(model)
            logits["as_served"] = model(ids).logits.contiguous()
            round_angles(model)
            logits["as_tuned"] = model(ids).logits.contiguous()
    save_file(logits, f"{folder}.logits.safetensors")
    stop = GenerationConfig.from_pretrained(folder).eos_token_id
    template = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
    return answer | {
        "dtype": str(config.torch_dtype),
        "angles_off": angles_off,
        "entries": len(tokenizer),
        "rows": model.get_input_embeddings().weight.shape[0],
        "probe": tokenizer(PROBE, add_special_tokens=False)["input_ids"],
        "special": tokenizer.all_special_tokens,
        # flash_causal_lm.py: a number is passed over, and the tokenizer's own is the only one.
        "stop_ids": sorted(stop) if isinstance(stop, list | set) else [tokenizer.eos_token_id],
        "chat_template": template,
    }


def serve_as_flash_gptj(model: Any) -> None:
    name = model.config.activation_function
    approximate = "tanh" if name in ("gelu_fast", "gelu_pytorch_tanh") else "none"
    for layer in model.transformer.h:
        layer.mlp.act = torch.nn.GELU(approximate=approximate)
        layer.attn.embed_positions = _angles(model)
    model.lm_head.bias = None


def round_angles(model: Any) -> None:
    for layer in model.transformer.h:
        layer.attn.embed_positions = layer.attn.embed_positions.to(model.dtype)


def _angles(model: Any) -> torch.Tensor:
    """As in fp32. from_pretrained makes them of frequencies in the model's dtype."""
    return create_sinusoidal_positions(model.config.n_positions, model.config.rotary_dim)


def _angles_off(model: Any) -> float:
    return float((model.transformer.h[0].attn.embed_positions - _angles(model)).abs().max())


if __name__ == "__main__":
    main()
