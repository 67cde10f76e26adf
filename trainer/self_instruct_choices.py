"""The table of a recipe that says how new tasks are made; unless told, as in the Self-Instruct paper."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from trainer.loop_choices import STRICT, AtLeastOne, NotNegative

Penalty = Annotated[float, Field(ge=0, le=2)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]

PAPERS_WORDS = (
    *("image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps"),
    *("draw", "plot", "go to"),
)
"""What a model of text cannot see or do (Wang et al. 2022)."""


@dataclass(frozen=True)
class SelfInstructChoice:
    """How a model writes tasks from seeds. Unless told, as in Self-Instruct (arXiv 2212.10560)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    steps: Literal["paper", "alpaca"] = "paper"
    """`paper`: instructions; classification or not; instances. `alpaca`: tasks with input and output in one request."""
    prompts: Literal["auto", "raw", "chat"] = "auto"
    """`raw` ones are gone on with (/v1/completions), `chat` ones answered; `auto` = raw where the engine takes them."""
    seed_examples: AtLeastOne = 6
    """Seeds that a request for instructions shows."""
    machine_examples: NotNegative = 2
    """Instructions that the model wrote, shown beside them as soon as there are so many."""
    instructions_per_request: AtLeastOne = 7
    """At most; the list is cut off there."""
    temperature: Temperature = 0.7
    """Of instructions, and of Alpaca's whole tasks."""
    top_p: TopP = 0.5
    presence_penalty: Penalty = 2.0
    """TGI, which knows none, is given a repetition penalty of 1.1."""
    instructions_tokens: AtLeastOne = 1024
    """The longest list."""
    classification_examples: AtLeastOne = 31
    """Seeds that the question shows whether a task is a classification."""
    instance_examples: AtLeastOne = 8
    """Seeds with their instances that a request for instances shows."""
    instance_temperature: Temperature = 0.0
    instance_presence_penalty: Penalty = 1.5
    classification_instance_tokens: AtLeastOne = 300
    instance_tokens: AtLeastOne = 350
    """The longest instances of one task."""
    instances_per_task: AtLeastOne = 5
    """At most."""
    least_words: AtLeastOne = 4
    """Of an instruction."""
    most_words: AtLeastOne = 150
    blacklist: tuple[str, ...] = PAPERS_WORDS
    """An instruction with one of these words is left out."""
    novelty: Annotated[float, Field(gt=2 / 3, lt=1)] = 0.7
    """The highest ROUGE-L of a new instruction with any other."""
    strip_field_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of inputs of the shape "Field: value", so many lose their field; of texts, so many their empty lines."""
    requests_at_once: AtLeastOne = 4
    """As many as the engine writes at the same time."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 300.0
    """Of one request."""
    patience_requests: AtLeastOne = 60
    """After so many requests of a step in a row of which nothing was kept, it ends."""
    context_tokens: AtLeastOne = 2048
    """Window of a request in llama.cpp, its prompt included."""
    threads: NotNegative = 0
    """Of llama.cpp, where it is started here; 0 = all cores but one."""
    seed: NotNegative = 42
    """Of all that is drawn."""
