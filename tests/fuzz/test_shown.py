"""The search finds each thing that may not be shown, and nothing in what may."""

from typing import Any

import pytest

from tests.fuzz.shown import LEAK, faults_of

OWN = frozenset({"U0DOLLYBOT1"})
GOOD: list[Any] = [
    {"text": "Hello &lt;!channel&gt; and <@U0DOLLYBOT1>, see <!date^1790000000^{date}|then>"},
    {"text": f"See https[:]//{LEAK}[.]com/x and `{LEAK}.com`, a name in code"},
    {"text": "@\u2060channel is broken; `@channel` is code"},
    {"blocks": [{"type": "plain_text_input", "initial_value": "<!channel>"}]},
    {"blocks": [{"type": "section", "text": {"type": "plain_text", "text": "<!channel>"}}]},
]
BAD: list[Any] = [
    {"text": "Hello <!channel>"},
    {"text": "Hello <!here|x>"},
    {"text": "Hello <@U0000000001>"},
    {"text": "Hello <!subteam^S1>"},
    {"text": f"See {LEAK}.com"},
    {"text": f"See http://{LEAK}.com"},
    {"text": f"See `https://x.{LEAK}.net/`"},
    {"text": f"See [here](https://{LEAK}.com)"},
    {"text": "Hello @channel"},
    {"text": "Traceback (most recent call last):"},
    {"text": "It was a KeyError('x')"},
    {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "<!everyone>"}}]},
    {"blocks": [{"type": "rich_text", "elements": [{"type": "broadcast", "range": "here"}]}]},
    {"blocks": [{"type": "input", "element": {"initial_value": 'File "/srv/app.py", line 3'}}]},
]


@pytest.mark.parametrize("shown", GOOD, ids=str)
def test_what_may_be_shown(shown: Any) -> None:
    assert list(faults_of(shown, own_ids=OWN, is_answer=True)) == []


@pytest.mark.parametrize("shown", BAD, ids=str)
def test_what_may_not(shown: Any) -> None:
    assert list(faults_of(shown, own_ids=OWN, is_answer=True))


def test_what_one_person_sees_may_name_others_and_call_nobody() -> None:
    assert list(faults_of({"text": "<@U0000000001>"}, own_ids=None)) == []
    assert list(faults_of({"text": "<!channel>"}, own_ids=None))
