"""Passwords, keys and tokens: known by their form, or by the name that they are given to."""

import re

from bot.redaction.found import matching

KIND = "secret"

PRIVATE_KEY = r"""-----BEGIN\ (?P<name>[A-Z0-9\ ]{0,30}PRIVATE\ KEY(?:\ BLOCK)?)-----
    (?s:.*?) (?:-----END\ (?P=name)-----|\Z)"""
JWT = r"\b eyJ[\w-]{8,} \. eyJ[\w-]{8,} (?:\.[\w-]*)?"
TOKEN = r"""https://hooks\.slack\.com/[\w/-]{16,} | (?<![A-Za-z0-9])(?:
      xox[a-z]-[\w-]{8,} | xapp-\d-[\w-]{8,} | xwfp-[\w-]{8,}                # Slack
    | (?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])                     # AWS
    | gh[pousr]_[A-Za-z0-9]{30,} | github_pat_\w{22,}                        # GitHub
    | gl[a-z]{2,6}-[\w-]{20,}                                                # GitLab
    | AIza[\w-]{35} | ya29\.[\w-]{20,} | GOCSPX-[\w-]{20,}                   # Google
    | [srp]k_(?:live|test)_[A-Za-z0-9]{10,} | whsec_[A-Za-z0-9+/=]{20,}      # Stripe
    | sk-(?=[\w-]*\d)[\w-]{20,}                                              # OpenAI, Anthropic
    | hf_[A-Za-z0-9]{30,}                                                    # Hugging Face
    | npm_[A-Za-z0-9]{36} | pypi-[\w-]{40,}
    | SG\.[\w-]{16,}\.[\w-]{16,} | dapi[a-f0-9]{32} | do[opr]_v1_[a-f0-9]{64}
    | \d{8,10}:AA[\w-]{33}                                                   # Telegram
    )"""
IN_ADDRESS = r"""\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@"'<>]{0,64}:(?P<value>[^\s/@"'<>\[$%{*][^\s/@"'<>]{0,200})@"""
"""redis://user:password@host"""
IN_HEADER = r"\b(?i:bearer|basic)\s+(?P<value>(?=\S{0,200}\d)[\w.~+/=-]{16,})"
OPTION = r"(?i:--(?:password|passwd|token|secret|api-key))\s+(?P<value>[^\s\[$%{*<-]\S{3,})"
SPOKEN = r"""\b(?i:pass(?:word|phrase|code)\s+(?:is|was|ist|lautet|है))[:\s]\s*
    ["'“`]? (?P<value>[^\s\["'“”`]{5,}[^\s\["'“”`.,;:!?)])"""
"""the password is hunter-2"""
ASSIGNED = r"""(?<![A-Za-z0-9]) [\w.-]{0,40}?
    (?P<name>(?i:pass(?:word|wd|phrase)|pwd|secret|token|signature|(?:api|access|account|auth|private|secret)[_-]?key))
    ["']?\s{0,3} (?P<sign>:=|=>|=|:) \s{0,3} (?P<quote>["'])?
    (?P<value>(?(quote)
        (?:(?!(?P=quote)).){1,200} (?=(?P=quote))
      | [^\s"',;(){}<>\[\]$%*&] [^\s"',;(){}<>\[\]&]*+ (?![(\[{])
    ))"""
"""password=hunter2, "api_key": "…", client_secret: …"""

IN_CODE = re.compile(r"[A-Za-z_]+(?:\.[A-Za-z_]+)+")
"""settings.password"""
NO_VALUES = frozenset(("none", "null", "nil", "true", "false", "str", "string", "undefined", "required", "optional"))
TOKEN_CHARACTERS = 8
CODE_DIGITS = 8
"""A number that is no longer is a door code or the like, unless it is assigned with `=`."""


def _is_mixed(value: str) -> bool:
    """Whether it looks made up: a digit, and something else."""
    return any(sign.isdigit() for sign in value) and any(not sign.isdigit() for sign in value.rstrip(".,!?)"))


def _is_assigned(match: re.Match[str]) -> bool:
    value, is_quoted = match["value"], match["quote"] is not None
    if value.lower() in NO_VALUES or (not is_quoted and IN_CODE.fullmatch(value)):
        return False
    if not match["name"].lower().startswith(("pass", "pwd")):
        return len(value) >= TOKEN_CHARACTERS and _is_mixed(value) and not re.search(r"\s", value)
    if match["sign"] != ":" or is_quoted or _is_mixed(value):
        return True
    if value.isdigit():
        return len(value) > CODE_DIGITS
    rest = match.string[match.end() :].partition("\n")[0]
    return not rest.strip(" .,;")  # one word and no sentence


CREDENTIALS = (
    matching(KIND, PRIVATE_KEY),
    matching(KIND, JWT),
    matching(KIND, TOKEN),
    matching(KIND, IN_ADDRESS),
    matching(KIND, IN_HEADER),
    matching(KIND, OPTION),
    matching(KIND, SPOKEN, lambda match: _is_mixed(match["value"])),
    matching(KIND, ASSIGNED, _is_assigned),
)
