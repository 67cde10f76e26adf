"""A checkpoint → what engines serve: a directory for TGI and vLLM, GGUF for llama.cpp, a card for people."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import transformers
from rich.console import Console
from rich.markup import escape

from trainer.artifacts import write_artifact, write_manifest
from trainer.errors import BadInput
from trainer.exports.gguf_file import PRECISIONS, check_gguf, write_gguf
from trainer.exports.model_card import read_figures, write_model_card
from trainer.exports.origin import Origin, read_origin
from trainer.exports.tgi import make_readable
from trainer.exports.weights import (
    LOUD_RISE,
    BiasChange,
    HeadBias,
    check_finite,
    drop_padding,
    load_merged,
    settle_head_bias,
)
from trainer.records import Message
from trainer.template import Template, stops_of, template_of

SHARD_SIZE = "5GB"
"""Engines load shards side by side."""

EXAMPLE = (
    Message("system", "You are Dolly."),
    Message("user", "What is 2 + 2?\nOne number."),
    Message("assistant", "4"),
    Message("user", "And 3 + 3?"),
)
"""A conversation of each role, with a line break: the engine has to make the prompt of it that training would."""


def export(
    checkpoint: Path,
    out: Path,
    *,
    gguf: Sequence[str] | None = None,
    lm_head_bias: str | None = None,
    evaluation: Path | None = None,
    console: Console | None = None,
) -> Path:
    """Export a checkpoint, a run's best one, or a base to the directory `out`, and return it.

    `gguf` are files to write beside it, of f16 and q8_0. `lm_head_bias` is zero for TGI, which drops it, or keep. None:
    as the run's recipe says. `evaluation` is the directory of one that judged an earlier export of this checkpoint, for
    the card. Raises BadInput, NotWhole, DiskFull.
    """
    console = console or Console(stderr=True)
    transformers.logging.disable_progress_bar()
    _check_choices(gguf or (), lm_head_bias or "zero")
    with console.status(f"Reading {escape(str(checkpoint))}"):
        origin = read_origin(checkpoint)
        gguf = (origin.chosen("export", "gguf") or ()) if gguf is None else gguf
        lm_head_bias = lm_head_bias or origin.chosen("tune", "lm_head_bias")
        figures = read_figures(evaluation, origin) if evaluation else None
        model, tokenizer = load_merged(origin)
    template = _template(tokenizer, origin)
    if gguf:
        check_gguf(model.config.to_dict())
    check_finite(model)
    bias = settle_head_bias(model, tokenizer, "keep" if lm_head_bias == "keep" else "zero")
    dropped = drop_padding(model, tokenizer)
    stop_ids = stops_of(tokenizer, template, model.generation_config.eos_token_id)
    with write_artifact(out) as folder:
        with console.status("Writing the directory for TGI and vLLM"):
            _write_directory(folder, model, tokenizer, template, stop_ids)
        facts = _facts(out.name, origin, model, tokenizer, template) | {
            "stop_ids": list(stop_ids),
            "stop_tokens": tokenizer.convert_ids_to_tokens(list(stop_ids)),
            "rows_dropped": dropped,
            "lm_head_bias": _bias_facts(bias),
            "engines": _engines(bias, gguf),
            "gguf": {precision: f"model-{precision}.gguf" for precision in gguf},
        }
        del model
        for precision in PRECISIONS:
            if precision in gguf:
                with console.status(f"Writing GGUF {precision}"):
                    path = folder / facts["gguf"][precision]
                    write_gguf(folder, path, precision, name=out.name, stop_ids=stop_ids)
        write_model_card(folder, origin, facts, figures)
        write_manifest(folder, "export", facts)
    _show(out, facts, bias, console)
    return out


def _check_choices(gguf: Sequence[str], lm_head_bias: str) -> None:
    if unknown := [precision for precision in gguf if precision not in PRECISIONS]:
        raise BadInput(f"--gguf {unknown[0]} is not known: {' and '.join(PRECISIONS)} are written.")
    if lm_head_bias not in get_args(HeadBias):
        raise BadInput(f"--lm-head-bias {lm_head_bias} is not known: zero or keep.")


def _template(tokenizer: Any, origin: Origin) -> Template | None:
    """None for a base that has none."""
    if tokenizer.chat_template is None and origin.kind == "base":
        return None
    return template_of(tokenizer)


def _write_directory(
    folder: Path, model: Any, tokenizer: Any, template: Template | None, stop_ids: tuple[int, ...]
) -> None:
    model.save_pretrained(folder, max_shard_size=SHARD_SIZE)
    tokenizer.save_pretrained(folder)
    make_readable(folder, chat_template=template.chat_template if template else None, stop_ids=stop_ids)
    read_back = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if read_back["vocab_size"] != model.get_input_embeddings().weight.shape[0]:
        raise RuntimeError("config.json says another vocabulary than the weights have")


def _facts(name: str, origin: Origin, model: Any, tokenizer: Any, template: Template | None) -> dict[str, Any]:
    """What the gate, the bot and people need to know of the export."""
    sources = (origin.dataset or {}).get("sources", ())
    return {
        "name": name,
        "family": model.config.model_type,
        "dtype": str(model.dtype).removeprefix("torch."),
        "context_tokens": model.config.max_position_embeddings,
        "base": {"name": origin.base_name, "licence": origin.base_licence, "revision": origin.base.get("revision")},
        "parent": origin.parent(),
        "recipe": (origin.recipe or {}).get("name"),
        "template": template.name if template else None,
        "keys": list(template.keys if template else tokenizer.all_special_tokens),
        "rendered": rendered_example(template) if template else None,
        "licences": {source["name"]: source["licence"] for source in sources},
        "non_commercial": origin.is_non_commercial,
    }


def rendered_example(template: Template) -> dict[str, Any] | None:
    """The example's prompt as text and tokens, for `dolly check` to compare the engine's with.

    Without the system's message where the base's template refuses one; None where it refuses the rest, too.
    """
    for messages in (EXAMPLE, EXAMPLE[1:]):
        try:
            text, ids = template.render(messages, add_generation_prompt=True), template.encode_prompt(messages)
        except BadInput:
            continue
        told = [{"role": message.role, "content": message.content} for message in messages]
        return {"messages": told, "text": text, "input_ids": ids}
    return None


def _bias_facts(bias: BiasChange | None) -> dict[str, Any] | None:
    if bias is None:
        return None
    losses = {"choice": bias.choice, "loss_before": bias.loss_before, "loss_after": bias.loss_after}
    return losses | {"sentence": _bias_sentence(bias)}


def _bias_sentence(bias: BiasChange) -> str:
    if bias.choice == "keep":
        return "kept. TGI drops it, and would serve another model than this one; transformers is shown to serve it."
    return (
        f"set to zero, because TGI drops it. The loss on a plain text went from {bias.loss_before:.3f} to "
        f"{bias.loss_after:.3f} a token."
    )


def _engines(bias: BiasChange | None, gguf: Sequence[str]) -> list[str]:
    """Those that serve what was exported as it is, the usual one first; with a bias, those where that is shown."""
    by_directory = ["transformers"] if bias and bias.choice == "keep" else ["tgi", "vllm"]
    return [*by_directory, *(["llama.cpp"] if gguf else [])]


def _show(out: Path, facts: dict[str, Any], bias: BiasChange | None, console: Console) -> None:
    stops = ", ".join(f"{token!r}" for token in facts["stop_tokens"])
    console.print(f"[bold]Exported[/] {escape(str(out))}: template {facts['template']}, stops at {escape(stops)}.")
    console.print(f"Engines: {', '.join(facts['engines'])}. How to start them is in {escape(str(out / 'README.md'))}.")
    if facts["rows_dropped"]:
        console.print(f"{facts['rows_dropped']} rows without a token are gone: no engine can say them.")
    if bias is not None:
        loud = bias.rise > LOUD_RISE
        mark = f"[bold white on red] LOSS ROSE BY {bias.rise:.3f} [/] " if loud else ""
        console.print(f"{mark}The head's bias is {escape(_bias_sentence(bias))}", highlight=False)
    if facts["non_commercial"]:
        console.print("[bold white on red] NOT FOR COMMERCIAL USE [/] The card says why.")
