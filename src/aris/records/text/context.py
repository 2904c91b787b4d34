"""Findings in a text with how the text means them: negated, uncertain, historical, hypothetical, somebody else's.

After ConText (Harkema et al., J Biomed Inform 2009; 42: 839): triggers reach findings before or after them up to the
sentence's end, a stop, or a number of words. What we add: lists end where a comma opens a new statement, a question
with its answer is one statement, headings reach over their sections, and relatives who only tell are not the patient.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from aris.records.text import triggers as table
from aris.records.text.sentences import Span, sentences
from aris.records.text.terms import Found, Terms
from aris.records.text.tokens import Token, is_number, tokens
from aris.records.text.triggers import Group, Kind

Temporality = Literal["recent", "historical", "hypothetical"]
Experiencer = Literal["patient", "other"]
Certainty = Literal["certain", "uncertain"]
_BELONGING_REACH = 12  # words before "in her mother"
_BELONGS = frozenset(("in", "(", "-"))  # before a relative that has what stands before them: "asthma (mother)"
_DETERMINERS = frozenset(("his", "her", "my", "their", "our", "your", "patient's", "pt's", "the", "a", "an"))
_SINGULAR = frozenset(("is", "was", "has"))  # "fever and pneumonia was ruled out" says nothing of the fever
_KEYS_AHEAD = 5  # words in which the next "key:" must come for "Fever: No Cough: Yes"
_HEADING = re.compile(r"[ \t]*(?:\d{1,2}[.)][ \t]*)?([A-Za-z][A-Za-z /&'-]{0,48}?)[ \t]*:")


_NOWHERE = Span(0, 0)


class Cue(NamedTuple):
    """The words that gave a finding a meaning.

    Attributes:
        kind: of meaning: "negated", "uncertain", "historical", "hypothetical" or "other".
        text: as it stands.
        start: of it in the text.
        end: of it in the text.
    """

    kind: Kind
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Mention:
    """A finding in a text, and how the text means it.

    Attributes:
        concept: as the caller named it.
        text: as it stands.
        start: of it in the text, in characters.
        end: of it in the text.
        negated: whether the text denies it.
        temporality: "historical" of what is over or long known, "hypothetical" of what may come.
        experiencer: "other" of what a relative or contact has.
        certainty: "uncertain" of what the text suspects, asks or does not exclude.
        cues: the words that say so; none for a plain statement.
        exact: whether it was spelt as the caller's term.
        sentence: the sentence that it stands in.
    """

    concept: str
    text: str
    start: int
    end: int
    negated: bool = False
    temporality: Temporality = "recent"
    experiencer: Experiencer = "patient"
    certainty: Certainty = "certain"
    cues: tuple[Cue, ...] = ()
    exact: bool = True
    sentence: Span = _NOWHERE

    @property
    def present(self) -> bool:
        """Return whether the text says, surely or not, that the patient has or had it."""
        return not self.negated and self.experiencer == "patient" and self.temporality != "hypothetical"


def find(text: str, terms: Terms, *, patient: Collection[str] = ()) -> list[Mention]:
    """The terms in a text of any length, in order, each with how the text means it.

    Args:
        text: a note, a report, a message; untrusted.
        terms: to look for.
        patient: relatives who are the patient where somebody else writes, as ("son", "baby") for a mother's message.
    """
    found: list[Mention] = []
    section: Cue | None = None
    before = 0
    for span in sentences(text):
        section = _section(text, before, span, section)
        before = span.end
        within = tokens(text, span.start, span.end)
        spans = terms.find(within)
        if spans:
            found += _mentions(text, span, within, spans, section, patient)
    return found


def assess(text: str, spans: Iterable[tuple[int, int]], *, patient: Collection[str] = ()) -> list[Mention]:
    """Assess how a text means the words at given places (from, to, in characters), in the places' order.

    For findings that something else has found. A place that holds no word comes back as a plain statement.
    """
    asked = list(spans)
    wanted = sorted(set(asked))
    found: dict[tuple[int, int], Mention] = {}
    section: Cue | None = None
    before = at = 0
    for span in sentences(text):
        section = _section(text, before, span, section)
        before = span.end
        here = []
        while at < len(wanted) and wanted[at][0] < span.end:
            here.append(wanted[at])
            at += 1
        if not here:
            continue
        within = tokens(text, span.start, max(span.end, *(end for _, end in here)))
        for start, end in here:
            inside = [number for number, token in enumerate(within) if token.start < end and token.end > start]
            if inside:
                target = Found(text[start:end], inside[0], inside[-1] + 1, True)
                [found[start, end]] = _mentions(text, span, within, [target], section, patient)
    plain = {(start, end): Mention(text[start:end], text[start:end], start, end) for start, end in wanted}
    return [found.get(target, plain[target]) for target in asked]


def _section(text: str, before: int, span: Span, now: Cue | None) -> Cue | None:
    """The heading whose meaning reaches a sentence: its own, or that of the section that it stands in."""
    heading = _HEADING.match(text, span.start, span.end)
    name = heading[1].lower() if heading else text[span.start : min(span.end, span.start + 50)].lower()
    if name in table.sections():
        end = heading.end(1) if heading else span.end
        return Cue(table.sections()[name], text[span.start : end], span.start, end)
    if heading and (name in table.headings() or (heading[1].isupper() and len(name) > 3) or heading.end() == span.end):
        return None
    if now and now.kind not in ("other", "historical") and text.count("\n", before, span.start) > 1:
        return None  # a list of denials ends with its paragraph
    return now


@dataclass(frozen=True, slots=True)
class _Trigger:
    """Words at tokens `first` up to `last`, with the groups that they belong to."""

    first: int
    last: int
    groups: tuple[Group, ...]


_RELATIVE_AHEAD = Group("other", "forward", "ConText", ())
_RELATIVE_BEHIND = Group("other", "backward", "ConText", (), reach=_BELONGING_REACH)


def _mentions(
    text: str,
    span: Span,
    within: Sequence[Token],
    spans: Sequence[Found],
    section: Cue | None,
    patient: Collection[str],
) -> list[Mention]:
    found = _triggers(within, spans, patient)
    ahead, behind = _reach_ahead(within, found), _reach_behind(within, found)
    made = []
    for target in spans:
        start, end = within[target.first].start, within[target.last - 1].end
        cues: dict[Kind, Cue] = {}
        for kind in table.MEANINGS:
            trigger = ahead[kind].get(target.first) or behind[kind].get(target.last - 1)
            if kind == "negated" and target.last - 1 in behind["affirmed"]:
                continue  # "never had a headache like this"
            if trigger is not None:
                at, to = within[trigger.first].start, within[trigger.last - 1].end
                cues[kind] = Cue(kind, text[at:to], at, to)
        if section is not None and section.kind not in cues and not section.start <= start < section.end:
            cues[section.kind] = section
        temporality: Temporality = "recent"
        if "hypothetical" in cues:
            temporality = "hypothetical"
        elif "historical" in cues:
            temporality = "historical"
        made.append(
            Mention(
                concept=target.concept, text=text[start:end], start=start, end=end, negated="negated" in cues,
                temporality=temporality, experiencer="other" if "other" in cues else "patient",
                certainty="uncertain" if "uncertain" in cues else "certain", cues=tuple(cues.values()),
                exact=target.exact, sentence=span,
            )
        )  # fmt: skip
    return made


def _triggers(within: Sequence[Token], spans: Sequence[Found], patient: Collection[str]) -> list[_Trigger]:
    """The triggers of a sentence from left to right; none starts inside a finding or another trigger."""
    groups, phrases = table.groups(), table.phrases()
    inside: dict[int, int] = {number: target.last for target in spans for number in range(target.first, target.last)}
    firsts = {target.first for target in spans}
    found: list[_Trigger] = []
    at = 0
    while at < len(within):
        matches = phrases.matches(within, at, len(within))
        while matches and (
            (at in inside and (at not in firsts or matches[-1][0] <= inside[at]))
            or any(number in firsts for number in range(at + 1, matches[-1][0]))  # "denies" of "denies history of"
            or not _answers(within, at, matches[-1][0], [groups[number] for number in matches[-1][1]])
        ):
            matches = matches[:-1]
        if matches:
            last, numbers = matches[-1]
            said = [groups[number] for number in numbers]
            if not any(group.kind == "pseudo" for group in said):
                shorter = [groups[number] for _, fewer in matches[:-1] for number in fewer]
                said += [group for group in shorter if group.kind == "stop"]
            found.append(_Trigger(at, last, tuple(said)))
            at = last
            continue
        if at not in inside:
            relative = _relative(within, at, patient)
            if relative is not None:
                found.append(_Trigger(at, at + 1, (relative,)))
        at += 1
    return found


def _answers(within: Sequence[Token], first: int, last: int, groups: Sequence[Group]) -> bool:
    """Return whether "no" after a colon answers the words before it: "Fever: No", not "Lungs: no rales"."""
    if within[first].word not in (":", "=", "?", "-") or last - first < 2 or groups[0].direction != "backward":
        return True
    if last == len(within) or not within[last].is_word or within[last].word in table.words("subjects"):
        return True
    ahead = within[last : last + _KEYS_AHEAD]
    return any(token.word in (":", "?", "=") for token in ahead)


def _relative(within: Sequence[Token], at: int, patient: Collection[str]) -> Group | None:
    """The reach of a relative: ahead, behind ("in her mother"), or None where it only tells, comes along or cares."""
    word = within[at].word.removesuffix("'s")
    before = at - 1
    owned = before >= 0 and within[before].word in table.words("owners")
    if word in patient or not (word in table.words("relatives") or (word in table.words("with_owner") and owned)):
        return None
    while before >= 0 and within[before].word in _DETERMINERS:
        before -= 1
    after = within[at + 1].word if at + 1 < len(within) else ""
    if after in table.words("tellers") or (before >= 0 and within[before].word in table.words("company")):
        return None
    if before >= 0 and within[before].word in _BELONGS:
        return _RELATIVE_BEHIND
    return _RELATIVE_AHEAD


def _reach_ahead(within: Sequence[Token], found: Sequence[_Trigger]) -> dict[Kind, dict[int, _Trigger]]:
    """For each kind the trigger that reaches a token from before it."""
    covered: dict[Kind, dict[int, _Trigger]] = {kind: {} for kind in table.MEANINGS}
    active: dict[Kind, tuple[_Trigger, int]] = {}
    starts = {trigger.first: trigger for trigger in found}
    opens = _opened_by_commas(within)
    until = 0  # tokens of a trigger are in nobody's reach
    for number, token in enumerate(within):
        trigger = starts.get(number)
        if trigger is not None:
            for group in trigger.groups:
                for kind in group.stops:
                    active.pop(kind, None)
            for group in trigger.groups:
                if group.direction == "forward" and group.kind in covered:
                    active[group.kind] = (trigger, group.reach or len(within))
            until = trigger.last
        if token.word == "," and number in opens:
            active.pop("negated", None)
        if number < until and trigger is None:
            continue
        for kind, (by, left) in list(active.items()):
            if number < by.last:
                continue
            covered[kind][number] = by
            if token.is_word:
                if left <= 1:
                    del active[kind]
                else:
                    active[kind] = (by, left - 1)
    return covered


def _opened_by_commas(within: Sequence[Token]) -> set[int]:
    """The commas after which a new statement stands: a finite verb before the next comma, and no list word first."""
    opens: set[int] = set()
    has_verb = False
    for number in range(len(within) - 1, -1, -1):
        word = within[number].word
        if word == ",":
            first = within[number + 1].word if number + 1 < len(within) else ""
            if has_verb and first not in table.words("list_words"):
                opens.add(number)
            has_verb = False
        elif word in table.words("finite_verbs") or _tells_when(within, number):
            has_verb = True
        elif word == ";":
            has_verb = False
    return opens


def _tells_when(within: Sequence[Token], number: int) -> bool:
    """Return whether words tell since when, how long or how much: "fever of 39", "cough for 3 days"."""
    word = within[number].word
    after = within[number + 1].word if number + 1 < len(within) else ""
    if word == "since" or (word == "all" and after in ("day", "night", "morning", "week")):
        return True
    return word in ("of", "for", "x") and is_number(after)


def _reach_behind(within: Sequence[Token], found: Sequence[_Trigger]) -> dict[Kind, dict[int, _Trigger]]:
    """For each kind the trigger that reaches a token from behind it."""
    covered: dict[Kind, dict[int, _Trigger]] = {kind: {} for kind in (*table.MEANINGS, "affirmed")}
    active: dict[Kind, tuple[_Trigger, int, bool]] = {}
    ends = {trigger.last - 1: trigger for trigger in found}
    for number in range(len(within) - 1, -1, -1):
        token = within[number]
        trigger = ends.get(number)
        if trigger is not None:
            for group in trigger.groups:
                for kind in group.stops:
                    active.pop(kind, None)
            for group in trigger.groups:
                if group.direction == "backward" and group.kind in covered:
                    one = within[trigger.first].word in _SINGULAR
                    if group.kind == "negated":
                        active.pop("affirmed", None)
                    active[group.kind] = (trigger, group.reach or len(within), one)
        for kind, (by, left, one) in list(active.items()):
            if number >= by.first:
                continue
            if token.word in (":", "?") or (one and token.word in (",", "and")):
                del active[kind]
                continue
            covered[kind][number] = by
            if token.is_word:
                if left <= 1:
                    del active[kind]
                else:
                    active[kind] = (by, left - 1, one)
    return covered
