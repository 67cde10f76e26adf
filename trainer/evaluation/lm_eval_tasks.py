"""Tasks of EleutherAI's lm-eval, where that package is installed: the field's own scores, beside Dolly's."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from trainer.errors import BadInput, EngineFailed


def check_lm_eval(tasks: Sequence[str]) -> None:
    """Raises BadInput where tasks are wanted and cannot be run."""
    if tasks and find_spec("lm_eval") is None:
        raise BadInput(
            f"evaluate.lm_eval_tasks asks for {', '.join(tasks)}, and lm-eval is not installed: "
            "`pip install 'lm-eval[hf]'`, or leave the list empty."
        )


def lm_eval_scores(folder: Path, tasks: Sequence[str]) -> dict[str, dict[str, float]]:
    """Of each task its measures, by lm-eval on the directory in transformers, with the model's chat template.

    Its data sets come from the hub. Raises EngineFailed where a task cannot be run.
    """
    try:
        found = import_module("lm_eval").simple_evaluate(
            model="hf",
            model_args={"pretrained": str(folder), "trust_remote_code": False},
            tasks=list(tasks),
            apply_chat_template=True,
        )
    except Exception as error:  # lm-eval, its tasks and the hub each have errors of their own
        raise EngineFailed(f"lm-eval could not run {', '.join(tasks)} on {folder}: {error}") from error
    return {
        task: {name.split(",")[0]: float(value) for name, value in measures.items() if isinstance(value, int | float)}
        for task, measures in (found or {"results": {}})["results"].items()
    }
