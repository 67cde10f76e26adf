"""The interactive elements of blocks: finding one, what a person chose in it, what all of them hold."""

from collections.abc import Iterator
from typing import Any

from bot.local.workspace.records import Json
from bot.local.workspace.refusals import PeopleError

# In which field of an action, and of a state, each type of element carries what was chosen.
FIELD_BY_TYPE = {
    "channels_select": "selected_channel",
    "checkboxes": "selected_options",
    "conversations_select": "selected_conversation",
    "datepicker": "selected_date",
    "datetimepicker": "selected_date_time",
    "email_text_input": "value",
    "external_select": "selected_option",
    "multi_channels_select": "selected_channels",
    "multi_conversations_select": "selected_conversations",
    "multi_external_select": "selected_options",
    "multi_static_select": "selected_options",
    "multi_users_select": "selected_users",
    "number_input": "value",
    "plain_text_input": "value",
    "radio_buttons": "selected_option",
    "rich_text_input": "rich_text_value",
    "static_select": "selected_option",
    "timepicker": "selected_time",
    "url_text_input": "value",
    "users_select": "selected_user",
}
BUTTONS = {"button", "icon_button", "workflow_button"}
MENUS_WITHOUT_STATE = {"overflow"}
LISTS = {"selected_options", "selected_users", "selected_channels", "selected_conversations"}
OWN_OPTIONS = {"checkboxes", "multi_static_select", "overflow", "radio_buttons", "static_select"}
CARRIED = ("text", "value", "style", "url", "placeholder", "confirm")
REQUIRED = "Please complete this required field."


def all_elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Each block with each element that it holds."""
    for block in blocks:
        held = [*block.get("elements", ()), block.get("accessory"), block.get("element")]
        yield from ((block, element) for element in held if isinstance(element, dict))


def find_element(blocks: list[Json], block_id: str, action_id: str) -> Json:
    """The element with this action_id in this block. Raises PeopleError."""
    for block, element in all_elements(blocks):
        if block.get("block_id") == block_id and element.get("action_id") == action_id:
            return element
    raise PeopleError("This button or menu is no longer there.")


def action_of(element: Json, block_id: str, choice: dict[str, Any]) -> Json:
    """What Slack sends in `actions` when a person uses `element` and chooses `choice`. Raises PeopleError."""
    kind = element["type"]
    identity = {"type": kind, "action_id": element["action_id"], "block_id": block_id}
    if kind in BUTTONS:
        return {**{key: element[key] for key in CARRIED if key in element}, **identity}
    if kind == "feedback_buttons":
        return {**identity, "value": _feedback_value(element, choice)}
    field = "selected_option" if kind in MENUS_WITHOUT_STATE else FIELD_BY_TYPE.get(kind)
    if field is None:
        raise PeopleError(f"A {kind} cannot be used here.")
    if set(choice) != {field}:
        raise PeopleError(f"A {kind} carries {field}, nothing else.")
    carried = {key: element[key] for key in ("placeholder", "confirm", initial(field)) if key in element}
    return {**carried, **identity, field: _own_choice(element, choice[field])}


def state_of(blocks: list[Json], given: Json) -> Json:
    """{block_id: {action_id: {"type", …}}} of every input: what the person gave, else its initial value."""
    state: Json = {}
    for block, element in all_elements(blocks):
        field = FIELD_BY_TYPE.get(element.get("type", ""))
        if field is None:
            continue
        block_id, action_id = block.get("block_id", ""), element.get("action_id", "")
        held = _held(given, block_id, action_id)
        value = held[field] if field in held else element.get(initial(field))
        value = _own_choice(element, value) if value else ([] if field in LISTS else None)
        state.setdefault(block_id, {})[action_id] = {"type": element["type"], field: value}
    return state


def block_of(blocks: list[Json], action_id: str) -> str:
    """The block_id of the first block that holds an element with this action_id. Raises PeopleError."""
    for block, element in all_elements(blocks):
        if element.get("action_id") == action_id:
            return str(block["block_id"])
    raise PeopleError("This button or menu is no longer there.")


def filled(blocks: list[Json], answers: dict[str, Any]) -> Json:
    """`answers`, by the block_id or action_id of an input, as the state that Slack would hold of them.

    An answer is a text, an id, a date, or what an option carries as its value; a list of them for what takes
    several. Raises PeopleError for an answer without an input.
    """
    state: Json = {}
    left = dict(answers)
    for block, element in all_elements(blocks):
        field = FIELD_BY_TYPE.get(element.get("type", ""))
        for name in (block.get("block_id", ""), element.get("action_id", "")):
            if field is not None and name in left:
                answer = left.pop(name)
                state.setdefault(block["block_id"], {})[element["action_id"]] = {field: _as_chosen(field, answer)}
    if left:
        raise PeopleError(f"This form has no {', '.join(left)}.")
    return state


def _as_chosen(field: str, answer: Any) -> Any:
    if field == "selected_option":
        return {"value": answer}
    return [{"value": value} for value in answer] if field == "selected_options" else answer


def faults(blocks: list[Json], state: Json) -> dict[str, str]:
    """What keeps a modal from being submitted, by block_id, as Slack's own client finds it."""
    found: dict[str, str] = {}
    for block, element in all_elements(blocks):
        field = FIELD_BY_TYPE.get(element.get("type", ""))
        if block.get("type") != "input" or field is None:
            continue
        value = state[block["block_id"]][element["action_id"]][field]
        if not value and not block.get("optional"):
            found[block["block_id"]] = REQUIRED
        elif isinstance(value, str) and field == "value" and (fault := _length_fault(element, value)):
            found[block["block_id"]] = fault
    return found


def _held(given: Any, *path: str) -> Json:
    """The object at `path`, {} where the page sent none or something else."""
    for name in path:
        given = given.get(name) if isinstance(given, dict) else None
    return given if isinstance(given, dict) else {}


def initial(field: str) -> str:
    """The name of an element's field that holds what is chosen at first."""
    return "initial_" + field.removeprefix("selected_")


def _length_fault(element: Json, value: str) -> str | None:
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if len(value) < least:
        return f"Please write at least {least} characters."
    if len(value) > most:
        return f"Please write at most {most} characters: this has {len(value)}."
    return None


def _feedback_value(element: Json, choice: dict[str, Any]) -> str:
    values = {element["positive_button"]["value"], element["negative_button"]["value"]}
    value = choice.get("value")
    if value not in values:
        raise PeopleError("These feedback buttons have no such value.")
    return str(value)


def _own_choice(element: Json, chosen: Any) -> Any:
    """What was chosen, in the element's own words where it lists its options."""
    if element["type"] not in OWN_OPTIONS:
        return chosen
    groups = element.get("option_groups", ())
    options = [*element.get("options", ()), *(option for group in groups for option in group["options"])]
    by_value = {option["value"]: option for option in options}
    try:
        if isinstance(chosen, list):
            return [by_value[option["value"]] for option in chosen]
        return by_value[chosen["value"]]
    except (KeyError, TypeError) as error:
        raise PeopleError("This menu has no such option.") from error
