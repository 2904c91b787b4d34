"""Names of drugs, problems and tests that a statement may use, and which of them mean the same."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from aris.records.text import singular, tokens


@cache
def _table() -> dict[str, Any]:
    text = files("aris.tasks.support").joinpath("lexicon.yaml").read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _key(name: str) -> str:
    return " ".join(singular(token.word) for token in tokens(name) if token.is_word)


@cache
def _groups() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Each name's kind and the names that mean the same."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    table = _table()
    for kind, names in (
        ("drug", table["drugs"].values()),
        ("problem", [table["problems"]]),
        ("test", [table["tests"]]),
    ):
        for line in (line for block in names for line in block.split(";")):
            same = tuple(key for each in line.split("=") if (key := _key(each)))
            for key in same:
                found.setdefault(key, (kind, same))
    return found


def lexicon() -> tuple[str, ...]:
    """All names."""
    return tuple(_groups())


def kind_of(key: str) -> str:
    """The kind of a name, "drug", "problem" or "test"; empty for other names."""
    if key in _groups():
        return _groups()[key][0]
    return "drug" if any(key.endswith(end) for end in _endings() if len(key) > len(end) + 2) else ""


def synonyms(name: str) -> tuple[str, ...]:
    """Other names that mean the same as this one."""
    key = _key(name)
    return tuple(each for each in _groups().get(key, ("", ()))[1] if each != key)


@cache
def drug_classes() -> dict[str, frozenset[str]]:
    """The names of the drugs of each class, such as "nsaid"."""
    return {
        kind: frozenset(key for each in block.replace("=", ";").split(";") if (key := _key(each)))
        for kind, block in _table()["drugs"].items()
    }


@cache
def _endings() -> tuple[str, ...]:
    return tuple(_table()["drug_endings"].split())


@cache
def plain_words() -> frozenset[str]:
    """Words that tell of records without stating anything that would need a source."""
    return frozenset(singular(word) for word in _table()["plain_words"].split())


@cache
def cues(name: str) -> tuple[str, ...]:
    """The phrases of a list of cues, such as "current" or "rose"."""
    return tuple(each.strip() for each in _table()["cues"][name].split(";") if each.strip())
