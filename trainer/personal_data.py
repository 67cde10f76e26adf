"""What a redactor must have left none of: addresses, numbers and secrets in what a model would learn.

The export redacts with patterns of its own; this looks again, by other means, at what reaches the trainer.
"""

import re
from typing import Literal

import phonenumbers

Kind = Literal["e-mail", "phone number", "card number", "IBAN", "secret"]

REGIONS = ("US", "IN", "GB", "DE")
"""Countries whose numbers are known without a country code, too."""

E_MAIL = re.compile(r"(?<![\w.+-])(?!git@)[\w.+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}\b")
CARD = re.compile(r"(?<![\d.,])(?=3[04-9]|4\d|5\d|6\d|2[2-7])\d(?:[ -]?\d){12,18}(?![\d.,]?\d)")
"""As many digits as a card has, and of them those in front that the large networks give."""
NUMBER = re.compile(r"[1-9]\d{0,2}(?:[ .,]\d{3})+|\d+\.\d+")
"""With thousands set apart, or decimals: no phone number, however it looks."""
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}\b")
SECRETS = (
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-\d-[A-Z0-9]+-[A-Za-z0-9-]+",  # Slack
    r"https://hooks\.slack\.com/services/[A-Za-z0-9/]+",
    r"\bgh[oprsu]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{40,}",
    r"\bglpat-[A-Za-z0-9_-]{20,}",  # GitLab
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",  # AWS
    r"\bAIza[A-Za-z0-9_-]{35}",  # Google
    r"\bya29\.[A-Za-z0-9_-]{20,}",
    r"\bhf_[A-Za-z0-9]{30,}",  # Hugging Face
    r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
    r"\bsk-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic
    r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",  # SendGrid
    r"\b(?:npm|pypi|dop_v1|shpat)[_-][A-Za-z0-9_-]{30,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",  # JSON web tokens
    r"[a-z][a-z0-9+.-]*://[^\s:/@]+:[^\s:/@\[$%{*<][^\s/@]*@",  # a password in an address
)
SECRET = re.compile("|".join(SECRETS))


def personal_data(text: str) -> dict[Kind, int]:
    """How many of each kind stand in the text; kinds that do not are left out."""
    secrets = SECRET.findall(text)
    text = SECRET.sub(" ", text)
    ibans = [found for found in IBAN.finditer(text) if _is_iban(found[0])]
    cards = [found for found in CARD.finditer(text) if _is_card(found[0])]
    found: dict[Kind, int] = {
        "secret": len(secrets),
        "e-mail": len(E_MAIL.findall(text)),
        "IBAN": len(ibans),
        "card number": len(cards),
    }
    for match in (*ibans, *cards):  # their digits are no phone numbers besides
        text = text[: match.start()] + " " * len(match[0]) + text[match.end() :]
    found["phone number"] = len(_phone_numbers(text))
    return {kind: number for kind, number in found.items() if number}


def _phone_numbers(text: str) -> set[tuple[int, int]]:
    """Where they stand; with a country code, or valid in one of REGIONS as people there write them."""
    leniency = phonenumbers.Leniency.STRICT_GROUPING
    with_code = {(match.start, match.end) for match in phonenumbers.PhoneNumberMatcher(text, None)}
    of_region = {
        (match.start, match.end)
        for region in REGIONS
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency)
        if any(character in " -.()/" for character in match.raw_string) and not NUMBER.fullmatch(match.raw_string)
    }
    return {place for place in with_code | of_region if place in with_code or not _inside(place, with_code)}


def _inside(place: tuple[int, int], others: set[tuple[int, int]]) -> bool:
    return any(start <= place[0] and place[1] <= end for start, end in others)


def _is_card(text: str) -> bool:
    """Whether the last digit is Luhn's check digit."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """Whether ISO 7064's remainder is 1."""
    flat = text.replace(" ", "")
    if not 15 <= len(flat) <= 34:
        return False
    return int("".join(str(int(character, 36)) for character in flat[4:] + flat[:4])) % 97 == 1
