"""How a setting's text is read: each kind with the sentence that says what is wrong with it. No fault quotes a key."""

import base64
import json
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode


def starts_with(prefix: str, where: str) -> AfterValidator:
    """A secret that begins with `prefix`; `where` it is to be copied from."""

    def check(value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(prefix):
            raise ValueError(f"must start with {prefix!r}; copy it from {where} in your Slack app's settings")
        return value

    return AfterValidator(check)


def address(*schemes: str) -> AfterValidator:
    """An address with one of these schemes."""
    wanted = f"must be an address that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}"

    def check(value: str) -> str:
        try:
            parts = urlsplit(value)
            _ = parts.port  # raises for a port that is none
        except ValueError:  # its words may be a piece of the password
            raise ValueError(
                f"{wanted}, and this one is not well formed; in a password, write / as %2F, # as %23 and ? as %3F"
            ) from None
        if parts.scheme not in schemes or not (parts.netloc or (parts.scheme == "unix" and parts.path)):
            raise ValueError(wanted)
        return value

    return AfterValidator(check)


def ascii_only(value: SecretStr) -> SecretStr:
    """A secret that fits an HTTP header."""
    if not value.get_secret_value().isascii():
        raise ValueError("must be plain ASCII, as it goes into an HTTP header; was it copied whole?")
    return value


def two_engines(value: object) -> object:
    """The addresses of two engines, on hosts of their own: "http://engine-a:8080,http://engine-b:8080"."""
    if not isinstance(value, str):
        return value
    urls = [url.strip().rstrip("/") for url in value.split(",")]
    _check_engines(urls)
    if len({urlsplit(url).hostname for url in urls}) != len(urls):
        raise ValueError("must name two hosts, as each one's slot is a file that is named by its host")
    return tuple(urls)


def two_deployments(value: object) -> object:
    """Two Deployments with their addresses: "engine-a=http://engine-a:8080,engine-b=http://engine-b:8080"."""
    if not isinstance(value, str):
        return value
    pairs = [pair.strip().rstrip("/").partition("=")[::2] for pair in value.split(",")]
    _check_engines([url for _, url in pairs])
    names = [name for name, _ in pairs]
    if not all(re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name) for name in names) or names[0] == names[1]:
        raise ValueError("must be two Deployments, NAME=http://HOST:PORT,NAME=http://HOST:PORT")
    return tuple(pairs)


def _check_engines(urls: list[str]) -> None:
    parts = [urlsplit(url) for url in urls]
    if any(part.scheme not in ("http", "https") or not part.hostname for part in parts):
        raise ValueError("must hold addresses that start with http:// or https://, with a comma between")
    if len(urls) != 2 or urls[0] == urls[1]:
        raise ValueError(
            "must name two engines: a new model answers at another address than the one in service, also where only "
            "one of them runs at a time"
        )


def existing_file(path: Path) -> Path:
    """A file that is there, `~` taken for the home directory."""
    path = path.expanduser()
    if not path.is_file():
        raise ValueError(f"names {path}, which is no file")
    return path


def json_list(value: object) -> object:
    """A list, as JSON writes it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('must be a JSON list, for example ["###"]') from None


def base64_keys(value: object) -> object:
    """Base64 keys of 32 bytes, as DOLLY_MEMORY_KEY has them. No fault quotes one."""
    if not isinstance(value, str):
        return value
    keys = [part.strip() for part in value.split(",")]
    if not all(_is_key(key) for key in keys):
        raise ValueError(
            "must be 32 bytes in base64, or several of these with commas between; make one with "
            "`openssl rand -base64 32`"
        )
    return [SecretStr(key) for key in keys]


def base64_key(value: SecretStr) -> SecretStr:
    """One such key, as RETRAIN_KEY is."""
    if not _is_key(value.get_secret_value()):
        raise ValueError("must be 32 bytes in base64; make it with `openssl rand -base64 32`")
    return value


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except ValueError:
        return False


def region_codes(value: object) -> object:
    """Countries by ISO 3166 with commas between, as PHONE_REGIONS has them; `none` for none."""
    if not isinstance(value, str):
        return value
    regions = tuple(part.strip().upper() for part in value.split(",") if part.strip())
    if regions == ("NONE",):
        return ()
    for region in regions:
        if region not in SUPPORTED_REGIONS:
            raise ValueError(
                f"must be countries by their two letters with commas between, such as IN,US, or none; {region!r} is no "
                "country with phone numbers of its own"
            )
    return regions


def host_names(value: object) -> object:
    """Names of hosts with commas between, as LINK_HOSTS has them."""
    if not isinstance(value, str):
        return value
    hosts = tuple(part.strip().lower() for part in value.split(",") if part.strip())
    for host in hosts:
        if not re.fullmatch(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*", host):
            raise ValueError(
                f"must be names of hosts with commas between, without https:// or a path, and {host!r} is none; write "
                "for example wiki.example.com,*.example.org"
            )
    return hosts


def slack_ids(letters: str) -> BeforeValidator:
    """Slack's ids with commas between; `letters` are those that such an id begins with."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        ids = [part.strip() for part in value.split(",") if part.strip()]
        for each in ids:
            if not re.fullmatch(rf"[{letters}][A-Z0-9]{{2,}}", each):
                raise ValueError(
                    f"must be Slack's ids with commas between, such as {letters[0]}0123ABCD, and {each!r} is none; "
                    "Slack shows an id at the bottom of a person's profile or a channel's details"
                )
        return frozenset(ids)

    return BeforeValidator(read)


People = Annotated[frozenset[str], NoDecode, slack_ids("UW")]
Channels = Annotated[frozenset[str], NoDecode, slack_ids("CG")]
Teams = Annotated[frozenset[str], NoDecode, slack_ids("TE")]
HttpUrl = Annotated[str, address("http", "https")]
Port = Annotated[int, Field(ge=0, le=65535)]
