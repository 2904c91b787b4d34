"""The triage rules: what gives which level, and why; each rule with its source.

A rule asks for findings that are present together. None asks for the absence of anything, for sex, name or ethnicity,
so nothing that is said can lower a level. An age or a finding that was asked for and is not known counts as possible.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from aris.errors import DataError
from aris.tasks.intake.base import VERSION
from aris.tasks.intake.data_files import load_yaml
from aris.tasks.intake.lexicon import lexicon
from aris.tasks.intake.measures import DAYS
from aris.tasks.intake.state import LEVELS, Level, Reason, Risk

RULES_VERSION = VERSION
# What else than findings a rule may name: how it began, how bad it is, how it goes, and pregnancy.
DERIVED = frozenset(("severe", "sudden", "worsening", "long", "pregnant", "postpartum"))
_AGE = re.compile(r"(<|>=)(\d+)([dmy])\Z")


class RuleSource(BaseModel):
    """Origin of rules; `read` says how the text was read, None if it could not be."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    url: str
    read: str | None


class Rule(BaseModel):
    """A triage rule.

    Attributes:
        id: its name.
        level: that it gives.
        when: groups of findings; of each group one must be present.
        age: "<3m", ">=65y" or "" for any.
        reason: for the clinician.
        source: name in `sources.yaml`.
        text: the fixed text that goes with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    level: Level
    when: tuple[str, ...]
    age: str = ""
    reason: str
    source: str
    text: Literal["emergency", "crisis", "safeguarding"] = "emergency"

    @property
    def groups(self) -> tuple[frozenset[str], ...]:
        """The groups of findings."""
        return tuple(frozenset(group.split("|")) for group in self.when)


class _Ready(NamedTuple):
    rule: Rule
    groups: tuple[frozenset[str], ...]
    below: float | None
    least: float | None
    source: RuleSource


def read_rules() -> tuple[tuple[Rule, ...], dict[str, RuleSource]]:
    """The rules that come with Aris and their sources.

    Raises:
        DataError: a file is malformed, an id is there twice, or a rule names what is not there.
    """
    here = files(__package__) / "rules"
    known = set(lexicon().findings) | DERIVED
    try:
        sources = {name: RuleSource.model_validate(each) for name, each in load_yaml(here / "sources.yaml").items()}
        rules = [
            Rule.model_validate(entry)
            for path in sorted(here.iterdir(), key=lambda each: each.name)
            if path.name.endswith(".yaml") and path.name != "sources.yaml"
            for entry in load_yaml(path)
        ]
    except ValidationError as error:
        raise DataError(f"triage rules: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None
    seen: set[str] = set()
    for rule in rules:
        unknown = {name for group in rule.groups for name in group} - known
        if rule.id in seen or unknown or rule.source not in sources or (rule.age and not _AGE.match(rule.age)):
            raise DataError(f"triage rule {rule.id}: it is there twice, or names what is not there {sorted(unknown)}")
        seen.add(rule.id)
    return tuple(rules), sources


@cache
def _rules() -> tuple[_Ready, ...]:
    rules, sources = read_rules()
    ready = []
    for rule in rules:
        below = least = None
        if found := _AGE.match(rule.age):
            days = int(found[2]) * DAYS[{"d": "day", "m": "month", "y": "year"}[found[3]]]
            below, least = (days, None) if found[1] == "<" else (None, days)
        ready.append(_Ready(rule, rule.groups, below, least, sources[rule.source]))
    return tuple(ready)


def assess_risk(
    present: Collection[str], *, unknown: Collection[str] = (), ages: Sequence[float] = (), age_unknown: bool = False
) -> Risk:
    """The level that the rules give, with the reasons.

    Args:
        present: findings, and what of `DERIVED` holds.
        unknown: findings that were asked for and are not known.
        ages: of the patient in days; if several are said, a rule applies if one fits.
        age_unknown: the age was asked for and is not known: every age is possible then.
    """
    reasons = list(_reasons(frozenset(present), frozenset(unknown), ages, age_unknown))
    reasons.sort(key=lambda reason: -LEVELS.index(reason.level))
    return Risk(level=reasons[0].level if reasons else "routine", reasons=reasons)


def _reasons(
    present: frozenset[str], unknown: frozenset[str], ages: Sequence[float], age_unknown: bool
) -> Iterator[Reason]:
    for rule, groups, below, least, source in _rules():
        possible = False
        if (below is not None or least is not None) and not any(
            (below is None or age < below) and (least is None or age >= least) for age in ages
        ):
            if not age_unknown:
                continue
            possible = True
        met: list[str] = []
        for group in groups:
            here = group & present
            if not here:
                here = group & unknown
                possible = True
            if not here:
                break
            met += sorted(here)
        else:
            # What is only possible never ends the questions, but is no reason to wait either.
            level: Level = rule.level
            if possible:
                if not set(met) & present and rule.level != "emergency":
                    continue
                level = "urgent" if rule.level == "emergency" else "soon" if rule.level == "urgent" else "routine"
            yield Reason(
                rule=rule.id, level=level, text=rule.reason, findings=list(dict.fromkeys(met)), source=source.name,
                reviewed=source.read is not None, possible=possible, advice=rule.text,
            )  # fmt: skip
