"""Short names by which text calls what a record names at length: "simvastatin" for "Simvastatin 20 MG Oral Tablet"."""

from __future__ import annotations

import re

# The parts of a drug's name that say how it is made up, not which it is.
_FORM = re.compile(
    r"\b(?:\d[\d.,]*\s*(?:mg|ml|mcg|g|hr|unt|meq|actuat|day|%|iu)?(?:/(?:actuat|ml|hr|mg|day))?|oral|tablet|capsule"
    r"|pack|solution|suspension|injection|injectable|prefilled|syringe|inhaler|inhalant|dry powder|metered dose|mucosal"
    r"|spray|nasal|topical|cream|ointment|patch|transdermal|system|extended|release|delayed|chewable|disintegrating"
    r"|auto-injector|cartridge|pen|rectal|vaginal|ophthalmic|otic|drops|gel|powder|hour|hr|24hr|12hr|per"
    r"|abuse-deterrent|reclosable|unt|mg|ml|mcg|actuat)\b",
    re.IGNORECASE,
)
_SALT = re.compile(
    r"\b(?:hydrochloride|hydrocholoride|hydrobromide|sodium|potassium|sulfate|sulphate|succinate|tartrate|maleate"
    r"|besylate|mesylate|acetate|phosphate|citrate|calcium|propionate|fumarate|bitartrate|anhydrous|monohydrate"
    r"|dihydrate|disodium|nitrate|gluconate|furoate)\b",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\[([^\]]{2,60})\]|\{[^}]{0,60}\}")
_TAIL = re.compile(
    r"\s*\((?:disorder|finding|situation|procedure|event|morphologic abnormality|qualifier value|substance"
    r"|regime/therapy|product|observable entity|person|body structure)\)\s*\Z",
    re.IGNORECASE,
)
_TEST_TAIL = re.compile(
    r"(?:\s*\[[^\]]{1,60}\])?\s+(?:in|of|by|-)\s+(?:serum|blood|plasma|urine|arterial|capillary|venous|body fluid"
    r"|specimen|automated|stool|cerebral|pulse|nares)\b.*\Z",
    re.IGNORECASE,
)
_ALLERGY = re.compile(
    r"\b(?:allergy to|allergic to|allergy|intolerance(?: to)?|hypersensitivity(?: to)?)\b", re.IGNORECASE
)
_SHORTEST = 3


def drug_names(name: str) -> tuple[str, ...]:
    """The ingredients and brands in a drug's full name."""
    brands = [match[1] for match in _BRACKETS.finditer(name) if match[1]]
    bare = _BRACKETS.sub(" ", name)
    found = []
    for part in re.split(r"\s/\s", bare):
        with_salt = _tidy(_FORM.sub(" ", part))
        found += [with_salt, _tidy(_SALT.sub(" ", with_salt))]
    return _kept(name, [*found, *brands])


def problem_names(name: str) -> tuple[str, ...]:
    """A diagnosis without its class, and what stands in front of an explanation."""
    bare = _TAIL.sub("", name)
    found = [bare, re.sub(r"\s*\([^)]{0,80}\)", "", bare)]
    found += (
        [part for part in re.split(r"\s+-\s+", bare) if len(part.split()) <= 4 and not re.search(r"\d", part)]
        if " - " in bare
        else []
    )
    return _kept(name, found)


def test_names(name: str) -> tuple[str, ...]:
    """A test without its specimen, property and method."""
    bare = _TEST_TAIL.sub("", name)
    bare = re.sub(r"\s*\[[^\]]{1,60}\]", "", bare)
    return _kept(name, [bare, *(bare.split("/")[:1] if "/" in bare else [])])


test_names.__test__ = False  # type: ignore[attr-defined]  # no test of pytest


def allergy_names(name: str) -> tuple[str, ...]:
    """The substance of an allergy's name."""
    bare = _tidy(_ALLERGY.sub(" ", _TAIL.sub("", name)))
    return _kept(name, [_TAIL.sub("", name), bare, *drug_names(bare)])


def _tidy(name: str) -> str:
    return " ".join(re.sub(r"[,;/]+\s*\Z", "", name.strip()).split())


def _kept(full: str, names: list[str]) -> tuple[str, ...]:
    tidy = (_tidy(name) for name in names)
    return tuple(dict.fromkeys(name for name in tidy if len(name) >= _SHORTEST and name.lower() != full.lower()))
