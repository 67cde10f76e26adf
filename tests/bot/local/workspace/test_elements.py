"""What a person chooses in blocks, and what Slack's own client checks of it."""

from typing import Any

import pytest

from bot.local.workspace.people.elements import REQUIRED, action_of, faults, find_element, state_of
from bot.local.workspace.records import Json
from bot.local.workspace.refusals import PeopleError


def option(value: str) -> Json:
    return {"text": {"type": "plain_text", "text": value.upper()}, "value": value}


def element(type: str, **fields: Any) -> Json:
    return {"type": type, "action_id": "a", **fields}


CHOICES = [
    (element("overflow", options=[option("x")]), {"selected_option": option("x")}),
    (element("static_select", options=[option("x")]), {"selected_option": option("x")}),
    (element("static_select", option_groups=[{"options": [option("x")]}]), {"selected_option": option("x")}),
    (element("external_select"), {"selected_option": option("anything")}),
    (element("radio_buttons", options=[option("x")]), {"selected_option": option("x")}),
    (element("checkboxes", options=[option("x"), option("y")]), {"selected_options": [option("y")]}),
    (element("multi_static_select", options=[option("x")]), {"selected_options": [option("x")]}),
    (element("datepicker"), {"selected_date": "2026-01-31"}),
    (element("timepicker"), {"selected_time": "12:30"}),
    (element("users_select"), {"selected_user": "U0BEN000001"}),
    (element("channels_select"), {"selected_channel": "C0GENERAL01"}),
    (element("conversations_select"), {"selected_conversation": "C0GENERAL01"}),
    (element("plain_text_input"), {"value": "words"}),
    (
        element("feedback_buttons", positive_button={"value": "good"}, negative_button={"value": "bad"}),
        {"value": "bad"},
    ),
]


@pytest.mark.parametrize(("chosen_in", "choice"), CHOICES, ids=lambda part: str(part.get("type", "")))
def test_each_type_carries_its_choice(chosen_in: Json, choice: Json) -> None:
    action = action_of(chosen_in, "b", choice)
    assert action == {"type": chosen_in["type"], "action_id": "a", "block_id": "b", **choice}


def test_a_button_carries_its_own_text_value_and_style() -> None:
    button = element("button", text={"type": "plain_text", "text": "Go"}, value="42", style="primary")
    assert action_of(button, "b", {}) == {**button, "block_id": "b"}
    icon = element("icon_button", icon="trash", text={"type": "plain_text", "text": "Away"}, value="m1")
    assert action_of(icon, "b", {})["value"] == "m1"


@pytest.mark.parametrize(
    ("chosen_in", "choice"),
    [
        (element("static_select", options=[option("x")]), {"selected_option": option("forged")}),
        (element("static_select", options=[option("x")]), {"selected_option": None}),
        (element("checkboxes", options=[option("x")]), {"selected_options": [option("forged")]}),
        (element("static_select", options=[option("x")]), {"value": "x"}),
        (element("datepicker"), {}),
        (element("feedback_buttons", positive_button={"value": "g"}, negative_button={"value": "b"}), {"value": "z"}),
        (element("image"), {}),
    ],
)
def test_what_an_element_does_not_offer_cannot_be_chosen(chosen_in: Json, choice: Json) -> None:
    with pytest.raises(PeopleError):
        action_of(chosen_in, "b", choice)


def test_an_option_is_told_in_the_element_s_own_words() -> None:
    chosen = {"selected_option": {"value": "x", "text": {"type": "plain_text", "text": "forged"}}}
    assert action_of(element("static_select", options=[option("x")]), "b", chosen)["selected_option"] == option("x")


def test_elements_are_found_in_actions_sections_and_inputs() -> None:
    blocks: list[Json] = [
        {"type": "section", "block_id": "s", "accessory": element("button", action_id="one")},
        {"type": "actions", "block_id": "a", "elements": [element("button", action_id="two")]},
        {"type": "input", "block_id": "i", "element": element("plain_text_input", action_id="three")},
    ]
    for block_id, action_id in (("s", "one"), ("a", "two"), ("i", "three")):
        assert find_element(blocks, block_id, action_id)["action_id"] == action_id
    with pytest.raises(PeopleError):
        find_element(blocks, "s", "two")


def test_the_state_holds_every_input_given_or_initial_or_empty() -> None:
    blocks: list[Json] = [
        {"type": "input", "block_id": "t", "element": element("plain_text_input", initial_value="first")},
        {"type": "input", "block_id": "u", "element": element("plain_text_input", initial_value="first")},
        {"type": "input", "block_id": "c", "element": element("checkboxes", options=[option("x")])},
        {"type": "actions", "block_id": "d", "elements": [element("datepicker"), element("button", action_id="go")]},
        {"type": "section", "block_id": "p", "text": {"type": "mrkdwn", "text": "words"}},
    ]
    assert state_of(blocks, {"u": {"a": {"value": "second"}}}) == {
        "t": {"a": {"type": "plain_text_input", "value": "first"}},
        "u": {"a": {"type": "plain_text_input", "value": "second"}},
        "c": {"a": {"type": "checkboxes", "selected_options": []}},
        "d": {"a": {"type": "datepicker", "selected_date": None}},
    }


def test_required_and_length_faults() -> None:
    blocks: list[Json] = [
        {"type": "input", "block_id": "need", "element": element("plain_text_input")},
        {"type": "input", "block_id": "may", "optional": True, "element": element("plain_text_input")},
        {"type": "input", "block_id": "short", "element": element("plain_text_input", min_length=3)},
        {"type": "input", "block_id": "long", "element": element("plain_text_input", max_length=3)},
        {"type": "input", "block_id": "pick", "element": element("static_select", options=[option("x")])},
    ]
    given = {"short": {"a": {"value": "ab"}}, "long": {"a": {"value": "abcd"}}}
    found = faults(blocks, state_of(blocks, given))
    assert set(found) == {"need", "short", "long", "pick"}
    assert found["need"] == found["pick"] == REQUIRED
    assert "at least 3" in found["short"]
    assert "at most 3" in found["long"]


@pytest.mark.parametrize(
    "given", [{"t": None}, {"t": []}, {"t": {"a": "words"}}, {"t": {"a": {"value": 7}}}, {"x": {}}]
)
def test_a_state_that_is_none_breaks_nothing(given: Json) -> None:
    blocks: list[Json] = [{"type": "input", "block_id": "t", "element": element("plain_text_input")}]
    assert set(state_of(blocks, given)) == {"t"}
    assert set(faults(blocks, state_of(blocks, given))) <= {"t"}
