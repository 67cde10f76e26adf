"""Slack's signatures. What becomes of bad requests is shown in tests/scenarios/test_bad_input.py."""

import pytest
from slack_sdk.signature import SignatureVerifier

from bot.slack.hearing.http_events import OLDEST_SIGNATURE_SECONDS, signature_holds

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TIMESTAMP = 1531420618
BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
HEADERS = {
    "X-Slack-Request-Timestamp": str(TIMESTAMP),
    "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}


def test_the_example_of_slacks_documentation_holds() -> None:
    assert signature_holds(HEADERS, BODY, SECRET, TIMESTAMP)


@pytest.mark.parametrize(
    ("body", "secret", "now"),
    [
        (BODY + b" ", SECRET, TIMESTAMP),
        (BODY, SECRET.upper(), TIMESTAMP),
        (BODY, SECRET, TIMESTAMP + OLDEST_SIGNATURE_SECONDS + 1),
        (BODY, SECRET, TIMESTAMP - OLDEST_SIGNATURE_SECONDS - 1),
    ],
)
def test_another_body_secret_or_time_does_not(body: bytes, secret: str, now: float) -> None:
    assert not signature_holds(HEADERS, body, secret, now)


@pytest.mark.parametrize("seconds", [-OLDEST_SIGNATURE_SECONDS, 0, 0.5, OLDEST_SIGNATURE_SECONDS])
def test_five_minutes_either_way_are_allowed(seconds: float) -> None:
    assert signature_holds(HEADERS, BODY, SECRET, TIMESTAMP + seconds)


@pytest.mark.parametrize("body", [b"", BODY, "päylöad".encode()])
def test_slacks_own_verifier_agrees(body: bytes) -> None:
    signature = SignatureVerifier(SECRET).generate_signature(timestamp=str(TIMESTAMP), body=body)
    assert signature is not None
    assert signature_holds({**HEADERS, "X-Slack-Signature": signature}, body, SECRET, TIMESTAMP)
