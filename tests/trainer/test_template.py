"""The prompt is what the issue and Dolly v1 say, byte for byte, and what is learned in it is the answers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import minijinja
import pytest
from minijinja import Environment
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.trainer.tiny import tiny_tokenizer
from trainer.errors import BadInput
from trainer.records import Message
from trainer.template import DOLLY_KEYS, Template, dolly_template, own_template, template_of

DATA = Path(__file__).parents[3] / "shared" / "data"

INTRODUCTION = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are kind<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{% for message in messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim "
    "+ '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def user(content: str, name: str | None = None) -> Message:
    return Message("user", content, name)


def assistant(content: str) -> Message:
    return Message("assistant", content)


def system(content: str) -> Message:
    return Message("system", content)


def with_keys(*keys: str, chat_template: str | None = None, tokenizer: Any = None) -> Any:
    tokenizer = tokenizer or tiny_tokenizer()
    tokenizer.add_tokens([AddedToken(key, special=True, normalized=False) for key in keys], special_tokens=True)
    tokenizer.chat_template = chat_template
    return tokenizer


@pytest.fixture(scope="module")
def dolly() -> Template:
    return dolly_template(with_keys(*DOLLY_KEYS))


@pytest.fixture(scope="module")
def chatml() -> Template:
    return own_template(with_keys("<|im_start|>", "<|im_end|>", chat_template=CHATML))


@pytest.fixture(scope="module")
def llama3() -> Template:
    keys = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    return own_template(with_keys(*keys, chat_template=LLAMA3))


def learned(template: Template, messages: Sequence[Message]) -> str:
    """The text of what is learned, runs of it separated by `|`."""
    encoded = template.encode(messages)
    assert len(encoded.input_ids) == len(encoded.loss_mask)
    runs: list[list[int]] = [[]]
    for token, is_learned in zip(encoded.input_ids, encoded.loss_mask, strict=True):
        if is_learned:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return "|".join(template._tokenizer.decode(run) for run in runs if run)


def decoded(template: Template, ids: Sequence[int]) -> str:
    text: str = template._tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    return text


def test_one_turn_is_dolly_v1s_text(dolly: Template) -> None:
    plain = [user("Name a colour."), assistant("Red.")]
    assert dolly.render(plain, add_generation_prompt=False) == (
        f"{INTRODUCTION}\n\n### Instruction:\nName a colour.\n\n### Response:\nRed.\n\n### End"
    )
    given = [user("Sum up.\n\n### Input:\nA long text."), assistant("Short.")]
    assert dolly.render(given, add_generation_prompt=False) == (
        f"{WITH_INPUT}\n\n### Instruction:\nSum up.\n\n### Input:\nA long text.\n\n### Response:\nShort.\n\n### End"
    )
    assert dolly.render(plain[:1], add_generation_prompt=True) == (
        f"{INTRODUCTION}\n\n### Instruction:\nName a colour.\n\n### Response:\n"
    )


def test_turns_are_joined_by_blank_lines_under_one_introduction(dolly: Template) -> None:
    turns = [system("Be brief."), user("a"), assistant("b"), user("c\n\n### Input:\nd"), assistant("e")]
    blocks = (
        "### Instruction:\na\n\n### Response:\nb\n\n### End\n\n"
        "### Instruction:\nc\n\n### Input:\nd\n\n### Response:\ne\n\n### End"
    )
    assert dolly.render(turns, add_generation_prompt=False) == f"Be brief.\n\n{blocks}"
    # The first question chooses the introduction: a prompt stays the beginning of the prompts that follow it.
    assert dolly.render(turns[1:], add_generation_prompt=False) == f"{INTRODUCTION}\n\n{blocks}"


def test_neighbours_of_one_role_are_joined_with_names_where_several_speak(dolly: Template) -> None:
    several = [user("hi", "Ann"), user("ho", "Bob"), user("who am I?"), assistant("a"), assistant("b")]
    assert dolly.render(several, add_generation_prompt=False) == (
        f"{INTRODUCTION}\n\n### Instruction:\nAnn: hi\n\nBob: ho\n\nwho am I?\n\n### Response:\na\n\nb\n\n### End"
    )
    one = [user("hi", "Ann"), user("there", "Ann")]
    assert dolly.render(one, add_generation_prompt=False) == f"{INTRODUCTION}\n\n### Instruction:\nhi\n\nthere"
    twice = [user("a"), system("One."), user("b"), system("Two.")]
    assert dolly.render(twice, add_generation_prompt=False) == "One.\n\nTwo.\n\n### Instruction:\na\n\nb"


def test_every_answer_is_learned_with_its_end_key_and_nothing_else(
    dolly: Template, chatml: Template, llama3: Template
) -> None:
    turns = [system("s"), user("Red?"), assistant("blue blue"), user("b"), assistant("no")]
    assert learned(dolly, turns) == "blue blue\n\n### End|no\n\n### End"
    assert learned(chatml, turns) == "blue blue<|im_end|>|no<|im_end|>"
    assert learned(llama3, turns) == "blue blue<|eot_id|>|no<|eot_id|>"


def test_an_answer_that_begins_or_ends_blank_is_learned_as_the_template_writes_it(
    dolly: Template, chatml: Template, llama3: Template
) -> None:
    turns = [user(" a "), assistant("\n\n b \n")]
    assert learned(dolly, turns) == "\n\n b \n\n\n### End"
    assert learned(chatml, turns) == "\n\n b \n<|im_end|>"
    assert learned(llama3, turns) == "b<|eot_id|>"
    for template in (dolly, chatml, llama3):
        assert decoded(template, template.encode(turns).input_ids) == template.render(
            turns, add_generation_prompt=False
        )


def test_an_empty_answer_is_its_end_key(dolly: Template, chatml: Template) -> None:
    assert learned(dolly, [user("a"), assistant("")]) == "\n\n### End"
    assert learned(chatml, [user("a"), assistant("")]) == "<|im_end|>"
    assert learned(dolly, [assistant("first")]) == "first\n\n### End"


@pytest.mark.parametrize("name", ["dolly", "chatml", "llama3"])
def test_tokens_are_those_of_the_whole_text_where_contents_are_harmless(
    name: str, request: pytest.FixtureRequest
) -> None:
    template: Template = request.getfixturevalue(name)
    turns = [user("Name three  colours.\n\n- one"), assistant("Red, 123 and blue"), user("नमस्ते"), assistant("ça va")]
    backend = template._tokenizer.backend_tokenizer
    for end in range(1, 5):
        whole = backend.encode(template.render(turns[:end], add_generation_prompt=False), add_special_tokens=False)
        assert template.encode(turns[:end]).input_ids == whole.ids
    prompt = backend.encode(template.render(turns[:3], add_generation_prompt=True), add_special_tokens=False)
    assert template.encode_prompt(turns[:3]) == prompt.ids
    # What is learned follows the very tokens that an engine has when it begins to answer.
    full = template.encode(turns)
    assert full.input_ids[: len(prompt.ids)] == prompt.ids
    assert not any(full.loss_mask[len(prompt.ids) - 1 : len(prompt.ids)])
    assert full.loss_mask[len(prompt.ids)]


def test_the_end_stops_and_so_does_the_bases_own(dolly: Template, chatml: Template) -> None:
    assert dolly.stop_ids == (dolly.end_id, 0)
    assert decoded(dolly, [dolly.end_id]) == "### End"
    assert decoded(chatml, [chatml.end_id]) == "<|im_end|>"
    assert set(dolly.keys) == {"<|endoftext|>", *DOLLY_KEYS}


def test_a_tokenizer_says_which_template_is_its_own(dolly: Template) -> None:
    tokenizer = with_keys(*DOLLY_KEYS, chat_template=dolly.chat_template)
    assert template_of(tokenizer).name == "dolly"
    assert template_of(with_keys("<|im_start|>", "<|im_end|>", chat_template=CHATML)).name == "own"
    with pytest.raises(BadInput, match="no chat template"):
        own_template(tiny_tokenizer())
    with pytest.raises(BadInput, match="does not hold Dolly's keys"):
        dolly_template(tiny_tokenizer())


def test_what_a_template_refuses_is_said(chatml: Template) -> None:
    refusing = "{{ raise_exception('System role not supported') }}"
    source = "{% if messages[0].role == 'system' %}" + refusing + "{% endif %}" + CHATML
    template = own_template(with_keys("<|im_start|>", "<|im_end|>", chat_template=source))
    with pytest.raises(BadInput, match="System role not supported"):
        template.encode([system("s"), user("a"), assistant("b")])
    with pytest.raises(BadInput, match="begins with an answer"):
        chatml.encode([assistant("a"), user("b"), assistant("c")])
    with pytest.raises(BadInput, match="without messages"):
        chatml.encode([])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (CHATML.replace("'<|im_end|>' + '\n'", "'\n'"), "no control token after an answer"),
        (CHATML.replace("message['content']", "message['content'][1:]"), "changes what a message says"),
        (CHATML.replace("{% for", "{{ messages | length }}{% for"), "writes earlier turns differently"),
    ],
)
def test_a_template_that_would_train_wrongly_is_refused(source: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        own_template(with_keys("<|im_start|>", "<|im_end|>", chat_template=source))


def sentencepiece_like(pre_tokenizer: Any, normalizer: Any) -> Any:
    """A tokenizer that puts a blank before a text, as Llama 2's do."""
    letters = [*"▁abcdefghijklmnopqrstuvwxyz[]/INST<>", "▁a", "▁b"]
    vocabulary = {letter: place for place, letter in enumerate(dict.fromkeys(letters))}
    backend = Tokenizer(models.BPE(vocabulary, [("▁", "a"), ("▁", "b")]))
    backend.pre_tokenizer, backend.normalizer = pre_tokenizer, normalizer
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    tokenizer.chat_template = (
        "{% for message in messages %}{% if message.role == 'user' %}{{ bos_token + '[INST] ' + message.content + "
        "' [/INST]' }}{% else %}{{ ' ' + message.content + ' ' + eos_token }}{% endif %}{% endfor %}"
    )
    return tokenizer


@pytest.mark.parametrize(
    ("pre_tokenizer", "normalizer"),
    [
        (pre_tokenizers.Metaspace(prepend_scheme="first"), None),
        (None, normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])),
    ],
)
def test_no_blank_slips_in_where_a_segment_begins(pre_tokenizer: Any, normalizer: Any) -> None:
    template = own_template(sentencepiece_like(pre_tokenizer, normalizer))
    turns = [user("b"), assistant("a"), user("b"), assistant("a")]
    whole = template._tokenizer.backend_tokenizer.encode(
        template.render(turns, add_generation_prompt=False), add_special_tokens=False
    )
    assert template.encode(turns).input_ids == whole.ids
    answer = template._tokenizer.convert_tokens_to_ids(["▁a", "▁", "</s>"])
    encoded = template.encode(turns)
    said = [id for id, is_learned in zip(encoded.input_ids, encoded.loss_mask, strict=True) if is_learned]
    assert said == answer * 2


def test_dollys_text_begins_as_the_tokenizer_begins_a_text() -> None:
    tokenizer = with_keys(*DOLLY_KEYS)
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    template = dolly_template(tokenizer)
    ids = template.encode([user("a"), assistant("b")]).input_ids
    assert ids[0] == 0
    assert ids.count(0) == 1
    assert template.encode_prompt([user("a")]) == ids[: ids.index(template._tokenizer.convert_tokens_to_ids("b"))]


def test_minijinja_reads_no_feature_that_jinja2_lacks_or_the_other_way(dolly: Template) -> None:
    turns = [system("s"), user("a", "Ann"), user("b\n\n### Input:\nc", "Bob"), assistant("d"), user("e")]
    environment = Environment(pycompat=True)
    as_json = [{"role": turn.role, "content": turn.content, "name": turn.name} for turn in turns]
    for add_generation_prompt in (False, True):
        rendered = environment.render_str(
            dolly.chat_template, messages=as_json, add_generation_prompt=add_generation_prompt, bos_token="<s>"
        )
        assert rendered == dolly.render(turns, add_generation_prompt=add_generation_prompt)
    with pytest.raises(minijinja.TemplateError):
        environment.render_str(dolly.chat_template, messages=[{"role": "tool", "content": ""}])


@pytest.mark.skipif(not (DATA / "alpaca").exists(), reason="the measured data sets are not beside the project")
def test_dolly_v1s_text_has_so_many_tokens() -> None:
    """Of every fortieth record. All 51,974 have 5,519,697, of which 3,091,575 are learned (test_datasets)."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(DATA / "tokenizers" / "gpt2" / "tokenizer.json"), eos_token="<|endoftext|>"
    )
    template = dolly_template(with_keys(*DOLLY_KEYS, tokenizer=tokenizer))
    records = json.loads((DATA / "alpaca" / "alpaca_data.json").read_text())[::40]
    tokens = supervised = 0
    for record in (record for record in records if record["output"]):
        given = f"\n\n### Input:\n{record['input']}" if record["input"] else ""
        text = (
            f"{WITH_INPUT if given else INTRODUCTION}\n\n### Instruction:\n{record['instruction']}{given}\n\n"
            f"### Response:\n{record['output']}\n\n### End"
        )
        turns = [user(record["instruction"] + given), assistant(record["output"])]
        assert template.render(turns, add_generation_prompt=False) == text
        encoded = template.encode(turns)
        assert encoded.input_ids == tokenizer.backend_tokenizer.encode(text).ids
        tokens += len(encoded.input_ids)
        supervised += sum(encoded.loss_mask)
    assert len(records) == 1301
    assert (tokens, supervised) == (137_223, 76_378)
