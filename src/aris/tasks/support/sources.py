"""The facts that a thing named in a statement may rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aris.records.text import Mention
from aris.tasks.support.facts import Evidence, Fact, key_of

# A name that stands in a longer one of the same kind means the same, unless the longer one has one of these words.
_OTHER_THING = frozenset(
    ("pulmonary", "portal", "insipidus", "gestational", "intracranial", "ocular", "risk", "screening", "suspected",
     "family", "history", "no", "without")
)  # fmt: skip
_KINDS = {
    "problem": ("problem", "family"), "drug": ("medication", "allergy", "immunization"), "test": ("measurement",),
    "allergy": ("allergy",), "procedure": ("procedure",),
}  # fmt: skip


@dataclass(frozen=True)
class Basis:
    """A fact that a named thing may rest on.

    Attributes:
        fact: of a cited source.
        said: how the fact's own text means the thing, where it only stands in that text; else None.
    """

    fact: Fact
    said: Mention | None = None


def bases(mention: Mention, cited: Sequence[Fact], evidence: Evidence) -> list[Basis]:
    """The cited facts that name a thing, or whose text speaks of it; those of its own name first."""
    key = mention.concept
    named = [id(fact) for fact in evidence.named.get(key, ())]
    found = [Basis(fact) for fact in cited if id(fact) in named]
    if not found:
        words = set(key.split())
        kinds = _KINDS.get(evidence.kind(key), ())
        for fact in cited:
            if fact.kind not in kinds:
                continue
            for name in (fact.name, *fact.aliases):
                has = set(key_of(name).split())
                if words < has and not (has - words) & _OTHER_THING:
                    found.append(Basis(fact))
                    break
    for fact in cited:
        if fact.text:
            same = {key, *(key_of(name) for each in evidence.named.get(key, ()) for name in (each.name, *each.aliases))}
            found += [Basis(fact, said) for said in evidence.mentions(fact) if said.concept in same]
    return found
