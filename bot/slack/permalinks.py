"""Links to messages, as Slack makes them: `https://team.slack.com/archives/C…/p1700000000000100?thread_ts=…`. Pure."""

import re
from urllib.parse import parse_qs, urlsplit

PATH = re.compile(r"/archives/(?P<channel>[A-Z][A-Z0-9]{1,20})/p(?P<seconds>\d{1,10})(?P<micros>\d{6})/?")
TIMESTAMP = re.compile(r"\d{1,10}\.\d{6}")


def permalink(workspace_url: str, channel_id: str, ts: str) -> str:
    """The address of a message; `workspace_url` as auth.test gives it. Made here: chat.getPermalink is a call each."""
    return f"{workspace_url.rstrip('/')}/archives/{channel_id}/p{ts.replace('.', '')}"


def linked_thread(address: str) -> tuple[str, str] | None:
    """Channel id and root ts of the thread that a permalink leads to; None where `address` is none."""
    parts = urlsplit(address)
    found = PATH.fullmatch(parts.path)
    if parts.scheme not in ("http", "https") or not found:
        return None
    root_ts = parse_qs(parts.query).get("thread_ts", [f"{found['seconds']}.{found['micros']}"])[0]
    return (found["channel"], root_ts) if TIMESTAMP.fullmatch(root_ts) else None
