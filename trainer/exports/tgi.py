"""What transformers 4.51.3, and so TGI 3.3.7, must find beside what transformers 5 writes.

Without these a directory of transformers 5 does not start in TGI, or starts with a wrong rope and no word about it.
What 5.x wrote stays, so that newer engines read the same directory; each rule says what it is for.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import BadInput

TANH_GELUS = ("gelu_new", "gelu_fast", "gelu_pytorch_tanh")


@dataclass
class Settings:
    """The JSON files of a model's directory, as far as the rules go."""

    config: dict[str, Any]
    tokenizer_config: dict[str, Any]
    generation_config: dict[str, Any]
    chat_template: str | None
    stop_ids: tuple[int, ...]


Rule = Callable[[Settings], None]


def known_tokenizer_class(settings: Settings) -> None:
    """TokenizersBackend is unknown before 5.0, and the engine does not start."""
    settings.tokenizer_config["tokenizer_class"] = "PreTrainedTokenizerFast"


def named_special_tokens(settings: Settings) -> None:
    """5.x lists further special tokens under a key that was a table before it, and 4.51.3 fails on the list."""
    further = settings.tokenizer_config.get("extra_special_tokens")
    if isinstance(further, list):
        del settings.tokenizer_config["extra_special_tokens"]
        settings.tokenizer_config["additional_special_tokens"] = further


def inline_chat_template(settings: Settings) -> None:
    """TGI reads no chat_template.jinja."""
    if settings.chat_template is not None:
        settings.tokenizer_config["chat_template"] = settings.chat_template


def torch_dtype(settings: Settings) -> None:
    """`dtype` is unknown before 5.0, which would load fp32."""
    if settings.config.get("dtype") is not None:
        settings.config["torch_dtype"] = settings.config["dtype"]


def rope_theta(settings: Settings) -> None:
    """Without it rope turns with 10000."""
    if "rope_theta" in _rope(settings):
        settings.config["rope_theta"] = _rope(settings)["rope_theta"]


def rope_scaling(settings: Settings) -> None:
    """Without it a long context is read as a short one."""
    if _rope(settings).get("rope_type", "default") != "default":
        settings.config["rope_scaling"] = {key: value for key, value in _rope(settings).items() if key != "rope_theta"}


def neox_rotary(settings: Settings) -> None:
    """GPT-NeoX had names of its own for both."""
    if settings.config.get("model_type") == "gpt_neox":
        settings.config["rotary_emb_base"] = _rope(settings).get("rope_theta", 10000)
        settings.config["rotary_pct"] = _rope(settings).get("partial_rotary_factor", 0.25)


def gptj_tanh_gelu(settings: Settings) -> None:
    """TGI computes gelu_new without tanh; the name it computes with tanh is this one."""
    if settings.config.get("model_type") == "gptj":
        activation = settings.config.get("activation_function", "gelu_new")
        if activation not in TANH_GELUS:
            raise BadInput(f"This GPT-J's activation is {activation}; known to be served right is gelu_pytorch_tanh.")
        settings.config["activation_function"] = "gelu_pytorch_tanh"


def list_of_stop_ids(settings: Settings) -> None:
    """TGI looks at a list and passes over a number."""
    settings.generation_config["eos_token_id"] = list(settings.stop_ids)


RULES: tuple[Rule, ...] = (
    known_tokenizer_class,
    named_special_tokens,
    inline_chat_template,
    torch_dtype,
    rope_theta,
    rope_scaling,
    neox_rotary,
    gptj_tanh_gelu,
    list_of_stop_ids,
)


def make_readable(
    folder: Path, *, chat_template: str | None, stop_ids: tuple[int, ...], rules: Sequence[Rule] = RULES
) -> None:
    """Bring a directory that transformers 5 saved into the form that transformers 4.51.3 reads too."""
    names = ("config", "tokenizer_config", "generation_config")
    files = {name: _read(folder / f"{name}.json") for name in names}
    settings = Settings(**files, chat_template=chat_template, stop_ids=stop_ids)
    for rule in rules:
        rule(settings)
    for name in names:
        text = json.dumps(files[name], indent=2, ensure_ascii=False) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def _rope(settings: Settings) -> dict[str, Any]:
    return settings.config.get("rope_parameters") or {}


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
