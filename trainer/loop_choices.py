"""The two tables of a recipe that close the loop: what a retrain mixes, and what a candidate must show."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""Of every table: unknown keys, other types and NaN are faults."""

AtLeastOne = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

FULL_PROMPTS = 300
"""The fewest prompts of a full gate."""


@dataclass(frozen=True)
class RetrainChoice:
    """What a retrain mixes: a team's feedback, and replay of everyday records so that little is forgotten."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    start: Literal["base", "current"] = "base"
    """What is tuned: the base each time, from all feedback, or the revision in service."""
    system_prompt: str = ""
    """What the bot lays before a conversation (its SYSTEM_PROMPT); trained and asked under it. Empty = nothing."""
    corrections_repeat: AtLeastOne = 12
    """How often each approved correction is shown in an epoch, its wordings together."""
    wordings: NotNegative = 5
    """So many of them ask in another wording, made by rule; 0 = always as it was asked."""
    corrections_held_out: Share = 0.1
    """Share of the corrections that is never trained on, rounded down: the full gate asks them."""
    neighbours_repeat: AtLeastOne = 2
    """How often each neighbour question is shown, with the answer of the model in service."""
    neighbours_held_out: Share = 0.5
    """Share of each correction's neighbour questions that is never trained on, for the gate; rounded down."""
    neighbour_answer_tokens: AtLeastOne = 96
    """The longest answer to a neighbour question, in tokens; of one that is cut off, whole sentences are learned."""
    liked: bool = False
    """Whether answers that were rated up are learned from, too, each once."""
    replay_records: AtLeastOne = 48
    """Replay to train on, drawn with the seed."""
    later_turns_share: Annotated[float, Field(ge=0.2, le=1)] = 0.2
    """Of the replay at least this share has several turns; single ones are joined where too few have."""
    canaries: Annotated[int, Field(ge=0, le=64)] = 16
    """Random codes laid into replay and liked answers, so that the gate can tell how much is learned by heart."""
    seed: NotNegative = 42
    """Of what is drawn: replay, order, codes."""


@dataclass(frozen=True)
class GateChoice:
    """What a candidate must show beside the model in service before it may be promoted."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    size: Literal["smoke", "full"] = "smoke"
    """`smoke`: few questions and hard limits on differences. `full`: 300 prompts or more, and sure ones (bootstrap)."""
    bits_records: AtLeastOne = 64
    """Held-out records of the replay, for bits per byte."""
    prompts: AtLeastOne = 48
    """Held-out questions of the replay, answered by both models; 300 at least where the gate is full."""
    prompt_tokens: AtLeastOne = 128
    """The longest of those prompts, in tokens of the candidate."""
    answer_tokens: AtLeastOne = 128
    """The longest answer, in tokens."""
    paraphrases: NotNegative = 2
    """Of each correction, of those that the reviewer wrote."""
    neighbours: NotNegative = 6
    """Neighbour questions in all; those that were not trained on come first."""
    references: Annotated[int, Field(ge=15)] = 255
    """Codes that nobody trained on, which each canary is ranked among."""
    exposure_bits: Annotated[float, Field(gt=0)] = 3.0
    """The highest mean exposure of the canaries, in bits; 1.4 is what a model shows that never saw them."""
    bits_rise: Annotated[float, Field(ge=0)] = 0.02
    """How much worse bits per byte of the replay may be, as a share of the current model's."""
    suite_margin: Annotated[float, Field(ge=0)] = 0.05
    """How much ROUGE-L on the prompts may fall, of 1."""
    stop_margin: Annotated[float, Field(ge=0)] = 0.1
    """How much the share of answers that end by themselves may fall, of 1."""
    corrections_learned: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the trained corrections that must come back where they are asked as they were."""
    paraphrases_learned: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the paraphrases that must be answered with what the correction says."""
    neighbours_contaminated: NotNegative = 1
    """So many neighbours may be answered with a correction's words."""
    corrections_margin: Annotated[float, Field(ge=0)] = 0.02
    """How much ROUGE-L on held-out corrections may fall in a full gate, of 1."""
    minimum_corrections: NotNegative = 30
    """With fewer held-out corrections, a full gate has not enough evidence."""
    bootstrap_samples: Annotated[int, Field(ge=100)] = 10_000
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Of the two-sided interval whose lower bound counts."""
    answers_at_once: AtLeastOne = 4
    context_tokens: AtLeastOne = 1024
    """Window of an answer in llama.cpp, its prompt included."""
    seed: NotNegative = 42
