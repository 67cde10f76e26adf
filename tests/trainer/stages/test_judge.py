"""A judge's trial is shown before its verdict, and where it fails there is none; every reply is kept."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bot.local.model import default_model_path
from tests.trainer.evaluation.stand_in import completion, standing_in
from tests.trainer.evaluation.test_answer_files import ANSWER, PREDICTION, written
from tests.trainer.evaluation.test_labels import label
from trainer.artifacts import read_manifest
from trainer.errors import BadInput, EngineFailed, NotCalibrated
from trainer.stages.judge import JudgeChoice, judge

ONE_BY_ONE = JudgeChoice(at_once=1)
PREFERENCES = [1, 2] * 20


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Four questions with answers of two models."""
    questions = [PREDICTION | {"input": f"{number} and 1"} for number in range(4)]
    return {
        name: written(tmp_path / f"{name}.jsonl", *(one | {"response": f"{name} says"} for one in questions))
        for name in ("base", "candidate")
    }


def labels(folder: Path, preferences: Sequence[Any] = PREFERENCES) -> Path:
    path = folder / "labels.json"
    path.write_text(json.dumps([label(value, f"request {number}") for number, value in enumerate(preferences)]))
    return path


def replies(preferences: Sequence[int]) -> list[tuple[int, str]]:
    """Of a judge with these preferences: of each pair as it stands, then turned; 0 is a tie."""
    both = {1: ("1", "2"), 2: ("2", "1"), 0: ("1", "1")}
    return [completion(reply) for preference in preferences for reply in both[preference]]


def test_a_judge_that_agrees_gives_its_verdict(files: dict[str, Path], tmp_path: Path) -> None:
    said = io.StringIO()
    trial = [*PREFERENCES[:36], 2, 1, 0, 2]  # three of 40 are missed, the one in a tie
    with standing_in(*replies([*trial, 2, 2, 2, 0])) as server:
        out = judge(
            files,
            labels(tmp_path),
            tmp_path / "out",
            engine_url=server.url,
            choice=ONE_BY_ONE,
            console=Console(file=said, width=100),
        )
        asked = server.requests[80]["messages"][0]["content"]  # the first after the trial
    assert 'Answer 1: "base says"' in asked
    assert 'Answer 2: "candidate says"' in asked
    found = json.loads((out / "judgement.json").read_text())
    assert found["calibration"]["agreement"]["value"] == pytest.approx(37 / 40)
    chance = (20 * 19 + 20 * 20) / 40**2
    assert found["calibration"]["kappa"]["value"] == pytest.approx((37 / 40 - chance) / (1 - chance))
    assert found["calibration"]["kappa"]["low"] < found["calibration"]["kappa"]["value"]
    assert found["calibration"]["faults"] == {"pairs": 40, "unanswered": 0, "unreadable": 0, "contradicted": 1}
    verdict = found["verdict"]["candidate"]
    assert (verdict["wins"], verdict["losses"], verdict["ties"]) == (3, 0, 1)
    assert verdict["win_rate"]["value"] == 7 / 8
    assert verdict["sentence"].startswith("candidate is better: preferred in 87.5 % (62.5 % to 100.0 %) of 4 questions")
    shown = said.getvalue()
    assert shown.index("Cohen's kappa") < shown.index("candidate beside base") < shown.index("candidate is better")
    lines = [json.loads(line) for line in (out / "judgements.jsonl").read_text().splitlines()]
    assert len(lines) == 44
    assert lines[0] == {"of": "calibration", "id": "0", "replies": ["1", "2"], "preference": "first", "label": "first"}
    assert (lines[-1]["of"], lines[-1]["preference"]) == ("candidate", "tie")
    assert read_manifest(out, "judgement", check=True)["settings"]["least_kappa"] == 0.4


def test_without_a_sure_difference_none_is_said(files: dict[str, Path], tmp_path: Path) -> None:
    with standing_in(*replies([*PREFERENCES, 1, 2, 1, 2])) as server:
        out = judge(
            files,
            labels(tmp_path),
            tmp_path / "out",
            engine_url=server.url,
            choice=ONE_BY_ONE,
            console=Console(quiet=True),
        )
    verdict = json.loads((out / "judgement.json").read_text())["verdict"]["candidate"]
    assert "is neither better nor worse for sure: preferred in 50.0 %" in verdict["sentence"]


@pytest.mark.parametrize("reply", ["1", "I cannot say."])
def test_a_judge_that_likes_a_place_or_says_nothing_has_no_verdict(
    files: dict[str, Path], tmp_path: Path, reply: str
) -> None:
    said = io.StringIO()
    with (
        standing_in(completion(reply)) as server,
        pytest.raises(
            NotCalibrated, match=r"withheld: this judge agrees too little with labels.json. Kappa is 0.00"
        ) as why,
    ):
        judge(
            files,
            labels(tmp_path),
            tmp_path / "out",
            engine_url=server.url,
            choice=ONE_BY_ONE,
            console=Console(file=said, width=100),
        )
    assert why.value.exit_code == 3
    assert len(server.requests) == 80  # nobody asked it about the answers
    found = json.loads((tmp_path / "out" / "judgement.json").read_text())
    assert found["verdict"] is None
    assert found["calibration"]["kappa"]["value"] == 0.0
    assert "Cohen's kappa" in said.getvalue()
    assert "beside base" not in said.getvalue()


def test_of_a_conversation_the_judge_reads_who_said_what(tmp_path: Path) -> None:
    said = [("system", "Be brief."), ("user", "One?"), ("assistant", "1"), ("user", "Two?")]
    talk = ANSWER | {
        "prompt": [{"role": role, "content": content} for role, content in said],
        "answers": {name: ANSWER["answers"]["base"] | {"text": name} for name in ("base", "candidate")},
    }
    files = dict.fromkeys(("base", "candidate"), written(tmp_path / "answers.jsonl", talk))
    with standing_in(*replies([*PREFERENCES, 1])) as server:
        judge(
            files,
            labels(tmp_path),
            tmp_path / "out",
            engine_url=server.url,
            choice=ONE_BY_ONE,
            console=Console(quiet=True),
        )
        asked = server.requests[80]["messages"][0]["content"]
    request = "system: Be brief.\n\nuser: One?\n\nassistant: 1\n\nuser: Two?"
    assert f"Request: {json.dumps(request)}\n" in asked
    assert 'Answer 1: "base"\n' in asked


def test_what_is_longer_than_its_window_is_left_out(files: dict[str, Path], tmp_path: Path) -> None:
    too_long = (400, "exceed_context_size")
    answers = [*replies(PREFERENCES), completion("2"), too_long, *replies([2, 2, 2])]
    with standing_in(*answers) as server:
        out = judge(
            files,
            labels(tmp_path),
            tmp_path / "out",
            engine_url=server.url,
            choice=ONE_BY_ONE,
            console=Console(quiet=True),
        )
    verdict = json.loads((out / "judgement.json").read_text())["verdict"]["candidate"]
    assert (verdict["wins"], verdict["faults"]["unanswered"]) == (3, 1)
    with standing_in(too_long) as server, pytest.raises(BadInput, match=r"No pair of .*labels.json fits"):
        judge(files, labels(tmp_path), tmp_path / "no", engine_url=server.url, choice=ONE_BY_ONE)
    assert not (tmp_path / "no").exists()


def test_what_is_wrong_is_said_before_anybody_is_asked(files: dict[str, Path], tmp_path: Path) -> None:
    known = labels(tmp_path)
    with pytest.raises(BadInput, match="two models or more"):
        judge({"base": files["base"]}, known, tmp_path / "no", engine_url="http://127.0.0.1:9")
    with pytest.raises(BadInput, match="name one of the two"):
        judge(files, known, tmp_path / "no")
    with pytest.raises(BadInput, match="name one of the two"):
        judge(files, known, tmp_path / "no", engine_url="http://127.0.0.1:9", model=tmp_path)
    with pytest.raises(BadInput, match="cannot be read"):
        judge(files, tmp_path / "none.json", tmp_path / "no", engine_url="http://127.0.0.1:9")
    with pytest.raises(BadInput, match=r"All 5 pairs that were drawn .* prefer the same side"):
        judge(files, labels(tmp_path, [1] * 5), tmp_path / "no", engine_url="http://127.0.0.1:9")
    labels(tmp_path)
    with pytest.raises(EngineFailed, match="cannot be reached"):
        judge(files, known, tmp_path / "no", engine_url="http://127.0.0.1:9", console=Console(quiet=True))
    with pytest.raises(BadInput, match="There is no directory"):
        judge(files, known, tmp_path / "no", model=tmp_path / "nowhere", console=Console(quiet=True))
    assert not (tmp_path / "no").exists()


def test_a_small_model_is_served_here_and_is_no_judge(files: dict[str, Path], tmp_path: Path) -> None:
    """llama.cpp's real server; what a model of 135 million parameters says is nothing to go by."""
    choice = JudgeChoice(at_once=2, reply_tokens=4, context_tokens=1024)
    with pytest.raises(NotCalibrated, match="withheld"):
        judge(
            files,
            labels(tmp_path, [1, 2]),
            tmp_path / "out",
            model=default_model_path(),
            choice=choice,
            console=Console(quiet=True),
        )
    found = json.loads((tmp_path / "out" / "judgement.json").read_text())
    assert found["judge"] == f"llama.cpp, {default_model_path().name}"
    lines = [json.loads(line) for line in (tmp_path / "out" / "judgements.jsonl").read_text().splitlines()]
    assert [len(line["replies"]) for line in lines] == [2, 2]
    assert all(isinstance(reply, str) for line in lines for reply in line["replies"])
