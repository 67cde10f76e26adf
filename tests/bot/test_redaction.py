"""Secrets and personal data leave a text, each with its placeholder; what is meant to be learned stays."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.errors import LocalPartError
from bot.redaction import Redaction
from bot.redaction.names import MODEL, presidio
from trainer.personal_data import personal_data

REDACTION = Redaction(("US", "GB", "IN", "DE", "FR"))
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SECRETS = [
    PEM,
    PEM.replace("RSA ", "OPENSSH "),
    JWT,
    "xoxb-123456789012-" + LETTERS[:12],
    "xapp-1-A012345-6789-" + LETTERS,
    "https://hooks.slack.com/services/T000/B000/" + LETTERS[:24],
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp_" + LETTERS,
    "github_pat_" + LETTERS,
    "glpat-" + LETTERS[10:31],
    "AIza" + LETTERS[:35],
    "sk_live_" + LETTERS[10:],
    "sk-proj-" + LETTERS,
    "hf_" + LETTERS,
]
"""Put together here: whoever scans this file for secrets finds none."""
GOOD_IBANS = [
    "DE89 3704 0044 0532 0130 00",
    "GB82WEST12345698765432",
    "NO93 8601 1117 947",
    "FR1420041010050500013M02606",
]
CARDS = ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "3782 822463 10005", "6011000990139424"]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_token_is_known_by_its_form(secret: str) -> None:
    redacted = REDACTION.redact(f"Use {secret} for it.")
    assert redacted.text == "Use [secret] for it."
    assert redacted.counts == {"secret": 1}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("password=hunter2", "password=[secret]"),
        ('DB_PASSWORD: "correct horse"', 'DB_PASSWORD: "[secret]"'),
        ("password: Dragonfly", "password: [secret]"),
        ("pwd := x1", "pwd := [secret]"),
        ("--password hunter22 --verbose", "--password [secret] --verbose"),
        ("The password is Loom-2024.", "The password is [secret]."),
        ('{"api_key": "0a1b2c3d4e"}', '{"api_key": "[secret]"}'),
        ("client_secret=abc123def456&x=1", "client_secret=[secret]&x=1"),
        ("redis://dolly:s3cr-et@db:6379/0", "redis://dolly:[secret]@db:6379/0"),
        ("Authorization: Bearer abc123def456ghi789", "Authorization: Bearer [secret]"),
    ],
)
def test_a_secret_is_known_by_its_name(text: str, redacted: str) -> None:
    assert REDACTION.redact(text).text == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("write to asha.rao+x@mail.example.co.uk, please", "write to [e-mail], please"),
        ("<mailto:a@b.io|a@b.io>", "<mailto:[e-mail]|[e-mail]>"),
        ("ask <@U0ASHA00001> or @U0BEN000001.", "ask [person] or [person]."),
        ("from 192.168.1.20/24 and 2001:db8::42", "from [IP address]/24 and [IP address]"),
        ("call +91 98765 43210 now", "call [phone number] now"),
        ("(415) 555-2671, 020 7946 0018 or 98765 43210", "[phone number], [phone number] or [phone number]"),
        ("phone: 4155552671", "phone: [phone number]"),
        ("मोबाइल 9876543210", "मोबाइल [phone number]"),
        *((f"pay {iban} today", "pay [IBAN] today") for iban in GOOD_IBANS),
        *((f"card {card}, exp. 12/29", "card [card number], exp. 12/29") for card in CARDS),
    ],
)
def test_what_leads_to_a_person_goes(text: str, redacted: str) -> None:
    assert REDACTION.redact(text).text == redacted


@pytest.mark.parametrize(
    "text",
    [
        "The door code is 4711, the alarm's 0815, the locker's 123456.",
        "Room 030 12, extension 4711, desk 12-34, building 7.",
        "On 2026-12-01 at 10:30:15, or 01.12.2026, 12/24/2026, 2026/12/01 23:59; week 49.",
        "Sprint 2026-12-0001, invoice 2026120112, ticket DOLLY-12345, order 4155552671.",
        "It costs $1,234,567.89, 1.234.567,89 €, ₹ 12,34,567 or 1 234 567 890 in all.",
        "Version 10.2.4.1, v1.2.3, Chrome 120.0.6099.109, Python 3.11.9, lodash@4.17.21.",
        "ISO 9001:2015, RFC 2616, ISBN 978-3-16-148410-0, doi 10.1109/5.771073.",
        "At 49.702000 N, 8.680000 E, 3 141 592 653 people; 020 or 4 9.7.",
        "Bind 127.0.0.1:8765 or ::1, mask 255.255.255.0; 00:1A:2B:3C:4D:5E; 12:34:56; std::vector.",
        "pi is 3.141592653589793; 299792458 m/s; 6.02214076e23; 1764547200; 1764547200000; 1700000000.000100",
        "git clone git@github.com:org/repo.git at 3f9a2c1d8e7b6a5f4e3d2c1b0a9f8e7d6c5b4a39",
        "password = getpass(); token = os.environ['TOKEN']; pwd=settings.password; secret: ${SECRET}",
        "max_tokens=512, MAX_TOKENS: 512, token: a unit of text, password: ask the front desk",
        "The password is required; a passphrase is safer. Bearer of good news.",
        "4111 1111 1111 1112 and DE89 3704 0044 0532 0130 are no numbers of any card or account",
        "postgres://app:$PASSWORD@db/x, https://example.com:8080/@user",
        "The Wi-Fi is called Loom, @channel and @asha know; e-mail us",
    ],
)
def test_what_is_meant_to_be_learned_stays(text: str) -> None:
    redacted = REDACTION.redact(text)
    assert redacted.text == text
    assert not redacted.counts
    assert personal_data(text) == {}, "the gate does not refuse it either"


def test_each_kind_is_counted() -> None:
    text = f"a@b.io, c@d.io, {JWT}, <@U0ASHA00001>, 10.1.2.3"
    assert REDACTION.redact(text).counts == {"e-mail": 2, "secret": 1, "person": 1, "IP address": 1}


def test_countries_are_the_settings() -> None:
    assert Redaction().redact("(415) 555-2671 or +1 415 555 2671").text == "(415) 555-2671 or [phone number]"
    assert Redaction(("JP",)).redact("03-1234-5678").text == "[phone number]"


PIECES = st.sampled_from(
    [
        *SECRETS,
        *GOOD_IBANS,
        *CARDS,
        "a@b.io",
        "+49 30 901820",
        "10.1.2.3",
        "<@U0ASHA00001>",
        "password=",
        "token: ",
        "://",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=12), st.from_regex(r"[0-9 +().:/-]{1,16}")), max_size=12)


@given(TEXTS)
def test_what_was_redacted_has_nothing_more(parts: list[str]) -> None:
    once = REDACTION.redact("".join(parts))
    twice = REDACTION.redact(once.text)
    assert twice.text == once.text
    assert not twice.counts


@given(TEXTS)
def test_the_gate_of_the_trainer_finds_nothing_more(parts: list[str]) -> None:
    assert personal_data(REDACTION.redact("".join(parts)).text) == {}


@given(st.sampled_from([*SECRETS, *GOOD_IBANS, *CARDS, "asha@example.com"]), TEXTS, TEXTS)
def test_no_text_around_a_secret_hides_it(secret: str, before: list[str], after: list[str]) -> None:
    around = "".join(before), "".join(after)
    assume(secret not in "".join(around))
    assert secret not in REDACTION.redact(f"{around[0]} {secret} {around[1]}").text


@given(st.integers(0, 999_999), st.dates().map(str), st.times().map(str), st.floats(0, 1e6).map("{:.2f}".format))
def test_short_numbers_dates_times_and_prices_stay(code: int, date: str, time: str, price: str) -> None:
    text = f"The code is {code}. On {date} at {time} it was $ {price}."
    assert REDACTION.redact(text).text == text


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
def test_a_phone_number_of_any_country_is_known_by_its_code(region: str) -> None:
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.FIXED_LINE)
    assert example is not None
    written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    assert REDACTION.redact(f"call {written} please").text == "call [phone number] please"


class FakePresidio(ModuleType):
    """The seam alone: what `presidio_analyzer` offers, for one name."""

    class AnalyzerEngine:
        def analyze(self, text: str, language: str, entities: list[str], score_threshold: float) -> list[Any]:
            assert (language, "PERSON" in entities) == ("en", True)
            at = text.find("Asha")
            found = SimpleNamespace(start=at, end=at + 4, entity_type="PERSON")
            return [found, found] if at >= 0 else []


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", FakePresidio("presidio_analyzer"))
    monkeypatch.setitem(sys.modules, MODEL, ModuleType(MODEL))


@pytest.mark.usefixtures("installed")
def test_presidio_finds_names_where_it_is_installed() -> None:
    redacted = Redaction((), presidio()).redact("Asha wrote to Asha: a@b.io")
    assert redacted.text == "[person] wrote to [person]: [e-mail]"
    assert redacted.counts == {"person": 2, "e-mail": 1}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("missing", ["presidio_analyzer", MODEL])
def test_without_presidio_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(LocalPartError, match=r"pip install .\[presidio\]"):
        presidio()
