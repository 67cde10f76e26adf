"""A judge model compares answers, once it has been seen to judge as people or a known judge do."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainer.artifacts import sha256_of, write_artifact, write_manifest
from trainer.errors import BadInput, NotCalibrated
from trainer.evaluation.answer_files import Given, read_together
from trainer.evaluation.bootstrap import Interval
from trainer.evaluation.engine import Engine
from trainer.evaluation.judge import Judgement, Pair, judged
from trainer.evaluation.judging import Calibration, Comparison, Faults, calibrated, compared
from trainer.evaluation.labels import labels_sha256, read_labels
from trainer.evaluation.suites import sample
from trainer.exports.servable import serving
from trainer.progress import Progress
from trainer.records import Message


@dataclass(frozen=True, slots=True)
class JudgeChoice:
    """How a judge is asked, and when it is believed."""

    pairs: int = 200
    """Labelled pairs that it is tried on, drawn with the seed."""
    least_kappa: float = 0.4
    """The lower end of kappa's interval that a verdict needs; above 0.4 agreement is usually called moderate."""
    at_once: int = 4
    reply_tokens: int = 16
    context_tokens: int = 4096
    """Window of a question and its reply, where llama.cpp is started here."""
    seed: int = 42


def judge(
    files: Mapping[str, Path],
    labels: Path,
    out: Path,
    *,
    engine_url: str | None = None,
    engine_key: str | None = None,
    model: Path | None = None,
    choice: JudgeChoice | None = None,
    console: Console | None = None,
) -> Path:
    """Writes judgement.json and judgements.jsonl (every reply) to `out` and returns it.

    `files` are labels with their answers to the same questions; each is compared with the first. The judge is the model
    at `engine_url`, or that of a directory or a GGUF file, `model`. It is tried on the labelled pairs first.

    Raises BadInput, EngineFailed; NotCalibrated, once what was found is written, where it agrees too little with the
    labels: nothing is judged then.
    """
    console, choice = console or Console(), choice or JudgeChoice()
    if len(files) < 2:
        raise BadInput("A judge compares the answers of two models or more: name LABEL=FILE for each.")
    together = read_together(files)
    labelled = sample(read_labels(labels), choice.pairs, choice.seed)
    if len({one.preference for one in labelled}) == 1:
        raise BadInput(
            f"All {len(labelled)} pairs that were drawn of {labels} prefer the same side, which tells nothing of a "
            "judge: take labels where now one answer is better, now the other."
        )
    with _opened(engine_url, engine_key, model, choice) as (engine, name), write_artifact(out) as place:
        console.print(f"The judge: {name}", markup=False, highlight=False)

        def ask(what: str, pairs: Sequence[Pair]) -> list[Judgement]:
            with Progress(what, 2 * len(pairs), console=console) as progress:
                return judged(
                    pairs,
                    engine,
                    at_once=choice.at_once,
                    reply_tokens=choice.reply_tokens,
                    answered=progress.advance,
                )

        lines = ask(f"Judging {labels.name}", [one.pair for one in labelled])
        calibration = calibrated(labelled, lines, choice.seed)
        if calibration is None:
            raise BadInput(f"No pair of {labels} fits into the judge's window.")
        _show_calibration(calibration, console)
        kept = [_line("calibration", one, label=label.preference) for label, one in zip(labelled, lines, strict=True)]
        found: dict[str, Comparison] = {}
        is_believed = calibration.kappa.low >= choice.least_kappa
        if is_believed:
            first, *others = together
            for label in others:
                answers = ask(f"Judging {label} beside {first}", _pairs(together[first], together[label]))
                comparison = compared(answers, choice.seed)
                if comparison is None:
                    raise BadInput(f"No question fits into the judge's window with the answers of {first} and {label}.")
                found[label] = comparison
                kept += [_line(label, one) for one in answers]
            _show_verdict(first, found, console)
        facts = {
            "judge": name,
            "labels": {"file": str(labels), "sha256": labels_sha256(labels)},
            "answers": {label: {"file": str(path), "sha256": sha256_of(path)} for label, path in files.items()},
            "settings": asdict(choice),
        }
        _write(place, facts, calibration, found, kept)
    if not is_believed:
        raise NotCalibrated(
            f"The verdict is withheld: this judge agrees too little with {labels.name}. Kappa is "
            f"{_shown(calibration.kappa)}, and the lower end should be {choice.least_kappa:g} or more (--least-kappa). "
            "Take a better judge, or have people rate."
        )
    return out


@contextmanager
def _opened(url: str | None, key: str | None, model: Path | None, choice: JudgeChoice) -> Iterator[tuple[Engine, str]]:
    """What answers for the judge, and its name."""
    if (url is None) == (model is None):
        raise BadInput("The judge is the model at --engine-url or the one in --model-dir: name one of the two.")
    if url is not None:
        with Engine(url, api_key=key) as engine:
            yield engine, f"{engine.recognise() or 'the model'} at {engine.url}"
        return
    assert model is not None  # just seen
    with serving(model, slots=choice.at_once, context_tokens=choice.context_tokens) as engine:
        yield engine, f"llama.cpp, {model.name}"


def _pairs(first: Sequence[Given], second: Sequence[Given]) -> list[Pair]:
    """Of the questions that both have answered."""
    return [
        Pair(one.item.id, _request(one.item.prompt), one.answer.text, other.answer.text)
        for one, other in zip(first, second, strict=True)
        if one.answer and other.answer
    ]


def _request(prompt: Sequence[Message]) -> str:
    """What was asked; of a conversation all that was said, with who said it."""
    if len(prompt) == 1:
        return prompt[0].content
    return "\n\n".join(f"{message.name or message.role}: {message.content}" for message in prompt)


def _line(of: str, one: Judgement, **more: Any) -> dict[str, Any]:
    return {"of": of, "id": one.pair.id, "replies": list(one.replies), "preference": one.preference} | more


def _write(
    place: Path,
    facts: Mapping[str, Any],
    calibration: Calibration,
    found: Mapping[str, Comparison],
    lines: Sequence[Mapping[str, Any]],
) -> None:
    said = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
        "calibration": asdict(calibration),
        "verdict": {label: asdict(one) | {"sentence": f"{label} {one.sentence}"} for label, one in found.items()}
        or None,
    }
    (place / "judgement.json").write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", "utf-8")
    with (place / "judgements.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_manifest(place, "judgement", facts)


def _show_calibration(found: Calibration, console: Console) -> None:
    table = Table(title="The judge beside the labels", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("agreement", _shown(found.agreement))
    table.add_row("Cohen's kappa", _shown(found.kappa))
    _add_faults(table, found.faults)
    console.print(table)


def _show_verdict(first: str, found: Mapping[str, Comparison], console: Console) -> None:
    for label, one in found.items():
        table = Table(title=f"{escape(label)} beside {escape(first)}", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        table.add_row("wins", str(one.wins))
        table.add_row("losses", str(one.losses))
        table.add_row("ties", str(one.ties))
        _add_faults(table, one.faults)
        console.print(table)
        console.print(f"{label} {one.sentence}.", markup=False, highlight=False, soft_wrap=True)


def _add_faults(table: Table, faults: Faults) -> None:
    table.add_row("pairs", str(faults.pairs))
    table.add_row("contradicts itself when turned", str(faults.contradicted))
    table.add_row("replies that name neither", str(faults.unreadable))
    table.add_row("longer than its window", str(faults.unanswered))


def _shown(interval: Interval) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})".replace("-", "−")
