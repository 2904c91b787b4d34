"""Names that rules use, and the codes and words by which records say them (`vocabulary.yaml`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict, Field

from aris.records.types import LOINC, RXNORM, SNOMED, Concept

ICD10 = ("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10", "urn:oid:2.16.840.1.113883.6.90")


class Named(BaseModel):
    """Base of the entries."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Measured(Named):
    """A quantity: its title, the unit that rules use, LOINC codes, and what a living patient can have.

    `zero` says that 0 is no mistake of the pen, but what is written of a patient whose heart or breath stands still.
    """

    title: str
    unit: str
    loinc: tuple[str, ...]
    plausible: tuple[float, float]
    zero: bool = False

    def takes(self, value: float) -> bool:
        """Tell whether a value is judged."""
        return self.plausible[0] <= value <= self.plausible[1] or (self.zero and value == 0)


class Worded(Named):
    """An observation in words: LOINC codes, words of its name where it has none, and the words of each answer."""

    loinc: tuple[str, ...]
    title: tuple[str, ...] = ()
    alert: tuple[str, ...] = ()
    not_alert: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()


_WITHOUT = re.compile(r"\b(?:without|w/o|wo|no)\s+(?:iv |intravenous |any )?contrast(?! and with)", re.IGNORECASE)
# Texts that a class remembers.
_MOST_READ = 2000


class Class(Named):
    """A class of problems, procedures or drugs: codes, and words that begin a word of the record.

    Attributes:
        snomed, rxnorm: codes.
        icd10: beginnings of codes.
        words: matched in the concept's text and its codes' names.
        excluded: words that speak against it ("topical").
        beside: words of which one must stand in the text too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    snomed: tuple[str, ...] = ()
    icd10: tuple[str, ...] = ()
    rxnorm: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    excluded: tuple[str, ...] = Field((), alias="not")
    beside: tuple[str, ...] = ()

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Any of the words, at the beginning of a word."""
        return _beginning(self.words)

    @cached_property
    def against(self) -> re.Pattern[str]:
        """Any of the words that speak against it."""
        return _beginning(self.excluded)

    @cached_property
    def _read(self) -> dict[str, tuple[bool, bool]]:
        """Texts that were looked at, with whether they speak for it and against it; names recur in every record."""
        return {}

    def _said(self, text: str) -> tuple[bool, bool]:
        found = self._read.get(text)
        if found is None:
            if len(self._read) >= _MOST_READ:
                self._read.clear()
            against = bool(self.excluded) and self.against.search(text) is not None
            there = self.pattern.search(text) is not None and (not self.beside or says(text, self.beside))
            # "Without contrast" has "contrast" in it.
            there = there and not (self.beside and _WITHOUT.search(text))
            found = self._read[text] = there, against
        return found

    def has(self, *concepts: Concept) -> bool:
        """Tell whether any of the concepts belongs to the class."""
        said = [self._said(text) for concept in concepts for text in texts_of(concept)]
        if any(against for _, against in said):
            return False
        return any(there for there, _ in said) or any(self._has_code(concept) for concept in concepts)

    def _has_code(self, concept: Concept) -> bool:
        return any(
            (coding.system == SNOMED and coding.code in self.snomed)
            or (coding.system == RXNORM and coding.code in self.rxnorm)
            or (coding.system in ICD10 and coding.code.startswith(self.icd10))
            for coding in concept.codings
        )


class Vocabulary(Named):
    """All names."""

    measurements: dict[str, Measured]
    findings: dict[str, Worded]
    problems: dict[str, Class]
    procedures: dict[str, Class]
    drugs: dict[str, Class]

    @cached_property
    def by_loinc(self) -> dict[str, str]:
        """The measurement that a LOINC code is of."""
        return {code: name for name, each in self.measurements.items() for code in each.loinc}

    def finding(self, concept: Concept) -> str | None:
        """The finding that a concept is: by its LOINC codes, else by its name."""
        code = concept.code(LOINC)
        for name, each in self.findings.items():
            if code in each.loinc or (each.title and any(says(text, each.title) for text in texts_of(concept))):
                return name
        return None

    def measured(self, concept: Concept) -> str | None:
        """The measurement that a concept is, by its LOINC codes."""
        for coding in concept.codings:
            if coding.system == LOINC and coding.code in self.by_loinc:
                return self.by_loinc[coding.code]
        return None


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """Return the vocabulary that ships with Aris."""
    text = resources.files("aris.tasks").joinpath("monitor", "vocabulary.yaml").read_text(encoding="utf-8")
    return Vocabulary.model_validate(yaml.safe_load(text))


def texts_of(concept: Concept) -> Iterable[str]:
    """Return a concept's text and its codes' names."""
    return (concept.text, *(coding.display for coding in concept.codings if coding.display))


def says(text: str, words: Iterable[str]) -> bool:
    """Tell whether a text has one of the words, at the beginning of a word."""
    return _beginning(tuple(words)).search(text) is not None


@lru_cache(maxsize=256)
def _beginning(words: tuple[str, ...]) -> re.Pattern[str]:
    if not words:
        return re.compile(r"(?!)")
    return re.compile(r"(?<![A-Za-z0-9])(?:" + "|".join(map(_one, words)) + ")", re.IGNORECASE)


def _one(word: str) -> str:
    """The pattern of a word; one that ends with a space is a whole word."""
    return re.escape(word.rstrip()) + ("" if word == word.rstrip() else r"(?![A-Za-z0-9])")
