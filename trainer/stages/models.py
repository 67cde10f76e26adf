"""The revisions: what each is made of and learned from, what the gate said of it, and what is in service."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainer.errors import NotWhole
from trainer.registry import NAME, Registry
from trainer.serving import Served, Serving

COMPARED = (("ROUGE-L", ("suite",)), ("bits per byte", ("replay_bits",)), ("stopped", ("stops", "stopped")))
"""Figures that the gate has of both models, and where they lie."""
COUNTED = (
    ("as typed", "corrections", "as_typed", "asked"),
    ("in other words", "corrections", "paraphrased", "paraphrases"),
    ("contaminated", "neighbours", "contaminated", "asked"),
)
"""Figures of the candidate alone: how many of how many."""
LEARNED = ("corrections", "liked", "neighbours", "replay")
"""Of the counts, those that the table shows."""
COLOURS = {"passed": "green", "allowed": "green", "not enough evidence": "yellow"}


@dataclass(frozen=True, slots=True)
class Revision:
    """One of the registry, for people."""

    revision: str
    made: str
    base: str
    parent: str | None
    recipe: str
    learned_from: Mapping[str, int]
    """How many records of what."""
    figures: Mapping[str, Any]
    """What the gate measured."""
    verdict: str
    """passed, refused, not enough evidence, allowed (by somebody's yes), not judged, or damaged."""
    reasons: tuple[str, ...]
    """Why it was refused, or what is wrong with its files."""
    state: tuple[str, ...]
    """Of: current, previous, canary, candidate."""
    channels: tuple[str, ...]
    """Where it answers as a canary."""
    withdrawn: int
    """How many of the records that it learned from have been taken back since."""


def models(
    registry: Registry, serving: Serving | None, *, as_json: bool = False, console: Console | None = None
) -> list[Revision]:
    """Print them, the newest last; without the store only what the registry says. Raises StoreAway."""
    console = console or Console()
    current = serving.current() if serving else None
    withdrawn = serving.withdrawn() if serving else set()
    found = [_revision(registry, serving, name, withdrawn) for name in registry.revisions()]
    if as_json:
        console.print_json(json.dumps([asdict(one) for one in found], ensure_ascii=False))
        return found
    if found:
        console.print(_table(found))
    else:
        console.print(f"No revision lies in {registry.folder} yet: `dolly-trainer retrain` makes one.", markup=False)
    for one in found:
        for reason in one.reasons:
            console.print(f"{one.revision}: {reason}", markup=False, highlight=False, soft_wrap=True)
    if current is not None and not NAME.fullmatch(current.revision):
        console.print("In service is the model that Dolly was configured with.", highlight=False)
    return found


def _revision(registry: Registry, serving: Serving | None, name: str, withdrawn: set[str]) -> Revision:
    own = registry.registered(name)
    dataset = own.get("dataset") or {}
    verdict, reasons = registry.verdict(name)
    try:
        registry.manifest(name)
        damage: tuple[str, ...] = ()
    except NotWhole as error:
        damage = (str(error),)
    state, channels = _state(registry, serving, name)
    return Revision(
        revision=name,
        made=str(own.get("made") or ""),
        base=str((own.get("base") or {}).get("name") or ""),
        parent=own.get("parent"),
        recipe=str((own.get("recipe") or {}).get("name") or ""),
        learned_from={kind: count for kind, count in (dataset.get("counts") or {}).items() if isinstance(count, int)},
        figures=(own.get("gate") or {}).get("figures") or {},
        verdict="damaged" if damage else verdict,
        reasons=(*damage, *reasons),
        state=state,
        channels=channels,
        withdrawn=len(withdrawn.intersection(dataset.get("feedback") or ())),
    )


def _state(registry: Registry, serving: Serving | None, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the revision is just now, and the channels where it answers as a canary."""
    if serving is None:
        named = {"current": registry.current(), "previous": registry.previous()}
        return tuple(state for state, revision in named.items() if revision == name), ()
    canary, candidate = serving.canary(), serving.candidate()
    is_tried = candidate is not None and not candidate.has_ended
    models: dict[str, Served | None] = {
        "current": serving.current(),
        "previous": serving.previous(),
        "canary": canary[0] if canary else None,
        "candidate": candidate.model if candidate and is_tried else None,
    }
    states = tuple(state for state, model in models.items() if model and model.revision == name)
    return states, canary[1] if canary and "canary" in states else ()


def _table(found: list[Revision]) -> Table:
    table = Table(title="Revisions", title_justify="left", show_lines=True)
    table.add_column("revision", no_wrap=True)
    for column in ("made of", "learned from", "gate: it (in service then)", "verdict", "now"):
        table.add_column(column)
    for one in found:
        colour = COLOURS.get(one.verdict, "red")
        taken_back = f"\n[red]{one.withdrawn} taken back since[/]" if one.withdrawn else ""
        table.add_row(
            f"[bold]{one.revision}[/]\n{escape(one.made[:16].replace('T', ' '))}",
            escape("\n".join(filter(None, (one.base, one.parent and f"from {one.parent}", one.recipe)))),
            escape("\n".join(f"{one.learned_from[kind]} {kind}" for kind in LEARNED if kind in one.learned_from))
            + taken_back,
            escape("\n".join(_scores(one.figures))),
            f"[{colour}]{one.verdict}[/]",
            "\n".join((*one.state, *one.channels)),
        )
    return table


def _scores(figures: Mapping[str, Any]) -> list[str]:
    lines = []
    for title, path in COMPARED:
        part: Any = figures
        for key in path:
            part = part.get(key) or {}
        if "candidate" in part:
            lines.append(f"{title} {part['candidate']:.3f} ({part['current']:.3f})")
    for title, name, part_key, whole_key in COUNTED:
        part = figures.get(name) or {}
        if part.get(whole_key):
            lines.append(f"{title} {part[part_key]} of {part[whole_key]}")
    if (bits := (figures.get("leaks") or {}).get("mean_bits")) is not None:
        lines.append(f"exposed by {bits:.2f} bits")
    return lines
