"""README.md of an exported model: what it is made of, what may be done with it, how to serve it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.artifacts import read_manifest
from trainer.errors import BadInput
from trainer.exports.origin import Origin

FRONT_MATTER = """---
library_name: transformers
pipeline_tag: text-generation
base_model: {base}
license: {licence}
tags:
  - dolly
---
"""

NOT_COMMERCIAL = """
> [!CAUTION]
> **NOT FOR COMMERCIAL USE.** It learned from data, or comes from a base, whose licence forbids it or is not known:
{reasons}
"""

SERVING = {
    "tgi": """### TGI 3.3.7

```sh
docker run --gpus all --shm-size 1g -p 8080:80 -v "$PWD":/models/{name} -e HF_HUB_OFFLINE=1 \\
  ghcr.io/huggingface/text-generation-inference:3.3.7 \\
  --model-id /models/{name} --dtype {dtype} --usage-stats off --api-key "$ENGINE_API_KEY"
```
""",
    "vllm": """### vLLM

```sh
vllm serve "$PWD" --served-model-name {name} --dtype {dtype} --api-key "$ENGINE_API_KEY"
```
""",
    "transformers": """### transformers

```sh
transformers serve "$PWD"
```
""",
    "llama.cpp": """### llama.cpp

```sh
llama-server --model {gguf} --jinja --ctx-size {context} --api-key "$ENGINE_API_KEY"
```
""",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What an evaluation found of a model: a part of its report.json."""

    label: str
    judged: Mapping[str, Any]


def read_figures(evaluation: Path, origin: Origin) -> Figures:
    """Of the checkpoint or base, in the directory of an evaluation that judged it. Raises BadInput, NotWhole."""
    models = read_manifest(evaluation, "evaluation", check=True)["models"]
    own = origin.parent()["manifest_sha256"]
    labels = [label for label, model in models.items() if model.get("made_of") == own]
    if not labels:
        raise BadInput(f"{evaluation} judged no export of {origin.folder}: its figures are of other models.")
    report = json.loads((evaluation / "report.json").read_text(encoding="utf-8"))
    return Figures(labels[-1], report["models"][labels[-1]])


def write_model_card(folder: Path, origin: Origin, facts: Mapping[str, Any], figures: Figures | None) -> None:
    """Write it beside the model. `facts` are those of the export's manifest."""
    parts = [
        FRONT_MATTER.format(base=json.dumps(origin.base_name), licence=_card_licence(origin)),
        f"# {facts['name']}\n",
        NOT_COMMERCIAL.format(reasons="\n".join(f"> - {reason}" for reason in _reasons(origin)))
        if facts["non_commercial"]
        else "",
        _made_of(origin, facts),
        _prompt(facts),
        _serving(folder, facts),
        _evaluation(figures) if figures else "",
    ]
    text = "\n".join(part.strip("\n") + "\n" for part in parts if part)
    (folder / "README.md").write_text(text, encoding="utf-8")


def _card_licence(origin: Origin) -> str:
    """One word of the hub's list; what a mixture of licences comes to is for people to say."""
    return "other" if origin.dataset is not None or not origin.base_licence else json.dumps(origin.base_licence)


def _reasons(origin: Origin) -> list[str]:
    sources = [source for source in (origin.dataset or {}).get("sources", ()) if source.get("non_commercial")]
    found = [f"{source['name']}: {source['licence']}. {source.get('note') or ''}".strip() for source in sources]
    if not origin.is_data_known:
        found.append(
            f"The data set {(origin.dataset or {}).get('path')} has gone or changed: its licences are unknown."
        )
    return found or [f"{origin.base_name}: {origin.base_licence}."]


def _made_of(origin: Origin, facts: Mapping[str, Any]) -> str:
    lines = ["## Made of", "", f"- Base: {origin.base_name}, licence {origin.base_licence or 'not stated: look it up'}"]
    if origin.dataset is not None:
        trained = f"{origin.learned_records:,} records" if origin.learned_records else "records"
        lines.append(f"- Data: {trained} of")
        for source in origin.dataset.get("sources", ()):
            lines.append(f"  - {source['name']}: licence {source['licence']}. {source.get('note') or ''}".rstrip())
    if origin.recipe is not None:
        lines += [f"- Recipe: {_recipe(origin.recipe)}"]
    if facts["lm_head_bias"]:
        lines.append(f"- Bias of the head: {facts['lm_head_bias']['sentence']}")
    return "\n".join(lines)


def _recipe(recipe: Mapping[str, Any]) -> str:
    tune = recipe.get("tune") or {}
    words = [f"`{recipe.get('name', 'unnamed')}`"]
    for key in ("method", "epochs", "global_batch_size", "learning_rate", "precision", "seed"):
        if key in tune:
            words.append(f"{key.replace('_', ' ')} {tune[key]}")
    return ", ".join(words)


def _prompt(facts: Mapping[str, Any]) -> str:
    if facts["template"] is None:
        return "## Prompt\n\nNone: this base has no chat template. It continues text."
    whose = "Dolly's" if facts["template"] == "dolly" else "The base's own"
    ends = zip(facts["stop_tokens"], facts["stop_ids"], strict=True)
    stops = " or ".join(f"`{token}` ({number})" for token, number in ends)
    return (
        f"## Prompt\n\n{whose} chat template, which travels with the model; engines apply it on "
        f"`/v1/chat/completions`. An answer ends with {stops}.\n"
        "What people write must not hold the model's control tokens, or it would speak with the system's voice. They "
        "are under `keys` in manifest.json; Dolly breaks them where `ENGINE_MANIFEST` names that file."
    )


def _serving(folder: Path, facts: Mapping[str, Any]) -> str:
    files: Sequence[str] = list(facts["gguf"].values())
    values = {
        "name": facts["name"],
        # Flash attention has no fp32; of the two 16-bit kinds f16 is nearer to fp32 weights.
        "dtype": "bfloat16" if facts["dtype"] == "bfloat16" else "float16",
        "gguf": files[-1] if files else "",
        "context": facts["context_tokens"],
    }
    return "\n".join(["## Serve", "", *(SERVING[engine].format(**values) for engine in facts["engines"])])


def _evaluation(figures: Figures) -> str:
    judged = figures.judged
    rows = [
        (suite, measure, f"{value['mean']:.3f} ± {value['margin']:.3f}", value["number"])
        for suite, found in judged["suites"].items()
        for measure, value in found["slices"].get("all", {}).items()
    ]
    lines = [f"| {suite} | {measure} | {value} | {number} |" for suite, measure, value, number in rows]
    return "\n".join(
        [
            "## Evaluation",
            "",
            f"As `{figures.label}`, answered by {judged['answered_by']}, template {judged['template']}; ± is half "
            "of the 95 % interval, shares are 0 to 1.",
            "",
            "| asked | measure | mean | of |",
            "|---|---|---|---|",
            *lines,
        ]
    )
