"""What leads to one person or one machine, and has a form of its own: mentions, addresses, cards, accounts."""

import ipaddress
import re

from bot.redaction.found import matching

PERSON = r"<@[UW][A-Z0-9]{2,}(?:\|[^<>]*)?> | (?<!\w)@[UW][A-Z0-9]{6,}\b"
"""A mention as Slack sends it, and as it stands in plain text."""
E_MAIL = r"(?<![\w.+%-])(?!git@)[\w.+%-]++@(?:[\w-]{1,63}\.){1,8}(?:xn--[\w-]+|[^\W\d_]{2,24})\b"
CARD = r"(?<!\d)(?<!\d[.,])(?=3[04-9]|4\d|5\d|6\d|2[2-7]){digits}(?![.,-]?\d)"
"""A number that begins as those of the large networks do."""
CARD_DIGITS = (
    r"\d{13,19}",
    r"\d{4}([\ -])\d{4}\1\d{4}\1\d{4}\1\d{3}",
    r"\d{4}([\ -])\d{4}\1\d{4}\1\d{4}",
    r"\d{4}([\ -])\d{6}\1\d{4,5}",
    r"\d(?:[\ -]?\d){12,18}",
)
"""In one piece, in groups as on the card, or in any other."""
IPV4 = r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w)(?!\.\d)"
IPV6 = r"(?<![\w:.])(?=[0-9A-Fa-f:]*\d)[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])"

VERSION = re.compile(r"\b(?:v|ver|version|release|chrome|firmware|build|driver)[ .:=v-]{0,3}$", re.IGNORECASE)
"""What stands before four numbers with dots where they are no address."""
IBAN_LENGTHS = re.findall(
    r"([A-Z]{2})(\d{2})",
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 "
    "EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 "
    "KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 "
    "PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 "
    "UA29 VA22 VG24 XK20 YE30",
)
"""How many characters an IBAN has, by country (the SWIFT registry)."""
IBAN = "|".join(
    rf"\b{country}\d\d(?:\ ?[A-Z0-9]){{{int(length) - 4}}}(?![A-Za-z0-9])" for country, length in IBAN_LENGTHS
)


def _passes_luhn(match: re.Match[str]) -> bool:
    digits = [int(sign) for sign in match[0] if sign.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _has_check_digits(match: re.Match[str]) -> bool:
    """ISO 7064, modulo 97: letters count from A = 10, the country and its check digits stand last."""
    compact = match[0].replace(" ", "")
    return int("".join(str(int(sign, 36)) for sign in compact[4:] + compact[:4])) % 97 == 1


def _is_address(match: re.Match[str]) -> bool:
    """Of some machine: none that every machine has (127.0.0.1, ::1), no mask, and no version."""
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return False
    is_everywhere = address.is_loopback or address.is_unspecified or match[0].startswith("255.")
    return not is_everywhere and not VERSION.search(match.string[: match.start()])


IDENTIFIERS = (
    matching("person", PERSON),
    matching("e-mail", E_MAIL),
    matching("IBAN", IBAN, _has_check_digits),
    *(matching("card number", CARD.replace("{digits}", digits), _passes_luhn) for digits in CARD_DIGITS),
    matching("IP address", IPV4, _is_address),
    matching("IP address", IPV6, _is_address),
)
