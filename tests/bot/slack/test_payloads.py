"""Fields of what Slack sends: as they must be, or not understood."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from bot.errors import NotUnderstood
from bot.slack.payloads import address, identifier, team, text, timestamp

ODD: list[Any] = [None, "", 5, True, [], {}, "a b", "ü"]
Reader = Callable[[dict[str, Any], str], str]


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (identifier, "U0ASHA00001"),
        (identifier, "13345224609.738474920.8088930838d88f008e0"),
        (timestamp, "1790000000.000100"),
        (address, "https://hooks.slack.com/commands/T1/2/abc"),
        (text, "any text at all"),
        (text, ""),
    ],
)
def test_a_good_field_is_its_value(read: Reader, value: str) -> None:
    assert read({"field": value}, "field") == value


@pytest.mark.parametrize(
    ("read", "value"),
    [
        *itertools.product((identifier, timestamp, address), ODD),
        (identifier, "T1/C1"),
        (identifier, "U1\n"),
        (identifier, "x" * 256),
        (timestamp, "1790000000"),
        (timestamp, "1790000000.0001000"),
        (timestamp, "-1.000100"),
        (timestamp, "١.٢"),
        (address, "file:///etc/passwd"),
        (address, "https://a b"),
        *itertools.product((text,), (5, True, [], {})),
    ],
)
def test_any_other_is_not_understood_and_named(read: Reader, value: Any) -> None:
    with pytest.raises(NotUnderstood, match="field"):
        read({"field": value}, "field")


def test_no_text_is_empty_text() -> None:
    assert text({}, "text") == text({"text": None}, "text") == ""


def test_half_a_surrogate_pair_is_shown_as_unknown() -> None:
    assert text({"text": "a\ud83d b\udc00 🎉"}, "text") == "a\ufffd b\ufffd 🎉"


@pytest.mark.parametrize("read", [identifier, timestamp, address, text])
@pytest.mark.parametrize("part", ["field", ["field"], 5, None])
def test_a_part_that_is_no_object_is_not_understood(read: Callable[[Any, str], str], part: Any) -> None:
    with pytest.raises(NotUnderstood, match="field"):
        read(part, "field")


@pytest.mark.parametrize(
    ("payload", "team_id"),
    [
        ({"user_team": "T0OTHER0001", "team": "T0DOLLY0001"}, "T0OTHER0001"),
        ({"user_team": "E0OTHER0001", "team": "T0OTHER0001"}, "T0OTHER0001"),
        ({"team": "E0OTHER0001"}, ""),
        *(({"user_team": odd, "team": odd}, "") for odd in ODD),
        *((part, "") for part in ODD),
    ],
)
def test_a_team_is_a_workspace_where_one_is_named(payload: Any, team_id: str) -> None:
    assert team(payload, "user_team", "team") == team_id
