"""An evaluation says what was found of each model, by whom it was answered, and shows it on a page of its own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from rich.console import Console

from tests.trainer.evaluation.stand_in import completion, standing_in
from tests.trainer.superni import task, written
from tests.trainer.tiny import EXTRA_TOKENS, Family, tiny_model, tiny_tokenizer
from trainer.artifacts import read_manifest, write_manifest
from trainer.datasets import write_dataset
from trainer.errors import BadInput, EngineFailed
from trainer.recipe import EvaluateChoice
from trainer.records import Message, Record
from trainer.stages.evaluate import evaluate
from trainer.tuning.keys import add_keys

CHROMIUM = Path("/usr/bin/chromium")
QUIET = Console(quiet=True)
SETTINGS = EvaluateChoice(
    held_out_records=6, max_answer_tokens=8, answers_at_once=1, context_tokens=256, side_by_side=4
)


def export_of(folder: Path, family: Family, seed: int) -> Path:
    """A directory as `export` leaves it, without a GGUF."""
    model, tokenizer = tiny_model(family, seed=seed), tiny_tokenizer(extra_tokens=EXTRA_TOKENS)
    add_keys(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_manifest(folder, "export", {})
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny exports, a data set whose texts are hostile to pages, and three instructions."""
    place = tmp_path_factory.mktemp("evaluate")
    export_of(place / "current", "gptj", 1)
    export_of(place / "candidate", "gptj", 2)
    hostile = "<script>alert(1)</script><img src=https://example.com/x.png> & $x$ it is. " * 2
    records = [
        Record(f"r:{number}", (Message("user", hostile), Message("assistant", f"Answer {number} " * 4)), "s", category)
        for number, category in enumerate(("qa", "qa", "$5 <b>"))
    ]
    turns = [*records[0].messages, Message("user", "And then?"), Message("assistant", "Then two.")]
    records.append(Record("r:talk", tuple(turns), "s", "qa"))
    records.append(Record("r:long", (Message("user", "word " * 300), Message("assistant", "No.")), "s"))
    write_dataset(place / "dataset", [records[0]], records, [], {})
    rows = [
        {
            "id": f"i{number}",
            "motivation_app": "Mail",
            "instruction": "Write.",
            "instances": [{"input": "", "output": "x"}],
        }
        for number in range(3)
    ]
    (place / "instructions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return place


@pytest.fixture(scope="module")
def report(place: Path) -> Path:
    with standing_in(
        completion("Hi"),  # before anything is loaded
        completion("It is red. ### Instruction: " + "again and " * 20, "length"),
        completion("x"),
        api_key="k",
    ) as server:
        return evaluate(
            {"current": place / "current", "candidate": place / "candidate"},
            place / "dataset",
            place / "report",
            settings=SETTINGS,
            engine_url=server.url,
            engine_key="k",
            instructions=place / "instructions.jsonl",
            console=QUIET,
        )


def read(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((report / "report.json").read_text())
    return found


def test_each_model_says_who_answered_for_it(report: Path) -> None:
    models = read(report)["models"]
    assert models["current"]["answered_by"] == "transformers"
    notes = " ".join(models["current"]["notes"])
    assert "which people will not read" in notes
    assert "Llama family" in notes
    assert "1 of 5 held-out records" in notes
    assert "1 of 9 prompts" in notes
    assert models["candidate"]["answered_by"].startswith("team/model at http://127.0.0.1")
    assert models["candidate"]["template"] == "dolly"
    assert models["candidate"]["stop_tokens"] == ["### End", "<|endoftext|>"]


def test_figures_stand_by_suite_turn_and_category(report: Path) -> None:
    candidate = read(report)["models"]["candidate"]["suites"]
    held_out = candidate["held_out"]["slices"]
    assert set(held_out) == {"all", "first turns", "later turns", "category: qa", "category: $5 <b>"}
    assert held_out["all"]["stop_rate"]["number"] == 6
    assert held_out["all"]["stop_rate"]["mean"] == pytest.approx(5 / 6)
    assert held_out["all"]["loop_rate"]["mean"] == pytest.approx(1 / 6)
    assert held_out["all"]["leak_rate"]["mean"] == pytest.approx(1 / 6)
    assert held_out["all"]["stop_rate_unlooped"]["mean"] == 1.0
    assert held_out["later turns"]["bits_per_byte"]["number"] == 1
    assert held_out["first turns"]["bits_per_byte"]["number"] == 4
    assert 1 < held_out["all"]["bits_per_byte"]["mean"] < 30
    instructions = candidate["user_252"]["slices"]["all"]
    assert instructions["rouge_l"] == {"mean": 1.0, "margin": 0.0, "number": 3}
    assert "bits_per_byte" not in instructions


def test_differences_are_from_the_first_model(report: Path) -> None:
    models = read(report)["models"]
    assert models["current"]["suites"]["held_out"]["above_first_model"] == {}
    above = models["candidate"]["suites"]["held_out"]["above_first_model"]["bits_per_byte"]
    means = [models[label]["suites"]["held_out"]["slices"]["all"]["bits_per_byte"]["mean"] for label in models]
    assert above["mean"] == pytest.approx(means[1] - means[0])


def test_superni_is_scored_as_its_public_scorer_does(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    written(folder, "a", task())
    long = {
        "input": "word " * 300,
        "output": ["word"],
    }  # for candidate's engine no length is too long: it is a stand-in
    written(folder, "b", task(Categories=["Title Generation"], Instances=[{"input": "x", "output": ["y", "Z."]}, long]))
    written(folder, "hindi", task(Input_language=["Hindi"]))
    replies = [completion("!"), *map(completion, ("c b", " !X\n", "z")), (400, "exceed_context_size")]
    with standing_in(*replies) as server:
        report = evaluate(
            {"candidate": place / "candidate"},
            None,
            tmp_path / "report",
            settings=SETTINGS,
            engine_url=server.url,
            tasks=folder,
            console=QUIET,
        )
        asked = [request["messages"] for request in server.requests[1:]]
    assert [message["role"] for messages in asked for message in messages] == ["user"] * 4
    assert asked[0][0]["content"].startswith(
        "Definition: Turn the word around.\n\nNow complete the following example -\n"
    )
    found = read(report)
    assert found["dataset"] is None
    assert found["suites"]["superni"]["questions"] == 4
    candidate = found["models"]["candidate"]
    assert "1 tasks are not in English alone and were not asked: hindi." in candidate["notes"]
    slices = candidate["suites"]["superni"]["slices"]
    assert set(slices) == {
        "all",
        "first turns",
        "category: Word Analogy",
        "category: Title Generation",
        "task: a",
        "task: b",
    }
    assert slices["all"]["rouge_l"]["number"] == 4  # the unanswered one counts as nothing said
    assert slices["all"]["rouge_l"]["mean"] == pytest.approx((4 / 5 + 1 + 1 + 0) / 4)
    assert slices["all"]["exact_match"]["mean"] == pytest.approx(2 / 4)
    assert slices["task: b"]["rouge_l"]["mean"] == slices["category: Title Generation"]["rouge_l"]["mean"] == 0.5
    assert candidate["suites"]["superni"]["unanswered"] == 1
    lines = [json.loads(line) for line in (report / "answers.jsonl").read_text().splitlines()]
    assert (lines[0]["task"], lines[0]["reference"], lines[0]["other_references"]) == ("a", "cba", ["c b a"])
    assert lines[2]["answers"]["candidate"]["exact_match"] is True
    page = (report / "report.html").read_text()
    assert "of 2 tasks, whose figures stand in report.json" in page
    assert "task: a" not in page


def test_every_answer_is_kept(report: Path) -> None:
    lines = [json.loads(line) for line in (report / "answers.jsonl").read_text().splitlines()]
    assert len(lines) == 9
    unanswered = [line["id"] for line in lines if line["answers"]["current"] is None]
    assert unanswered == ["r:long"]
    assert lines[0]["answers"]["candidate"]["leaks"] is True
    manifest = read_manifest(report, "evaluation", check=True)
    assert {"report.json", "report.html", "answers.jsonl"} <= manifest["files"].keys()


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_asks_nobody_and_runs_nothing(report: Path, scheme: Any) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 800})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append("a dialog"))
        page.goto((report / "report.html").as_uri())
        assert [url for url in asked if not url.startswith("file:")] == []
        assert page.evaluate("document.scripts.length + document.images.length") == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.locator("article").count() == 4
        assert page.locator("svg").count() >= 4
        ink, ground = (
            page.evaluate(f"getComputedStyle(document.body).{colour}") for colour in ("color", "backgroundColor")
        )
        assert (_brightness(ink) < _brightness(ground)) is (scheme == "light")
        assert page.locator("svg text").first.evaluate("text => getComputedStyle(text).fill") == ink
        browser.close()


def _brightness(colour: str) -> int:
    """Of `rgb(1, 2, 3)`."""
    return sum(map(int, re.findall(r"\d+", colour)))


def test_lm_eval_is_asked_for_before_anything_is_loaded(place: Path) -> None:
    settings = EvaluateChoice(lm_eval_tasks=("arc_easy",))
    with pytest.raises(BadInput, match=r"arc_easy, and lm-eval is not installed: `pip install"):
        evaluate({"base": place / "current"}, place / "dataset", place / "no", settings=settings, console=QUIET)


def test_a_wrong_key_is_told_before_anything_is_loaded(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("trainer.stages.evaluate.LocalModel")
    with standing_in(completion("x"), api_key="k") as server, pytest.raises(EngineFailed, match="wants another key"):
        evaluate(
            {"candidate": place / "candidate"},
            place / "dataset",
            place / "no",
            settings=SETTINGS,
            engine_url=server.url,
            console=QUIET,
        )
    assert not (place / "no").exists()


def test_an_engine_that_is_not_there_leaves_no_half_report(place: Path) -> None:
    with pytest.raises(EngineFailed, match="cannot be reached"):
        evaluate(
            {"candidate": place / "candidate"},
            place / "dataset",
            place / "no",
            settings=SETTINGS,
            engine_url="http://127.0.0.1:9",
            console=QUIET,
        )
    assert not (place / "no").exists()
