"""What is generated: payloads with faults in them, bodies that Slack never sent, and what a model may write."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st
from slack_bolt.request.async_request import AsyncBoltRequest

from tests.fuzz.shown import LEAK

WRITTEN = "quokka"
"""In what people write. No log may hold it."""

Kind = Literal["payload", "body", "output"]
Way = Literal["event", "command", "interaction"]
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Item:
    """One thing that Dolly has to bear."""

    kind: Kind
    way: Way = "event"
    payload: Any = None
    """Of kind payload."""
    times: int = 1
    """How often it is delivered."""
    body: bytes = b""
    content_type: str = "application/json"
    is_signed: bool = True
    """Of kind body."""
    deltas: tuple[str, ...] = ()
    """Of kind output."""
    is_known: bool = True
    """Whether it is well formed as far as Slack's own envelope goes: it must be acknowledged."""


NASTY = [
    "",
    " ",
    "\x00",
    "\x1b[31m",
    "\ud83d",
    "\udc00\ud800",
    "\u202egnp.exe",
    "\u200bx\u200f",
    "<!channel>",
    "<!here|here>",
    "<!everyone>",
    "<!subteam^S0123ABC>",
    "<@U0000000001>",
    "<#C0000000001|x>",
    "<https://wiki.example.org|login>",
    "&lt;!channel&gt; &amp;amp;",
    "*b* _i_ ~s~ `c` ```",
    "> quote\n> more",
    "{name} %s %(x)s {0}",
    "../../etc/passwd",
    "C1/../C2",
    "हिन्दी में लिखो",
    "👩‍👩‍👧‍👦",
    "a" * 5_000,
    "\n" * 3_000,
    "help",
    "forget",
    "forget me",
    "status",
    "settings",
    "channel follow on",
    "admin status",
    "admin dead-letters",
    "feedback",
    "ask",
]
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1e308,
    10**30,
    "1790000000",
    "1790000000.000100",
    1790000000.0001,
    "0.000000",
    [],
    {},
    [[]],
    {"id": 5},
    [None],
    {"type": None},
    [[[[[[[[]]]]]]]],
    ["x"] * 2_000,
    {"values": []},
    "U0000000009",
    "C0000000009",
    "W" * 300,
    "http://127.0.0.1:9/away",
    "https://nowhere.example/x",
]
TEXT_NAMES = frozenset({"text", "title", "alt_text", "fallback"})

texts = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=20), st.lists(st.sampled_from(NASTY), max_size=4).map("".join)
)
faults = st.tuples(
    st.integers(0, 10_000),
    st.sampled_from(("drop", "odd", "text", "text", "wrap", "as_text", "swap", "nest")),
    st.integers(0, 999),
    texts,
)


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The way to each value within `value`."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield (*path, name)
        yield from paths(part, (*path, name))


def broken(sample: Any, wanted: list[tuple[int, str, int, str]]) -> Any:
    """`sample` with these faults in it; sometimes with none."""
    payload = copy.deepcopy(sample)
    for where, fault, which, text in wanted:
        ways = list(paths(payload))
        if not ways:
            break
        path = ways[where % len(ways)]
        parent = _at(payload, path[:-1])
        parent[path[-1]] = _instead(payload, ways, parent[path[-1]], fault, which, _marked(path, text))
        if fault == "drop" and isinstance(parent, dict):
            del parent[path[-1]]
    return payload


def _instead(payload: Any, ways: list[Path], value: Any, fault: str, which: int, text: str) -> Any:
    match fault:
        case "odd":
            return copy.deepcopy(ODD[which % len(ODD)])  # the next fault may change it
        case "text":
            return text
        case "wrap":
            return [value] if which % 2 else {"value": value}
        case "as_text":
            return json.dumps(value)[:2_000]
        case "swap":
            return copy.deepcopy(_at(payload, ways[which % len(ways)]))
        case "nest":
            for _ in range(which % 60):
                value = {"x": value}
    return value


def _marked(path: Path, text: str) -> str:
    return f"{text} {WRITTEN}" if path[-1] in TEXT_NAMES else text


def _at(value: Any, path: Path) -> Any:
    for name in path:
        value = value[name]
    return value


# --- what a model may write -------------------------------------------------------------------------------

HOSTS = [f"{LEAK}.com", f"{LEAK}-2.io", f"x.{LEAK}.net", f"{LEAK.upper()}.COM"]
MARKDOWN = [
    "<!channel>", "<!here>", "<!everyone|all>", "<!subteam^S0123ABC|@team>", "<@U0000000001>", "<@W1|x>", "<#C1>",
    "<!", "<", "<@", "@channel", "@here", "@everyone", "&lt;!channel&gt;", "&#60;!here>", "&amp;lt;!here&amp;gt;",
    "```\n", "```python\n", "`", "``", "~~~\n", "\n    code ", "\n\n", "\n", " ", "| a | b |\n|---|---|\n| c | d |\n",
    "# Head\n", "- item\n", "  - nested\n", "1. one\n", "> ", "**", "*", "_", "~~", "[", "](", ")", "![", "\\", "\\<",
    "]", "(", "]\\(", "]\\:", "| ` ", " | ` |\n", "&#96;", "&#45; ", "1&#46; ", "    ",
    "]: ", "<a href=\"", "\">", "\u200b", "\u202e", "\u2060", "\u00ad", "&", "&#46;", "&period;", "\u3002", "．",
    "words ", "and more. ", "हिन्दी ", "👩‍👩‍👧 ", "\x00", "\ud83d", "mailto:", "tel:", "slack://", "//", "://",
]  # fmt: skip
LINKS = [
    "https://{}/?q=secret", "[label](https://{}/x)", "<https://{}|label>", "![i](http://{}/i.png)", "{}", "www.{}",
    "[r]: https://{}/\n", "user@{}", "`https://{}`", "http:\\/\\/{}", "https://good.example@{}/", "<{}>",
]  # fmt: skip
pieces = st.one_of(
    st.sampled_from(MARKDOWN),
    st.sampled_from(MARKDOWN),
    st.builds(str.format, st.sampled_from(LINKS), st.sampled_from(HOSTS)),
    st.text(max_size=8),
)


@st.composite
def outputs(draw: st.DrawFn) -> Item:
    """An answer in deltas; now and then an enormous one."""
    text = "".join(draw(st.lists(pieces, min_size=1, max_size=14)))
    if draw(st.integers(0, 60)) == 0:
        text = (text + "\n\nwords ") * draw(st.integers(50, 600))
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    if len(text) > 3_000:
        sizes = [size * 300 for size in sizes]
    deltas, start, number = [], 0, 0
    while start < len(text):
        deltas.append(text[start : start + sizes[number % len(sizes)]])
        start, number = start + len(deltas[-1]), number + 1
    return Item("output", deltas=tuple(deltas))


# --- what comes by HTTP -----------------------------------------------------------------------------------

BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b'{"type": "event_callback", "event": ' + b"[" * 5_000,
    b"payload=",
    b"payload=%7B",
    b"\xff\xfe{}",
    b"command=%2Fdolly&text=%ff",
    b"ssl_check=1",
]
TYPES = [
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/json; charset=utf-16",
    "multipart/form-data; boundary=x",
    "",
    "x",
]
bodies = st.builds(
    Item,
    kind=st.just("body"),
    body=st.one_of(
        st.sampled_from(BODIES), st.binary(max_size=60), texts.map(lambda text: text.encode("utf-8", "replace"))
    ),
    content_type=st.sampled_from(TYPES),
    is_signed=st.integers(0, 3).map(bool),
    is_known=st.just(False),
)


def payloads(samples: list[tuple[Way, Any]]) -> st.SearchStrategy[Item]:
    """Payloads like the samples, with up to four faults."""

    @st.composite
    def build(draw: st.DrawFn) -> Item:
        way, sample = samples[draw(st.integers(0, len(samples) - 1))]
        payload = broken(sample, draw(st.lists(faults, max_size=4)))
        times = 2 if draw(st.integers(0, 19)) == 0 else 1
        return Item("payload", way, payload, times, is_known=is_known(way, payload))

    return build()


def is_known(way: Way, payload: Any) -> bool:
    """Whether Bolt can read its envelope, so that nothing but an acknowledgement will do."""
    if not isinstance(payload, dict) or (way == "event" and "event" not in payload):
        return False
    try:
        AsyncBoltRequest(body=payload, mode="socket_mode")
    except (AttributeError, KeyError, TypeError):
        return False
    return way != "command" or "command" in payload


def items(samples: list[tuple[Way, Any]], count: int) -> st.SearchStrategy[list[Item]]:
    """`count` items: of sixteen, one is an output and one a body."""
    each = st.sampled_from([*[payloads(samples)] * 14, outputs(), bodies]).flatmap(lambda strategy: strategy)
    return st.lists(each, min_size=count, max_size=count)
