"""What the model is asked, in the structure that Self-Instruct published; examples come from the seeds.

`RAW` prompts are gone on with by a model of text, over /v1/completions; `CHAT` prompts are one user's message for a
model that has learned to answer. What comes back has the same shape either way (replies.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.self_instruct.seeds import Seed

TASK, EXAMPLE, INPUT, OUTPUT, LABEL = "Task:", "Example", "Input:", "Output:", "Class label:"
"""The keys of a prompt's examples, by which the model's reply is read as well."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text for the model, and where what it writes is cut off."""

    text: str
    stops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Four questions. Each lays its examples between an introduction and an end."""

    is_chat: bool
    instructions: tuple[str, str]
    classification: tuple[str, str]
    inputs_first: tuple[str, str]
    outputs_first: tuple[str, str]
    whole_tasks: tuple[str, str]

    def for_instructions(self, examples: Sequence[str], wanted: int) -> Prompt:
        """A numbered list that is to go on for so many more; the number after them is where it is cut."""
        shown = "".join(f"{number}. {text}\n" for number, text in enumerate(examples, 1))
        start, end = self.instructions
        numbers = {"next": len(examples) + 1, "last": len(examples) + wanted}
        return Prompt(start + shown + end.format(**numbers), (f"\n{len(examples) + wanted + 1}.",))

    def for_classification(self, instruction: str, examples: Sequence[Seed]) -> Prompt:
        shown = "".join(
            f"{TASK} {seed.instruction}\nIs it classification? {'Yes' if seed.is_classification else 'No'}\n\n"
            for seed in examples
        )
        start, end = self.classification
        return Prompt(f"{start}{shown}{TASK} {instruction}\nIs it classification?{end}", ("\n", TASK))

    def for_instances(self, instruction: str, examples: Sequence[Seed], *, is_classification: bool) -> Prompt:
        """Of a classification each class label is asked for before an input that has it: else all get one label."""
        start, end = self.outputs_first if is_classification else self.inputs_first
        shown = "".join((_labels if is_classification else _examples)(seed) + "\n" for seed in examples)
        return Prompt(f"{start}{shown}{TASK} {instruction}\n{end}", (f"\n{TASK}", "\n\n\n"))

    def for_whole_tasks(self, examples: Sequence[Seed], wanted: int) -> Prompt:
        """Alpaca's: a list of tasks with input and output."""
        shown = "".join(whole_task(number, seed) for number, seed in enumerate(examples, 1))
        start, end = self.whole_tasks
        numbers = {"next": len(examples) + 1, "last": len(examples) + wanted, "all": len(examples) + wanted}
        text = start.format(**numbers) + shown + end.format(**numbers)
        return Prompt(text, (f"\n{len(examples) + wanted + 1}. Instruction:",))


def whole_task(number: int, seed: Seed) -> str:
    """One task of Alpaca's list."""
    instance = seed.instances[0]
    return (
        f"###\n{number}. Instruction: {seed.instruction}\n{number}. Input:\n{instance.input or '<noinput>'}\n"
        f"{number}. Output:\n{instance.output}\n"
    )


def _examples(seed: Seed) -> str:
    shown = []
    for number, instance in enumerate(seed.instances, 1):
        head = f"{EXAMPLE} {number}\n" if instance.input or len(seed.instances) > 1 else ""
        given = f"{INPUT} {instance.input}\n" if instance.input else ""
        shown.append(f"{head}{given}{OUTPUT} {instance.output}\n")
    return f"{TASK} {seed.instruction}\n{''.join(shown)}"


def _labels(seed: Seed) -> str:
    shown = "".join(
        f"{LABEL} {instance.output}\n" + (f"{INPUT} {instance.input}\n" if instance.input else "")
        for instance in seed.instances
    )
    return f"{TASK} {seed.instruction}\n{shown}"


IS_CLASSIFICATION = (
    "Can the following task be regarded as a classification task with a finite number of output labels?\n\n"
)
INPUTS_FIRST = (
    "Come up with examples for the following tasks, with several examples where possible. A task that needs no further "
    "input has its output alone.\n\n"
)
OUTPUTS_FIRST = (
    "For each classification task below, write every class label, and for each label an input that has it. A task that "
    "needs no input has its class labels alone.\n\n"
)
WHOLE_TASKS = """Write {all} tasks of many kinds that an assistant could be given, each with the input that it is \
about, if any, and the right output.

- No verb and no kind of task comes twice; questions and commands are mixed; texts, code, lists, classification, \
rewriting, planning and others are among them.
- A model of text can do each of them: it sees and draws nothing, sets no alarm, calls nobody.
- An instruction is a sentence or two of English. An input is concrete, of 100 words at most; <noinput> stands where \
none is needed.
- An output is right, helpful, and shorter than 100 words.

The tasks:

"""

RAW = PromptSet(
    is_chat=False,
    instructions=("Come up with a series of tasks:\n\n", "{next}."),
    classification=(IS_CLASSIFICATION, ""),
    inputs_first=(INPUTS_FIRST, ""),
    outputs_first=(OUTPUTS_FIRST, ""),
    whole_tasks=(WHOLE_TASKS, "###\n{next}. Instruction:"),
)
CHAT = PromptSet(
    is_chat=True,
    instructions=(
        "These are tasks that people gave to an assistant:\n\n",
        "\nGo on with the list: write tasks {next} to {last}, each of another kind. Write the tasks alone, each on a "
        "numbered line, and do none of them.",
    ),
    classification=(IS_CLASSIFICATION, "\n\nSay Yes or No, and nothing else."),
    inputs_first=(INPUTS_FIRST, "\nWrite the examples of the last task alone, in the shape of those above."),
    outputs_first=(
        OUTPUTS_FIRST,
        "\nWrite labels and inputs of the last task alone, in the shape of those above.",
    ),
    whole_tasks=(WHOLE_TASKS, "###\n\nGo on with tasks {next} to {last}, in exactly this shape."),
)
