"""Checks by clinical scores: NEWS2, qSOFA, SIRS, the shock index, and KDIGO's stages of kidney injury."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from aris.records.scores import Creatinine, Score, UrineSpan, bedside_schwartz, kdigo, news2, qsofa, shock_index, sirs
from aris.tasks.monitor.checks.measured import title_of
from aris.tasks.monitor.checks.outcome import Found, Lacking, Outcome, ago, clean, evidence_in, evidence_of
from aris.tasks.monitor.facts import Value, View, Word
from aris.tasks.monitor.results import Evidence, rank
from aris.tasks.monitor.rule import Scored
from aris.tasks.monitor.vocabulary import says

# How long ago a weight or a height still is the patient's own.
_BODY = timedelta(days=30)
_YEAR = timedelta(days=366)
_DAY = timedelta(days=1)
_LONGEST_URINE_GAP = timedelta(hours=6)
# "Target 88-92%", and not "above 92%, call below 88%" or "94-98%, not 88-92%".
_TARGET = re.compile(
    r"(?<!not )(?<!no )(?<!never )(?<!avoid )(?<!than )"
    r"\b88 ?%? ?(?:-|\u2010|\u2011|\u2013|\u2014|to|and) ?92\b", re.IGNORECASE,
)  # fmt: skip
# "Alert, no confusion" is alert; "no longer alert" and "not fully oriented" are not. A comma or an "and" ends what is
# denied: "not sedated, confused" is confused.
_DENIED = re.compile(
    r"\b(?:no|not|nil|without|denies|never|absent|free of)\s+"
    r"(?:(?:any|new|acute|evidence|signs?|of|is|in|a|longer)\s+){0,3}"
    r"(?:confus|drows|letharg|deliri|disorient|somnolen|sedat|coma|stupor|obtund|unconscious|unresponsive)\w*"
    r"(?:\s*(?:/|\bn?or\b)\s*(?:confus|drows|letharg|deliri|disorient|somnolen|sedat|coma|stupor|obtund)\w*)*"
    r"|\b(?:no|nil|denies|without|not in)\s+(?:any\s+|acute\s+)?pain\b",
    re.IGNORECASE,
)  # fmt: skip
_NOT_ALERT = re.compile(
    r"\b(?:no longer|not|never|less|barely|hardly|isn't|neither)\s+(?:\w+\s+){0,2}?"
    r"(?:alert|awake|oriented|conscious|rousable|arousable|responsive|responding)\b|\bun(?:rousable|arousable)\b",
    re.IGNORECASE,
)  # fmt: skip


class Vitals:
    """The newest vital signs within a span, and the resources that they come from."""

    def __init__(self, view: View, within: timedelta) -> None:
        self._view = view
        self._within = within
        self.used: dict[str, Evidence] = {}
        self.doubtful: list[str] = []

    def value(self, name: str) -> float | None:
        """A quantity's newest value, or None."""
        found = self._view.latest(name, self._within)
        doubtful = self._view.doubtful(name, self._within)
        if doubtful is not None:
            title = title_of(name, self._view)
            self.doubtful.append(f"{title} {clean(doubtful.shown)} at {ago(doubtful.at)} is implausible")
        return None if found is None else self._take(found)

    def oxygen(self) -> bool | None:
        """Tell whether oxygen is given, by flow, fraction or device; None where the record does not say."""
        words = self._view.facts.vocabulary.findings["oxygen"]
        flow, fraction = (self._view.latest(name, self._within) for name in ("oxygen_flow", "fio2"))
        device = self._view.word("oxygen", self._within)
        known: list[tuple[datetime, bool, Value | Word]] = []
        if flow is not None:
            known.append((flow.at, flow.value > 0, flow))
        if fraction is not None:
            known.append((fraction.at, fraction.value > 21.5, fraction))
        if device is not None:
            # "Room air" alone says none; "room air, then nasal cannula" says both, and oxygen counts.
            given = says(device.text.lower().replace("no oxygen", ""), words.given)
            if given or says(device.text, words.none):
                known.append((device.at, given, device))
        if not known:
            return None
        newest = max(at for at, _, _ in known)
        for at, given, source in sorted(known, key=lambda each: -each[1]):
            if newest - at <= timedelta(hours=1):
                self._take(source)
                return given
        return None

    def alert(self) -> bool | None:
        """Tell whether the patient is alert: by ACVPU, else by the Glasgow coma scale; None where nobody says."""
        word = self._view.word("consciousness", self._within)
        gcs = self.gcs(take=False)
        if word is not None and (gcs is None or word.at >= gcs[0]):
            words = self._view.facts.vocabulary.findings["consciousness"]
            said = _DENIED.sub(" ", word.text)
            letter = word.text.strip().upper()
            if _NOT_ALERT.search(said) or says(said, words.not_alert) or letter in ("C", "V", "P", "U"):
                self._take(word)
                return False
            if says(said, words.alert) or letter == "A":
                self._take(word)
                return True
        if gcs is None:
            return None
        self.gcs()
        return gcs[1] >= 15

    def gcs(self, *, take: bool = True) -> tuple[datetime, float] | None:
        """The Glasgow coma scale: its sum, or its three parts of one moment."""
        total = self._view.latest("gcs", self._within)
        parts = [self._view.latest(f"gcs_{name}", self._within) for name in ("eye", "verbal", "motor")]
        known = [each for each in parts if each is not None]
        whole = len(known) == 3 and max(v.at for v in known) - min(v.at for v in known) <= timedelta(hours=1)
        if total is not None and (not whole or total.at >= max(v.at for v in known)):
            if take:
                self._take(total)
            return total.at, total.value
        if not whole:
            return None
        if take:
            for each in known:
                self._take(each)
        return max(v.at for v in known), sum(v.value for v in known)

    def _take(self, found: Value | Word) -> float:
        if isinstance(found, Value):
            title = title_of(found.name, self._view)
            self.used[f"{found.id} {found.name}"] = evidence_of(found, title)
            return found.value
        self.used[f"{found.id} word"] = Evidence(id=found.id, name="finding", shown=clean(found.text), at=found.at)
        return 0.0


def scored(view: View, check: Scored) -> Outcome:
    """Compute a score from the newest values, and judge it."""
    if check.with_infection and not view.problems("infection"):
        return Lacking("missing", "no infection is documented; the score is not looked at")
    if check.score == "KDIGO":
        return _kidney(view, check)
    vitals = Vitals(view, check.look_back)
    score = _SCORES[check.score](view, vitals)
    if score.value is None:
        outside = "applies" in score.reason or "below" in score.reason or "pregnancy" in score.reason
        return Lacking("outside" if outside else "missing", score.reason)
    severity = max((each.severity for each in check.levels if score.value >= each.at_least), key=rank, default=None)
    reds = [name for name, given in score.parts.items() if given == 3]
    if check.red is not None and reds and (severity is None or rank(severity) < rank(check.red)):
        severity = check.red
    if severity is None:
        if vitals.doubtful:
            return Lacking("unread", f"{'; '.join(vitals.doubtful)}; check the patient and it")
        if score.missing and score.value + _LEFT[check.score] * len(score.missing) >= check.levels[0].at_least:
            return Lacking(
                "missing", f"{score.name} is at least {score.value:g}; not documented: {', '.join(score.missing)}"
            )
        return None
    given = ", ".join(f"{name} {value:g}" for name, value in score.parts.items() if value)
    shown = f"{score.value:.2f}" if check.score == "shock index" else f"{score.value:g}"
    least = "at least " if score.is_lower_bound else ""
    text = f"{score.name} {least}{shown}" + (f" ({given})" if given else "")
    notes: tuple[str, ...] = (score.note,) if score.note and check.score != "NEWS2" else ()
    notes += tuple(f"{each}; an older value was judged, or none" for each in vitals.doubtful)
    if check.score == "NEWS2":
        text += f", clinical risk {score.note}"
    used = tuple(vitals.used.values())
    since = max(each.at for each in used if each.at is not None)
    return Found(severity, f"{text} at {ago(since)}", since, used, score.missing, notes)


def _news2(view: View, vitals: Vitals) -> Score:
    return news2(
        respiratory_rate=vitals.value("respiratory_rate"), spo2=vitals.value("spo2"),
        supplemental_oxygen=vitals.oxygen(), systolic=vitals.value("systolic"), pulse=vitals.value("pulse"),
        alert=vitals.alert(), temperature=vitals.value("temperature"), age=view.age, pregnant=view.pregnant,
        scale_2=_scale_2(view),
    )  # fmt: skip


def _scale_2(view: View) -> bool:
    """Tell whether a target saturation of 88-92% is prescribed: an order that stands says so. It is never inferred."""
    standing = [
        each for each in view.orders
        if each.status in ("active", "in-progress", "accepted") and not each.forbidden
        and each.intent not in ("proposal", "plan", "option") and (each.end is None or each.end.end >= view.now)
    ]  # fmt: skip
    texts = [text for order in standing for text in (order.concept.text, *order.notes)]
    return any(_TARGET.search(text) and says(text, ("spo2", "saturation", "oxygen", "o2", "sats")) for text in texts)


def _qsofa(view: View, vitals: Vitals) -> Score:
    return qsofa(
        respiratory_rate=vitals.value("respiratory_rate"), systolic=vitals.value("systolic"), alert=vitals.alert(),
        age=view.age,
    )  # fmt: skip


def _sirs(view: View, vitals: Vitals) -> Score:
    laboratory = Vitals(view, _DAY)
    laboratory.used = vitals.used
    return sirs(
        temperature=vitals.value("temperature"), pulse=vitals.value("pulse"),
        respiratory_rate=vitals.value("respiratory_rate"), pco2=laboratory.value("pco2"),
        leukocytes=laboratory.value("leukocytes"), bands=laboratory.value("bands"), age=view.age,
    )  # fmt: skip


def _shock_index(view: View, vitals: Vitals) -> Score:
    return shock_index(pulse=vitals.value("pulse"), systolic=vitals.value("systolic"), age=view.age)


_SCORES = {"NEWS2": _news2, "qSOFA": _qsofa, "SIRS": _sirs, "shock index": _shock_index}
# The most that a missing parameter can give.
_LEFT = {"NEWS2": 3, "qSOFA": 1, "SIRS": 1, "shock index": 0}


def _kidney(view: View, check: Scored) -> Outcome:
    creatinines = [
        Creatinine(each.at, each.value, "mg/dL", each.id)
        for each in view.values("creatinine", _YEAR) if not each.comparator
    ]  # fmt: skip
    weight = view.latest("weight", _BODY)
    replacement = view.acute_replacement
    egfr = None
    if view.age is not None and view.age < 18 and creatinines:
        height = view.latest("height", timedelta(days=180))
        egfr = bedside_schwartz(
            creatinines[-1].value, unit="mg/dL", height_cm=None if height is None else height.value, age=view.age
        ).value
    injury = kdigo(
        creatinines, view.now, urine=_urine(view), weight_kg=None if weight is None else weight.value,
        kidney_replacement=bool(replacement), chronic_dialysis=view.chronic_dialysis, age=view.age, egfr=egfr,
    )  # fmt: skip
    score = injury.score
    if score.value is None:
        return Lacking("outside" if "dialysis" in score.reason else "missing", score.reason)
    severity = max((each.severity for each in check.levels if score.value >= each.at_least), key=rank, default=None)
    if severity is None:
        return None
    wanted = set(injury.resources)
    used = {
        value.id: evidence_of(value, title_of(name, view))
        for name in ("creatinine", "urine", "urine_day") for value in view.values(name, _YEAR) if value.id in wanted
    }  # fmt: skip
    evidence = (*used.values(), *(evidence_in(each, "procedure") for each in replacement[:1]))
    notes = ("the baseline is presumed: the median of 8 to 365 days before",) if injury.presumed_baseline else ()
    since = max(each.at for each in evidence if each.at is not None)
    text = f"acute kidney injury, KDIGO stage {score.value:g}: {'; '.join(injury.because)}"
    return Found(severity, f"{text} at {ago(since)}", since, evidence, score.missing, notes, grade=score.value)


def _urine(view: View) -> list[UrineSpan]:
    """Collections of the last days; one without a beginning is of the time since the one before."""
    found: list[UrineSpan] = []
    before: datetime | None = None
    hourly = view.values("urine", timedelta(hours=36))
    if not hourly:  # a day's sum beside its hours would count them twice
        daily = view.values("urine_day", timedelta(hours=36))
        return [UrineSpan(each.start or each.at - _DAY, each.at, each.value, each.id) for each in daily]
    for each in hourly:
        start = each.start
        if start is None and before is not None and timedelta(0) < each.at - before <= _LONGEST_URINE_GAP:
            start = before
        if start is not None:
            found.append(UrineSpan(start, each.at, each.value, each.id))
        elif before == each.at and found:  # two collections at one time, as from two catheters
            last = found[-1]
            found[-1] = UrineSpan(last.start, last.end, last.ml + each.value, last.id)
        before = each.at
    return found
