"""A recipe: everything that decides what a model learns, in one TOML file; keys given with `--set` are laid over it."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from trainer.errors import BadRecipe
from trainer.loop_choices import FULL_PROMPTS, STRICT, AtLeastOne, GateChoice, NotNegative, RetrainChoice, Share
from trainer.self_instruct_choices import SelfInstructChoice


@dataclass(frozen=True)
class BaseChoice:
    """The open model to start from."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    model: str
    """Its name on the hub."""
    family: Literal["gptj", "gpt_neox", "llama", "other"]
    """`other` = any AutoModelForCausalLM; the first three are proven."""
    template: Literal["own", "dolly"] = "own"
    """The base's own chat template, or Dolly's keys for a base without one."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""


@dataclass(frozen=True)
class DatasetChoice:
    """What is learned from, and what is held out."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    sources: tuple[str, ...] = ()
    """As `dataset build` takes them; a hint, for the command names them again."""
    held_out_records: NotNegative = 200
    """Records never trained on, whole conversations; a fifth of a data set at most."""
    train_records: NotNegative = 0
    """So many records to train on, drawn with the seed; 0 = all that are not held out."""
    seed: NotNegative = 42
    """Of the split."""
    near_duplicates: bool = True
    """Whether all but the first of nearly equal records are left out."""
    max_tokens: AtLeastOne = 2048
    """The longest record, in tokens of the base."""
    too_long: Literal["drop", "cut"] = "drop"
    """What becomes of a longer one; counted either way."""


@dataclass(frozen=True)
class TuneChoice:
    """How it is learned."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    method: Literal["full", "lora"] = "full"
    epochs: Annotated[float, Field(gt=0)] = 1.0
    global_batch_size: AtLeastOne = 64
    """Records an optimizer step, over all processes."""
    row_tokens: AtLeastOne = 8192
    """Longest packed row, in tokens: what one forward pass holds."""
    fill_lengths: Annotated[tuple[AtLeastOne, ...], Field(max_length=4)] = ()
    """Rows are filled up to the next of these lengths, in tokens, so that a compiled model sees few shapes;
    where they are given, its blocks are compiled on a GPU."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    """The highest of the schedule."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    warmup_steps: NotNegative = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are clipped to this norm; 0 = not at all."""
    optimizer: Literal["adamw", "adamw_8bit_split"] = "adamw"
    """`adamw_8bit_split` = exact fp32 weights as bf16 and 16 low bits, states in 8 bits."""
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False
    step_in_backward: bool = False
    """Each weight is updated as soon as its gradient is known; no clipping then."""
    lm_head_bias: Literal["zero", "keep"] = "zero"
    """`zero` for TGI, which drops GPT-J's."""
    shuffle: bool = True
    """Whether each epoch has a random order of its own, drawn with the seed."""
    seed: NotNegative = 42
    evaluate_every_steps: NotNegative = 100
    """0 = at the end only."""
    save_every_steps: NotNegative = 200
    """0 = at the end only."""
    keep_checkpoints: AtLeastOne = 2
    """The newest; the best is kept besides."""
    sample_prompts: tuple[str, ...] = ()
    """Answered at each evaluation, so that one sees what is learned."""
    early_stop_patience: AtLeastOne | None = None
    """Stop after so many evaluations without a lower held-out loss."""


@dataclass(frozen=True)
class LoraChoice:
    """Low-rank adapters beside frozen weights."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    rank: AtLeastOne = 16
    alpha: AtLeastOne = 32
    dropout: Share = 0.0
    targets: tuple[str, ...] = ("all-linear",)
    """Names of the linear layers that get one; `all-linear` = all but the head."""


@dataclass(frozen=True)
class ExportChoice:
    """What engines are given, beside the directory that TGI reads."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    gguf: tuple[Literal["f16", "q8_0"], ...] = ()


@dataclass(frozen=True)
class EvaluateChoice:
    """How models are compared."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    held_out_records: AtLeastOne = 300
    """The most held-out records that are scored and answered."""
    instances_per_task: Annotated[int, Field(ge=1, le=100)] = 100
    """Of each SuperNI task the first so many: all 100 are the published test."""
    max_answer_tokens: AtLeastOne = 256
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 = greedy: always the likeliest token."""
    answers_at_once: AtLeastOne = 4
    context_tokens: AtLeastOne = 2048
    """Window of an answer in llama.cpp, its prompt included."""
    gguf: Literal["f16", "q8_0"] = "q8_0"
    """The file that answers, of those that lie in an export: the one that will be served."""
    side_by_side: NotNegative = 20
    """Answers shown beside each other in the report."""
    lm_eval_tasks: tuple[str, ...] = ()
    """Tasks of lm-eval, where that package is installed."""
    seed: NotNegative = 42


@dataclass(frozen=True)
class Recipe:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    description: str
    base: BaseChoice
    dataset: DatasetChoice = field(default_factory=DatasetChoice)
    tune: TuneChoice = field(default_factory=TuneChoice)
    lora: LoraChoice | None = None
    export: ExportChoice = field(default_factory=ExportChoice)
    evaluate: EvaluateChoice = field(default_factory=EvaluateChoice)
    retrain: RetrainChoice = field(default_factory=RetrainChoice)
    gate: GateChoice = field(default_factory=GateChoice)
    self_instruct: SelfInstructChoice = field(default_factory=SelfInstructChoice)


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """A shipped recipe by its name, or a TOML file; `overrides` are `section.key=value`.

    Raises BadRecipe with every fault at once.
    """
    where, text = _read(name_or_path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadRecipe(f"{where} is no TOML: {error}.") from None
    faults = [fault for override in overrides if (fault := _lay_over(data, override))]
    return parse_recipe(data, where, faults)


def parse_recipe(data: Mapping[str, Any], where: str, faults: Sequence[str] = ()) -> Recipe:
    """The recipe that nested tables say; as `dataclasses.asdict` gives them, or TOML."""
    found = [*faults, *_contradictions(data)]
    try:
        recipe: Recipe = TypeAdapter(Recipe).validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        found += [_sentence(detail["loc"], detail["type"], detail["msg"], detail["input"]) for detail in error.errors()]
    if found:
        count = "one fault" if len(found) == 1 else f"{len(found)} faults"
        raise BadRecipe("\n".join((f"{where} has {count}:", *(f"  {fault}" for fault in found))))
    return recipe


def recipe_names() -> list[str]:
    """The recipes that are shipped."""
    folder = resources.files("trainer") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def to_toml(recipe: Recipe) -> str:
    """The recipe as TOML that `load_recipe` reads back as the same values."""
    tables = asdict(recipe)
    lines = [f"{key} = {_toml(value)}" for key, value in tables.items() if isinstance(value, str)]
    for section, table in tables.items():
        if isinstance(table, dict):
            lines += ["", f"[{section}]"]
            lines += [f"{key} = {_toml(value)}" for key, value in table.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _read(name_or_path: str) -> tuple[str, str]:
    shipped = recipe_names()
    if name_or_path in shipped:
        text = (resources.files("trainer") / "recipes" / f"{name_or_path}.toml").read_text(encoding="utf-8")
        return f"Recipe {name_or_path}", text
    try:
        return name_or_path, Path(name_or_path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        near = _near(name_or_path, shipped)
        known = f"did you mean {near}?" if near else f"shipped are {', '.join(shipped)}."
        raise BadRecipe(f"There is no recipe {name_or_path}, and no readable file of that name: {known}") from None


def _lay_over(data: dict[str, Any], override: str) -> str | None:
    """Write one `section.key=value` into the tables; what is wrong with it, if anything."""
    name, equals, text = override.partition("=")
    path = name.strip().split(".")
    if not equals or not all(path):
        return f"--set {override}: write it as section.key=value, such as tune.learning_rate=1e-4."
    for section in path[:-1]:
        data = data.setdefault(section, {})
        if not isinstance(data, dict):
            return f"--set {override}: {section} is no table."
    data[path[-1]] = _value(text.strip())
    return None


def _value(text: str) -> Any:
    """What the text is in TOML; a text without quotes is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def _contradictions(data: Mapping[str, Any]) -> list[str]:
    """What no field can see alone."""
    tune, found = data.get("tune"), []
    tune = tune if isinstance(tune, Mapping) else {}
    if tune.get("step_in_backward") is True and tune.get("max_grad_norm", TuneChoice.max_grad_norm) != 0:
        found.append("tune.step_in_backward: gradients cannot be clipped then; set tune.max_grad_norm = 0 as well.")
    if tune.get("step_in_backward") is True and tune.get("method") == "lora":
        found.append("tune.step_in_backward: is for method full; adapters are too small to gain from it.")
    if tune.get("method") == "lora" and data.get("lora") is None:
        found.append("lora: method lora needs a table [lora] with rank, alpha and targets.")
    if tune.get("method", TuneChoice.method) == "full" and data.get("lora") is not None:
        found.append('lora: a table [lora] says nothing to method full; remove it, or set tune.method = "lora".')
    gate = data.get("gate")
    prompts = gate.get("prompts", GateChoice.prompts) if isinstance(gate, Mapping) else GateChoice.prompts
    if isinstance(gate, Mapping) and gate.get("size") == "full" and isinstance(prompts, int) and prompts < FULL_PROMPTS:
        found.append(f"gate.prompts: a full gate asks {FULL_PROMPTS} prompts or more, and here are {prompts}.")
    return found


def _sentence(loc: tuple[int | str, ...], kind: str, message: str, given: Any) -> str:
    """One fault as pydantic found it, in words for who wrote the recipe."""
    name = ".".join(str(part) for part in loc)
    if kind == "unexpected_keyword_argument":
        near = _near(name, _names())
        return f"{name}: no such key; did you mean {near}?" if near else f"{name}: no such key."
    if kind == "missing":
        return f"{name}: is missing."
    if kind in ("dataclass_type", "dataclass_exact_type"):
        return f"{name}: should be a table, [{name}], and is {_toml_or_repr(given)}."
    near = _near(str(given), re.findall(r"'([^']*)'", message)) if kind == "literal_error" else None
    end = f'; did you mean "{near}"?' if near else "."
    should = message.replace("Input should be", "should be").replace("'", '"')
    return f"{name}: {should}, and is {_toml_or_repr(given)}{end}"


def _toml_or_repr(value: Any) -> str:
    return repr(value) if value is None or isinstance(value, dict) else _toml(value)


def _near(wrong: str, right: Sequence[str]) -> str | None:
    """The right name that is most like a wrong one; a right last part in the wrong table counts as like."""
    moved = [name for name in right if name.rpartition(".")[2] == wrong.rpartition(".")[2]]
    return next(iter(moved or difflib.get_close_matches(wrong, right, n=1, cutoff=0.6)), None)


def _names() -> list[str]:
    """Every key that a recipe may have, such as tune.learning_rate."""
    names, hints = [], get_type_hints(Recipe)
    for section in fields(Recipe):
        names.append(section.name)
        hint = hints[section.name]
        for choice in (hint, *get_args(hint)):
            if is_dataclass(choice):
                names += [f"{section.name}.{entry.name}" for entry in fields(choice)]
    return names
