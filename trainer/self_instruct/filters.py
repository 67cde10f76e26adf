"""What is left out, by name: instructions that no model of text can follow, instances that teach nothing."""

import random
import re
import string
from collections.abc import Sequence

from trainer.evaluation.measures import loops
from trainer.self_instruct.seeds import Instance
from trainer.self_instruct_choices import SelfInstructChoice

Rejected = tuple[str, str]
"""Why, and the text."""

FIELD = re.compile(r"^[A-Z][\w ]{0,30}:[ \t]*(?=\S)")
"""The label of a single field, as in "Sentence: …"."""


def refusal(instruction: str, choice: SelfInstructChoice) -> str | None:
    """Why the instruction is left out, or None. How like it is to others is the novelty filter's to say."""
    words = instruction.split()
    if not words:
        return "empty"
    if len(words) < choice.least_words:
        return "too_short"
    if len(words) > choice.most_words:
        return "too_long"
    if any(re.search(rf"\b{re.escape(word)}\b", instruction, re.IGNORECASE) for word in choice.blacklist):
        return "blacklisted"
    if instruction.lower().startswith("write a program"):
        return "writes_program"
    if instruction[0] in string.punctuation:
        return "punctuation"
    if not instruction[0].isascii():
        return "non_ascii_start"
    return "repeats" if loops(instruction) else None


def kept_instances(instances: Sequence[Instance], most: int) -> tuple[list[Instance], list[Rejected]]:
    """Those that teach something, `most` of them at most; of one input with several outputs, none."""
    outputs: dict[str, set[str]] = {}
    for instance in instances:
        outputs.setdefault(instance.input, set()).add(instance.output)
    kept: list[Instance] = []
    rejected: list[Rejected] = []
    for instance in instances:
        why = _fault(instance) or ("contradicts" if len(outputs[instance.input]) > 1 else None)
        if why is None and instance in kept:
            why = "twice"
        if why is None and len(kept) == most:
            why = "too_many"
        if why is None:
            kept.append(instance)
        else:
            rejected.append((why, f"{instance.input}\n{instance.output}".strip()))
    return kept, rejected


def _fault(instance: Instance) -> str | None:
    if not instance.output:
        return "empty"
    if instance.input == instance.output:
        return "echoes"
    if instance.output.endswith(":") or instance.input.endswith(":"):
        return "colon"
    return "repeats" if loops(instance.output) or loops(instance.input) else None


def formatted(instance: Instance, share: float, rng: random.Random) -> Instance:
    """The same, now and then without the name of its one field or its empty lines, as people write."""
    given, output = instance.input, instance.output
    if given and "\n" not in given and FIELD.match(given) and rng.random() < share:
        given = FIELD.sub("", given)
    if rng.random() < share:
        given, output = given.replace("\n\n", "\n"), output.replace("\n\n", "\n")
    return Instance(given, output)
