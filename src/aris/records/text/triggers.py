"""The table of triggers in `triggers.yaml`, with its lists of words and headings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

import yaml

from aris.records.text.phrases import Phrases, expand, split_phrases

Kind = Literal["negated", "uncertain", "historical", "hypothetical", "other", "affirmed", "stop", "pseudo"]
Direction = Literal["forward", "backward", "none"]
MEANINGS: tuple[Kind, ...] = ("negated", "uncertain", "historical", "hypothetical", "other")


@dataclass(frozen=True)
class Group:
    """Phrases that do the same.

    Attributes:
        kind: of meaning that they give to a finding in their reach; "affirmed" and "stop" only end the reach of what
            `stops` names, "pseudo" keeps the words in it from being triggers.
        direction: of the reach.
        source: of the group, a name in the head of the table.
        reach: words at most; 0 is up to the sentence's end or a stop.
        stops: kinds whose reach ends at these phrases.
        phrases: as written in the table.
    """

    kind: Kind
    direction: Direction
    source: str
    phrases: tuple[str, ...]
    reach: int = 0
    stops: tuple[Kind, ...] = ()


def _group(row: dict[str, Any]) -> Group:
    if row["kind"] not in get_args(Kind) or row["direction"] not in get_args(Direction):
        raise ValueError(f"no such kind or direction in the table of triggers: {row['kind']}, {row['direction']}")
    return Group(
        kind=row["kind"], direction=row["direction"], source=row["source"],
        phrases=tuple(split_phrases(row["phrases"])), reach=row.get("reach", 0), stops=tuple(row.get("stops", ())),
    )  # fmt: skip


@cache
def _table() -> dict[str, Any]:
    text = files("aris.records.text").joinpath("triggers.yaml").read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def groups() -> tuple[Group, ...]:
    """The groups of the table, in its order."""
    return tuple(_group(row) for row in _table()["groups"])


@cache
def words(name: str) -> frozenset[str]:
    """A list of words of the table, as "relatives" or "tellers"."""
    return frozenset(_table()["words"][name].split())


@cache
def sections() -> dict[str, Kind]:
    """Headings that give everything under them a meaning."""
    return {heading: kind for kind, headings in _table()["sections"].items() for heading in headings}


@cache
def headings() -> frozenset[str]:
    """Headings that end a section of meaning."""
    return frozenset(each.strip() for each in _table()["headings"].split(";"))


@cache
def phrases() -> Phrases:
    """All phrases of the table, each with the number of its group."""
    return Phrases(
        (words, number) for number, group in enumerate(groups()) for phrase in group.phrases for words in expand(phrase)
    )
