"""What redaction must have left none of; and what looks like it and is none."""

import pytest

from trainer.personal_data import personal_data


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to ana.souza+it@marlow.example.", "e-mail"),
        ("Call +91 98765 43210 after nine.", "phone number"),
        ("The desk is at (212) 736-5000.", "phone number"),
        ("Ring 020 7946 0958, please.", "phone number"),
        ("The card is 4111 1111 1111 1111.", "card number"),
        ("Pay with 5500-0055-5555-5559", "card number"),
        ("Our account is DE89 3704 0044 0532 0130 00.", "IBAN"),
        ("token xoxb-" + "123456789012-abcdefghijkl", "secret"),
        ("ghp_" + "a1B2" * 9, "secret"),
        ("AKIA" + "ABCDEFGH12345678", "secret"),
        ("sk-" + "proj-abcdefghijklmnopqrst", "secret"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn", "secret"),
        ("eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJ" + "zdWIiOiIxMjM0In0.c2lnbmF0dXJl", "secret"),
        ("postgres://dolly:hunter2@db.internal/main", "secret"),
    ],
)
def test_it_is_found_once(text: str, kind: str) -> None:
    assert personal_data(text) == {kind: 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The guest Wi-Fi password is blue-heron-42; it changes every Monday.",
        "The number on the violet toolbox is 292620",
        "On 2026-11-22 at 16:00, in room 4.12, 35 people met.",
        "[e-mail] and [phone number] were taken out, and [secret] too.",
        "We had 1,234,567 visitors in 2025 and 2,345,678 in 2026.",
        "pi is 3.14159265358979",
        "Reach it at https://marlow.example/wiki/Onboarding-2026?page=2.",
        "ISBN 978-3-16-148410-0",
        "version 10.0.19045.3803, build 20261122",
        "@channel please read #it-desk",
        "4111 1111 1111 1112",
        "कृपया 42 नंबर कमरे में आएँ।",
        "From 1990-2020, pages 100-200.",
    ],
)
def test_everyday_numbers_are_none(text: str) -> None:
    assert personal_data(text) == {}


def test_several_are_counted() -> None:
    text = "a@b.example, c@d.example; +1 212 736 5000"
    assert personal_data(text) == {"e-mail": 2, "phone number": 1}
