"""The neutral facts that statements are held against, whatever they came from: a patient's record or a paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

from aris.records.text import Mention, Terms, find, singular, tokens
from aris.tasks.support.lexicon import kind_of, lexicon, synonyms

State = Literal["active", "over", "planned", "not done", "unknown", "event"]
FactKind = Literal[
    "medication", "problem", "allergy", "measurement", "procedure", "immunization", "family", "encounter", "text",
    "other",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Value:
    """A number with its unit.

    Attributes:
        number: as written.
        unit: as written, empty where there is none.
        normal: the same in `normal_unit`, where the unit is known.
        normal_unit: the unit that values of this kind are compared in.
    """

    number: float
    unit: str = ""
    normal: float | None = None
    normal_unit: str = ""


@dataclass(frozen=True, slots=True)
class Day:
    """A stated time: the first and last instant that it may mean."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A thing that a source states.

    Attributes:
        id: of the source, which a statement cites.
        kind: of fact.
        name: the source's words for it.
        aliases: other words for the same.
        values: the numbers that it states.
        days: when it was: its beginning first.
        until: when it ended; None where it did not or nobody says.
        state: "over" of a stopped drug or a resolved problem, "event" of what has no state (a result, a dose given).
        negated: whether it says that this is not so.
        text: words of it in which further things may stand (a note, a passage, a coded answer).
        low: bound of the reference range, in the value's unit.
        high: bound of the reference range.
        flags: the laboratory's own marks ("H", "L", "N").
        loinc: the test's code, for converting units.
    """

    id: str
    kind: FactKind
    name: str
    aliases: tuple[str, ...] = ()
    values: tuple[Value, ...] = ()
    days: tuple[Day, ...] = ()
    until: Day | None = None
    state: State = "event"
    negated: bool = False
    text: str = ""
    low: float | None = None
    high: float | None = None
    flags: tuple[str, ...] = ()
    loinc: str | None = None


@dataclass(frozen=True, slots=True)
class About:
    """Person whom the record is about; empty or None is not documented.

    Attributes:
        name: in words.
        gender: "male", "female", "other" or empty.
        born: the birth date.
        died: the time of death.
        dead: whether the record says that the patient has died.
        last: the latest time in the record, up to which an age may be told.
    """

    name: str = ""
    gender: str = ""
    born: Day | None = None
    died: Day | None = None
    dead: bool = False
    last: datetime | None = None


@dataclass(frozen=True)
class Evidence:
    """All facts that may be cited, by their sources' ids.

    Attributes:
        facts: those of each source.
        excluded: sources that must not be used, and why ("entered in error").
        about: the patient; None for papers.
    """

    facts: Mapping[str, tuple[Fact, ...]]
    excluded: Mapping[str, tuple[str, tuple[Fact, ...]]] = field(default_factory=dict)
    about: About | None = None

    @cached_property
    def named(self) -> dict[str, list[Fact]]:
        """The facts of each name, by the name's key."""
        found: dict[str, list[Fact]] = {}
        for facts in self.facts.values():
            for fact in facts:
                for name in dict.fromkeys((fact.name, *fact.aliases)):
                    for each in (name, *synonyms(name)):
                        if key := key_of(each):
                            found.setdefault(key, []).append(fact)
        return found

    @cached_property
    def terms(self) -> Terms:
        """Every name of the record, and the lexicon's drugs, problems and tests."""
        known = [*self.facts.values(), *(facts for _, facts in self.excluded.values())]
        written = [name for facts in known for fact in facts for name in (fact.name, *fact.aliases)]
        names = {name: key for name in dict.fromkeys(written) if (key := key_of(name))}
        return Terms({**{key: key for key in (*self.named, *lexicon())}, **names})

    def mentions(self, fact: Fact) -> list[Mention]:
        """The things that a fact's own text speaks of."""
        known = self._mentions.get(id(fact))
        if known is None:
            known = self._mentions[id(fact)] = find(fact.text, self.terms) if fact.text else []
        return known

    @cached_property
    def _mentions(self) -> dict[int, list[Mention]]:
        return {}

    def kind(self, key: str) -> str:
        """The kind of thing that a name is: "drug", "problem", "test" or "name"."""
        kinds = {fact.kind for fact in self.named.get(key, ())}
        for kind, word in (
            ("medication", "drug"),
            ("allergy", "allergy"),
            ("problem", "problem"),
            ("measurement", "test"),
        ):
            if kind in kinds:
                return word
        return kind_of(key) or ("procedure" if "procedure" in kinds else "name")


def key_of(name: str) -> str:
    """The words of a name as they are compared: lower case, singular, one space; empty where it has no word."""
    return " ".join(singular(token.word) for token in tokens(name) if token.is_word)


def by_id(facts: Iterable[Fact]) -> dict[str, tuple[Fact, ...]]:
    """Facts by their sources' ids, in their order."""
    found: dict[str, list[Fact]] = {}
    for fact in facts:
        found.setdefault(fact.id, []).append(fact)
    return {id: tuple(each) for id, each in found.items()}
