"""The comparison itself: what it must find, and what it must let pass."""

import pytest

from tests.contracts.shapes import compare, missing

SAMPLE = {
    "ok": False,
    "message": {
        "type": "",
        "ts": "",
        "count": 1,
        "blocks": [{"type": "section", "text": {}}, {"type": "image", "url": ""}],
        "reactions": [{"name": "", "users": [""]}],
    },
}


@pytest.mark.parametrize(
    ("answer", "faults"),
    [
        ({"ok": True}, []),
        ({"okay": True}, ["$.okay is invented"]),
        ({"ok": 1}, ["$.ok is a number, Slack's is a boolean"]),
        ({"message": {"ts": 1.5}}, ["$.message.ts is a number, Slack's is a string"]),
        ({"message": {"ts": None}}, []),
        ({"message": {"count": 2.5}}, []),
        ({"message": []}, ["$.message is a list, Slack's is an object"]),
        ({"message": {"blocks": [{"type": "section", "text": {"anything": 1}}]}}, []),
        ({"message": {"blocks": [{"type": "image", "src": ""}]}}, ["$.message.blocks[0].src is invented"]),
        ({"message": {"blocks": [{"type": "newer than the samples", "x": 1}]}}, []),
        (
            {"message": {"reactions": [{"name": "", "users": [1]}, {"count": 1}]}},
            [
                "$.message.reactions[0].users[0] is a number, Slack's is a string",
                "$.message.reactions[1].count is invented",
            ],
        ),
    ],
)
def test_compare_names_what_differs(answer: object, faults: list[str]) -> None:
    assert compare(answer, SAMPLE) == faults


def test_missing_names_what_is_not_there() -> None:
    answer = {"messages": [{"ts": "1"}], "user": {"id": None}}
    paths = ["messages.0.ts", "messages.1.ts", "messages.0.text", "user.id", "user.id.x"]
    assert missing(answer, paths) == ["messages.1.ts", "messages.0.text", "user.id.x"]
