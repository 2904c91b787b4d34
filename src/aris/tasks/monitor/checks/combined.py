"""Checks across sources: results with drugs or plans, drugs with each other, and drugs against allergies."""

from __future__ import annotations

import hashlib

from aris.records import Allergy, Medication, Order, Procedure
from aris.records.scores import Point, largest_change
from aris.tasks.monitor.checks.measured import missing, title_of
from aris.tasks.monitor.checks.outcome import Found, Lacking, Outcome, clean, evidence_in, evidence_of, passes
from aris.tasks.monitor.facts import View
from aris.tasks.monitor.results import Evidence
from aris.tasks.monitor.rule import DrugAllergy, DrugPair, Together
from aris.tasks.monitor.substances import conflicts, is_of


def together(view: View, check: Together) -> Outcome:
    """Judge whether a result or a fall stands beside a drug or a plan."""
    actions = [evidence_in(each, "drug") for name in check.drugs for each in view.drugs(name)]
    actions += [evidence_in(each, "plan") for name in check.planned for each in view.planned(name)]
    if not actions:
        return None
    reasons: list[tuple[str, list[Evidence]]] = []
    lacking: list[Lacking] = []
    for result in check.results:
        newest = view.latest(result.of, result.look_back)
        if newest is None:
            lacking.append(missing(view, result.of, result.look_back))
        elif passes(newest, result):
            title = title_of(result.of, view)
            reasons.append((f"{title} {clean(newest.shown)}", [evidence_of(newest, title)]))
    for falling in check.falling:
        values = {each.id: each for each in view.values(falling.of, falling.within) if not each.comparator}
        points = [Point(each.at, each.value, each.id) for each in values.values()]
        delta = largest_change(points, view.now, falling.within, "fall")
        if not points:
            lacking.append(missing(view, falling.of, falling.within))
        elif (
            delta is not None and delta.percent is not None and -delta.percent >= falling.percent
            and (falling.reaching is None or passes(values[delta.after.id], falling.reaching))
        ):  # fmt: skip
            title = title_of(falling.of, view)
            reasons.append(
                (
                    f"{title} fell by {-delta.percent:.0f}%, to {clean(values[delta.after.id].shown)}",
                    [evidence_of(values[each.id], title) for each in (delta.before, delta.after)],
                )
            )
    if not reasons:
        known = len(check.results) + len(check.falling) - len(lacking)
        return lacking[0] if lacking and not known else None
    words = " and ".join(text for text, _ in reasons)
    done = ", ".join(dict.fromkeys(each.shown for each in actions))
    evidence = [each for _, found in reasons for each in found]
    since = max(each.at for each in evidence if each.at is not None)
    started = [each.at for each in actions if each.at is not None and each.at <= view.now]
    if started:
        since = max(since, min(started))
    return Found(check.severity, f"{words}, with {clean(done)}", since, (*evidence, *actions))


def drug_pair(view: View, check: DrugPair) -> Outcome:
    """Judge whether drugs of two classes are in use together."""
    first, second = view.drugs(check.first), view.drugs(check.second)
    if not first or not second:
        return None
    evidence = tuple(evidence_in(each, "drug") for each in (*first, *second))
    times = [min((e.at for e in evidence if e.at is not None and e.id in {d.id for d in drugs}), default=view.now)
             for drugs in (first, second)]  # fmt: skip
    words = " with ".join(clean(each[0].concept.text) for each in (first, second))
    return Found(check.severity, words, max(times), evidence)


def drug_allergy(view: View, check: DrugAllergy) -> Outcome:
    """Judge drugs in use, and what planned procedures bring with them, against documented allergies."""
    allergies = view.allergies
    hits: list[tuple[Medication | Order | Procedure, Allergy, str]] = []
    for drug in view.current_drugs:
        for allergy in allergies:
            why = conflicts((drug.concept, *drug.ingredients), allergy.concept)
            if why:
                hits.append((drug, allergy, why))
    for name, substance in check.planned.items():
        against = [each for each in allergies if is_of(each.concept, substance)]
        hits += [(plan, each, f"{substance} is given with it") for plan in view.planned(name) for each in against]
    if not hits:
        return (
            None
            if view.allergies_documented or not view.current_drugs
            else Lacking("missing", "neither allergies nor their absence are documented")
        )
    high = any(
        allergy.criticality == "high" or (allergy.criticality != "low" and allergy.type != "intolerance")
        for _, allergy, _ in hits
    )
    words = "; ".join(
        f"{clean(drug.concept.text)}, with an allergy to {clean(allergy.concept.text)} on record ({why})"
        for drug, allergy, why in hits
    )
    evidence: dict[str, Evidence] = {}
    for given, allergy, _ in hits:
        evidence[given.id] = evidence_in(given, "drug" if isinstance(given, Medication) else "plan")
        evidence[allergy.id] = evidence_in(allergy, "allergy")
    starts = [e.at for e in evidence.values() if e.at is not None]
    # A renewed order of the same drug is nothing new.
    aspects = frozenset(f"{clean(drug.concept.text).lower()}|{allergy.id}" for drug, allergy, _ in hits)
    return Found(
        check.severity if high else check.low, words, max(starts, default=view.now), tuple(evidence.values()),
        aspects=frozenset(hashlib.sha256(each.encode()).hexdigest()[:16] for each in aspects),
    )  # fmt: skip
