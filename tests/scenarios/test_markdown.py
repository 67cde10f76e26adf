"""What models write most: headings, nested lists, tables, code, quotes. It comes through whole."""

import pytest

from tests.scenarios.conftest import Transport, running_team, until
from tests.scenarios.faults import Faults
from tests.scripted_engine import DONE, Script, ScriptedEngine

ANSWER = """\
# Looms

A loom is a **frame** to *weave* on, with `warp` and ~~wax~~ weft.

## Kinds

1. Floor looms
   - counterbalance
     - two shafts
   - jack
2. Table looms

- [x] read
- [ ] woven

| Loom | Shafts |
|:-----|-------:|
| jack | 8 |
| `rigid` | 1 |

```python
def weave(warp: list[int]) -> str:
    return "<" + "-".join(map(str, warp)) + ">"  # [not](a link)
```

> Who weaves
> > knows knots.

Read README.md; that is all (or [nearly] all)."""

SHOWN = ANSWER.replace('"<"', '"&lt;"').replace("->", "-&gt;").replace('">"', '"&gt;"')


@pytest.mark.parametrize("shape", ["stream", "placed"])
@pytest.mark.parametrize("size", [1, 5])
async def test_markdown_comes_through_whole(
    store_url: str, transport: Transport, faults: Faults, shape: str, size: int
) -> None:
    if shape == "placed":
        faults.always("chat.startStream", "unknown_method")
    seen: set[str] = set()
    async with ScriptedEngine() as engine, running_team(store_url, engine.url, transport, max_tokens=1_000) as team:
        deltas = [engine.chunk(ANSWER[start : start + size]) for start in range(0, len(ANSWER), size)]
        paced = [part for delta in deltas for part in (delta, 0.002 * size)]
        engine.script = Script(lines=[*paced, engine.chunk("", "stop"), DONE])
        root = await team.say("asha", "@dolly what is a loom?")

        def is_done() -> bool:
            seen.update(team.answers(root))
            return SHOWN in seen

        await until(is_done)
        assert await team.answered(root) == [SHOWN]
    if shape == "stream":
        assert all(SHOWN.startswith(text) for text in seen), "nothing that was shown is taken back"
