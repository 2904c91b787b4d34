"""Drugs and allergies that are of one substance or of one class (`substances.yaml`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

import yaml

from aris.records import Concept
from aris.records.types import RXNORM
from aris.tasks.monitor.vocabulary import says, texts_of

_WORD = re.compile(r"[A-Za-z]{5,}")
# Words of drugs' and allergies' names that are no substance.
_NO_SUBSTANCE = frozenset((
    "allergy", "allergic", "allergen", "substance", "product", "products", "containing", "intolerance", "reaction",
    "adverse", "sensitivity", "hypersensitivity", "tablet", "tablets", "capsule", "capsules", "solution",
    "injection", "injectable", "suspension", "extended", "release", "delayed", "hydrochloride", "sodium",
    "potassium", "calcium", "sulfate", "phosphate", "acetate", "chloride", "maleate", "tartrate", "succinate",
    "citrate", "besylate", "mesylate", "prefilled", "syringe", "inhaler", "inhalation", "topical", "cream",
    "ointment", "ophthalmic", "powder", "liquid", "chewable", "disintegrating", "medication", "medicine", "actuat",
    "metered", "sugar"
))  # fmt: skip


def conflicts(drugs: Sequence[Concept], allergy: Concept) -> str:
    """Say why a drug conflicts with an allergy; "" where it does not, as far as names and codes tell.

    Args:
        drugs: the drug's concept, and its ingredients.
        allergy: the allergy's concept.
    """
    codes = {(RXNORM, coding.code) for coding in allergy.codings if coding.system == RXNORM}
    if any((coding.system, coding.code) in codes for drug in drugs for coding in drug.codings):
        return "the same substance"
    drug_texts = [text for drug in drugs for text in texts_of(drug)]
    allergy_texts = list(texts_of(allergy))
    if any(_words(text) & _words(other) for text in allergy_texts for other in drug_texts):
        return "the same substance"
    wanted = {name for text in allergy_texts for name in _of_allergy(text)}
    for name in classes() if wanted else ():
        if name in wanted and any(name in _of_drug(text) for text in drug_texts):
            return f"of one class: {name}"
    return ""


def is_of(allergy: Concept, name: str) -> bool:
    """Tell whether an allergy is to a class."""
    return any(name in _of_allergy(text) for text in texts_of(allergy))


@lru_cache(maxsize=4096)
def _of_allergy(text: str) -> frozenset[str]:
    """The classes that an allergy is to: who is allergic to one drug of a class is so to the class."""
    return frozenset(n for n, each in classes().items() if says(text, (*each["allergy"], *each["drugs"])))


@lru_cache(maxsize=4096)
def _of_drug(text: str) -> frozenset[str]:
    return frozenset(name for name, each in classes().items() if says(text, each["drugs"]))


@lru_cache(maxsize=1)
def classes() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the classes: words of allergies and of drugs."""
    text = resources.files("aris.tasks").joinpath("monitor", "substances.yaml").read_text(encoding="utf-8")
    return {name: {key: tuple(words) for key, words in each.items()} for name, each in yaml.safe_load(text).items()}


@lru_cache(maxsize=4096)
def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(text)) - _NO_SUBSTANCE
