"""The check itself: everything that a statement says, held against the sources that it cites."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

from aris.records.text import Mention, singular
from aris.tasks.support.amounts import age_reason, date_reason, number_reason
from aris.tasks.support.directions import direction_reason, range_reason
from aris.tasks.support.facts import About, Evidence, Fact, key_of
from aris.tasks.support.lexicon import kind_of, plain_words
from aris.tasks.support.quantities import Date, Number
from aris.tasks.support.relations import frequencies, latest_reason, often_reasons, relation_reasons
from aris.tasks.support.sources import bases
from aris.tasks.support.statement import CueHit, Statement, read
from aris.tasks.support.states import best, state_reasons
from aris.tasks.support.verdicts import Reason, Verdict, verdict
from aris.tasks.support.wording import stem, wording_reasons

_ABSENT = re.compile(
    r"\b(?:not (?:documented|recorded|on record|stated|found in the record)|no (?:record|documentation|entry|data)"
    r"(?: (?:of|for|on))?|no (?:[\w-]+,? ){1,6}(?:is|are|was|were) (?:documented|recorded|on record)"
    r"|none (?:documented|recorded|on record)|(?:is|are) missing from the record|undocumented)\b",
    re.IGNORECASE,
)
# What is said to be missing of a part of the record only, which this check cannot tell from the rest.
_LIMITED = re.compile(r"\b(?:pending|of the stay|open|abnormal|since|during|recent|further|new|other)\b", re.IGNORECASE)
_BARE = frozenset(("is", "are", "was", "were", "allergy", "allergies"))  # they state nothing beside a missing thing
_DEAD = frozenset(("died", "dead", "death", "deceased", "dies"))
# Advice and orders: "Start simvastatin." is no fact of a record, whatever the record has of simvastatin.
_ADVICE = re.compile(
    r"(?:\A|[.;:\u2022]\s+)(?:please )?(?P<verb>start|begin|initiate|give|administer|prescribe|resume|restart|add"
    r"|increase|decrease|reduce|stop|hold|discontinue|continue|take|withhold)\b(?! (?:of|date|dates)\b| ?:)",
    re.IGNORECASE,
)
_NOW = re.compile(r"\b(?:current|active|ongoing)\b", re.IGNORECASE)
_KINDS = {
    "allerg": ("allergy",), "medic": ("medication",), "drug": ("medication",), "problem": ("problem",),
    "condition": ("problem",), "diagnos": ("problem",), "immuni": ("immunization",), "vaccin": ("immunization",),
    "procedure": ("procedure",), "result": ("measurement",), "family": ("family",), "note": ("text",),
}  # fmt: skip
_FEMALE = frozenset(("she", "female", "woman", "girl", "mrs", "ms", "lady"))
_MALE = frozenset(("he", "male", "man", "boy", "mr", "gentleman"))
_TITLES = frozenset(("mr", "mrs", "ms", "patient", "named", "name"))
_RELATIVES = frozenset(("mother", "father", "brother", "sister", "wife", "husband", "son", "daughter", "family"))
_CITATION = re.compile(r"\[[^\[\]\n]{0,300}\]")
_MOST = 100  # numbers, dates and names of a statement
_AROUND = 40
_BORN = re.compile(r"\b(?:born|birth|dob)\W+(?:\w+\W+){0,2}\Z", re.IGNORECASE)
_DIED = re.compile(r"\b(?:died|death|deceased)\W+(?:\w+\W+){0,2}\Z", re.IGNORECASE)
_NAME_BEFORE = re.compile(
    r"\b(?:takes?|taking|took|on|started|stopped|discontinued|prescribed|receiv(?:es|ed|ing)|continues?|uses?|using|given"
    r"|medications?|drugs?|diagnosed with|has|had|underwent|problems?)(?: the| a| an| her| his)?[: ]+\Z",
    re.IGNORECASE,
)
_NAME_AFTER = re.compile(
    r"(?: \S{1,20})? ?(?:\d[\d.,]* ?(?:mg|mcg|g|ml|units?|iu)\b|(?:was|were|is|has been|,) "
    r"(?:stopped|discontinued|started|prescribed|given|active|ongoing|resolved|diagnosed|done|performed))",
    re.IGNORECASE,
)
_LONGEST = 4000  # characters of a statement; a longer one is not a statement


def check(text: str, cited: Iterable[str], evidence: Evidence, *, now: datetime | None = None) -> Verdict:
    """Hold one statement against the sources that it cites.

    Every drug, problem, test and procedure that it names, every number with its unit, date, length of time and age,
    what it says of state, denial and direction, and every other word of content must be held by a cited source. What
    the check cannot hold against anything is told as "not checkable", and never passed.

    Args:
        text: a sentence or list item; citations in square brackets that name a source are left out of it.
        cited: the ids of the sources that it rests on.
        evidence: all sources.
        now: the moment of writing, for "for 3 years" and ages; without it only the record's own times count.
    """
    cited = list(dict.fromkeys(cited))
    text = _CITATION.sub(lambda match: " " * len(match[0]) if _cites(match[0], cited) else match[0], text)
    if len(text) > _LONGEST:
        too_long = Reason(
            "not checkable", "word", "", 0, 0, "it is too long for one statement: cite sentence by sentence"
        )
        return verdict([too_long], 0)
    statement = read(text, evidence)
    if len(statement.numbers) + len(statement.dates) + len(statement.mentions) > _MOST:
        too_many = Reason("not checkable", "word", "", 0, 0, "it says too much for one statement")
        return verdict([too_many], 0)
    if missing := _ABSENT.search(text):
        return _absent(statement, missing.span(), evidence)
    reasons, facts = _sources(cited, evidence)
    checked = 0
    supported: dict[int, list[Fact]] = {}
    for mention in statement.mentions:
        found, fitting = _named(statement, mention, facts, evidence)
        reasons += found
        supported[mention.start] = fitting
        checked += 1
    checked += _amounts(statement, supported, facts, evidence, now, reasons)
    checked += _directions(statement, supported, facts, reasons)
    reasons += [*relation_reasons(statement, facts), *often_reasons(statement, supported)]
    for mention in statement.mentions:
        if stale := latest_reason(statement, mention, supported[mention.start], evidence):
            reasons.append(stale)
    checked += _person(statement, evidence.about, reasons)
    reasons += [*_life(statement, facts, evidence.about), *_relation(statement, facts), *_advice(statement, facts)]
    worded, count = wording_reasons(text, facts, bool(statement.mentions))
    checked += count
    reasons += [*_words(statement, facts, evidence), *worded]
    return verdict(reasons, checked)


def check_all(
    statements: Iterable[tuple[str, Sequence[str]]], evidence: Evidence, *, now: datetime | None = None
) -> list[Verdict]:
    """A verdict for each statement with the ids that it cites, in their order."""
    return [check(text, cited, evidence, now=now) for text, cited in statements]


def _cites(bracketed: str, cited: Sequence[str]) -> bool:
    return any(id and id in bracketed for id in cited) or bool(re.fullmatch(r"\[[\d, \u2013-]{1,40}\]", bracketed))


def _sources(cited: Sequence[str], evidence: Evidence) -> tuple[list[Reason], list[Fact]]:
    reasons: list[Reason] = []
    facts: list[Fact] = []
    for id in cited:
        if id in evidence.facts:
            facts += evidence.facts[id]
        elif id in evidence.excluded:
            why = evidence.excluded[id][0]
            reasons.append(Reason("contradicted", "source", "", 0, 0, f"{id} must not be used: {why}"))
        else:
            reasons.append(Reason("unsupported", "source", "", 0, 0, "it cites a source that is not in this record"))
    if not cited:
        reasons.append(Reason("unsupported", "source", "", 0, 0, "it cites nothing"))
    return reasons, facts


def _named(
    statement: Statement, mention: Mention, facts: Sequence[Fact], evidence: Evidence
) -> tuple[list[Reason], list[Fact]]:
    """Return why a named thing is not as a cited source says, and the facts that it rests on."""
    found = bases(mention, facts, evidence)
    if found:
        reasons = [state_reasons(statement, mention, basis) for basis in found]
        fitting = [basis.fact for basis, each in zip(found, reasons, strict=True) if not each]
        return best(reasons), fitting or [basis.fact for basis in found]
    kind = evidence.kind(mention.concept)
    if kind == "name" and _said_in_full(mention.text, facts):
        return [], list(facts)
    if mention.negated:
        message = "no cited source says that it is absent"
    elif mention.concept in evidence.named:
        message = "it is in the record, but not in what is cited"
    elif any(mention.text.lower() in fact.name.lower() for _, each in evidence.excluded.values() for fact in each):
        message = "it is only in what was left out of the record (entered in error or superseded)"
    else:
        message = "no cited source names it"
    reason = Reason(
        "unsupported", kind if kind in ("drug", "problem", "test", "allergy") else "name",  # type: ignore[arg-type]
        mention.text, mention.start, mention.end, f'"{mention.text}": {message}',
    )  # fmt: skip
    return [reason], []


def _said_in_full(text: str, facts: Sequence[Fact]) -> bool:
    low = text.lower()
    return any(low in fact.text.lower() or low in fact.name.lower() for fact in facts)


def _amounts(
    statement: Statement,
    supported: dict[int, list[Fact]],
    facts: Sequence[Fact],
    evidence: Evidence,
    now: datetime | None,
    reasons: list[Reason],
) -> int:
    for number in statement.numbers:
        owner = statement.owner(number.start, number.end)
        own = supported.get(owner.start, []) if owner else []
        reason = number_reason(statement, number, own or facts, _date_of(statement, number, owner), now)
        if reason is not None and own and owner is not None:
            other = _other_owner(statement, number, owner)
            if other is not None and supported.get(other.start):
                again = number_reason(statement, number, supported[other.start], None, now)
                reason = None if again is None else reason
        if reason is not None:
            reasons.append(reason)
    for date in statement.dates:
        owner = statement.owner(date.start, date.end)
        own = supported.get(owner.start, []) if owner else []
        own = own or list(facts)
        own = _life_dates(statement, date, evidence.about) or own
        reason = date_reason(statement, date, own)
        if reason is not None:
            reasons.append(reason)
    for age in statement.ages:
        reason = age_reason(statement, age, evidence.about, facts, now)
        if reason is not None:
            reasons.append(reason)
    return len(statement.numbers) + len(statement.dates) + len(statement.ages)


def _life_dates(statement: Statement, date: Date, about: About | None) -> list[Fact]:
    """The patient's birth or death, where a date is told as that of it."""
    before = statement.text[max(0, date.start - _AROUND) : date.start]
    found = []
    if about is not None and about.born is not None and _BORN.search(before):
        found.append(Fact(id="", kind="other", name="", days=(about.born,)))
    if about is not None and about.died is not None and _DIED.search(before):
        found.append(Fact(id="", kind="other", name="", days=(about.died,)))
    return found


def _life(statement: Statement, facts: Sequence[Fact], about: About | None) -> list[Reason]:
    """Return why the patient cannot be told as dead, or as born on a date."""
    if about is None:
        return []
    found = []
    for token in statement.words:
        said = statement.text[token.start : token.end]
        if token.word not in _DEAD or about.dead or _mentioned(statement, token.start):
            continue
        if not any(token.word in key_of(f"{fact.name} {fact.text}").split() for fact in facts):
            message = f'"{said}": the record does not say that the patient has died'
            found.append(Reason("unsupported", "person", said, token.start, token.end, message))
    for date in statement.dates:
        if about.born is None and _BORN.search(statement.text[max(0, date.start - _AROUND) : date.start]):
            said = statement.text[date.start : date.end]
            message = f'"{said}": the birth date is not documented'
            found.append(Reason("unsupported", "date", said, date.start, date.end, message))
    return found


def _relation(statement: Statement, facts: Sequence[Fact]) -> list[Reason]:
    """Return why a relative is another one than the cited family history tells of."""
    family = [fact for fact in facts if fact.kind == "family"]
    found = []
    for token in statement.words if family else ():
        word = token.word.removesuffix("'s")
        if word not in _RELATIVES or word == "family":
            continue
        told = {each for fact in family for each in key_of(fact.text).split()}
        told |= {each for fact in facts if fact.kind == "text" for each in key_of(fact.text).split()}
        if word not in told:
            said = statement.text[token.start : token.end]
            message = f'"{said}": {family[0].id} tells it of another relative'
            found.append(Reason("contradicted", "person", said, token.start, token.end, message))
    return found


def _advice(statement: Statement, facts: Sequence[Fact]) -> list[Reason]:
    """Return why words that tell somebody to do something are not passed, unless a cited text has them so."""
    found = []
    for match in _ADVICE.finditer(statement.text):
        start, end = match.span("verb")
        line = " ".join(statement.text[start : end + _AROUND].lower().rstrip(".").split())
        if not any(line in " ".join(fact.text.lower().split()) for fact in facts):
            message = f'"{match["verb"]}": it tells to do something, which is no fact of the record'
            found.append(Reason("not checkable", "word", match["verb"], start, end, message))
    return found


def _other_owner(statement: Statement, number: Number, owner: Mention) -> Mention | None:
    """The thing right after a number, where the one before it does not fit: "40 mg simvastatin"."""
    after = [mention for mention in statement.mentions if mention.start >= number.end]
    if not after or after[0] == owner or statement.between(number.end, after[0].start) > 1:
        return None
    gap = statement.text[owner.end : number.start]
    return after[0] if re.search(r"[,;]|\band\b", gap) else None


def _date_of(statement: Statement, number: Number, owner: Mention | None) -> Date | None:
    """The date that a number is told with: the next one after it, or the last one before it where dates come first."""
    clause = statement.clause(number.start)
    here = [date for date in statement.dates if statement.clause(date.start) == clause]
    same = [
        other
        for other in statement.numbers
        if statement.clause(other.start) == clause and statement.owner(other.start, other.end) == owner
    ]
    if not here or number.days is not None:
        return None
    between = statement.text[: here[0].start].rstrip().lower().endswith(("between", "from"))
    if between and len(here) == len(same) == 2 and same[-1].end <= here[0].start:
        return here[same.index(number)]  # "from 4.1 to 5.6 between 2019 and 2020"
    if here[0].start < min(other.start for other in [*same, number]):
        before = [date for date in here if date.end <= number.start]
        return before[-1] if before else None
    after = [date for date in here if date.start >= number.end]
    if not after or any(number.end <= other.start < after[0].start for other in same):
        return None
    gap = statement.text[number.end : after[0].start]
    if any(mention.start >= number.end and mention.end <= after[0].start for mention in statement.mentions):
        return None
    return None if re.search(r"\b(?:since|started|stopped|until|began|from)\b", gap, re.IGNORECASE) else after[0]


def _directions(
    statement: Statement, supported: dict[int, list[Fact]], cited: Sequence[Fact], reasons: list[Reason]
) -> int:
    checked = 0
    for cue in statement.cues:
        if cue.kind not in ("rose", "fell", "steady", "high", "low", "normal") or _only_compares(statement, cue):
            continue
        owner = statement.owner(cue.start, cue.end)
        unnamed = [fact for fact in cited if fact.kind in ("text", "measurement")]
        facts = supported.get(owner.start, []) if owner else unnamed
        if cue.kind in ("high", "low", "normal"):
            measured = [fact for fact in facts if fact.kind in ("measurement", "text")]
            if not measured and any(cue.text.lower() in fact.text.lower().split() for fact in cited):
                continue  # "criticality low" of an allergy
            reason = range_reason(cue, measured)
        else:
            reason = direction_reason(statement, cue, owner, facts)
        checked += 1
        if reason is not None:
            reasons.append(reason)
    return checked


def _only_compares(statement: Statement, cue: CueHit) -> bool:
    """Return whether a word only bounds a number or names a range: "lower than 7", "normal 3.5 to 5.1"."""
    if cue.kind == "normal" and re.match(r"(?:\s*(?:range|values?))?\s*[:(]?\s*\d|\s*range", statement.text[cue.end :]):
        return True
    return bool(re.match(r"\s*(?:than\s*)?[<>]?\s*\d", statement.text[cue.end :])) and cue.text.lower() in (
        "lower than", "higher than", "up to", "lower", "higher",
    )  # fmt: skip


def _person(statement: Statement, about: About | None, reasons: list[Reason]) -> int:
    if about is None:
        return 0
    words = [token.word for token in statement.words]
    relative = any(word.removesuffix("'s") in _RELATIVES for word in words)
    checked = 0
    for token in statement.words:
        told = "female" if token.word in _FEMALE else "male" if token.word in _MALE else ""
        if not told or (relative and token.word in ("he", "she")):
            continue
        checked += 1
        said = statement.text[token.start : token.end]
        if about.gender in ("male", "female") and told != about.gender:
            reasons.append(
                Reason(
                    "contradicted", "person", said, token.start, token.end, f'"{said}": the patient is {about.gender}'
                )
            )
        elif about.gender not in ("male", "female"):
            reasons.append(
                Reason("unsupported", "person", said, token.start, token.end, f'"{said}": the gender is not documented')
            )
    known = {word.lower() for word in re.findall(r"[^\W\d_]+", about.name)}
    named = [token for token in statement.words if token.is_word]
    for before, token in pairwise(named):
        said = statement.text[token.start : token.end]
        if (
            before.word in _TITLES
            and said[:1].isupper()
            and token.word not in known
            and not _mentioned(statement, token.start)
        ):
            if token.word in plain_words() or statement.text[before.end : token.start].strip(". "):
                continue
            checked += 1
            reasons.append(
                Reason(
                    "contradicted", "person", said, token.start, token.end, f'"{said}": the patient has another name'
                )
            )
    return checked


def _mentioned(statement: Statement, at: int) -> bool:
    return any(mention.start <= at < mention.end for mention in statement.mentions)


def _words(statement: Statement, facts: Sequence[Fact], evidence: Evidence) -> list[Reason]:
    """Words of content that no cited source has."""
    known: set[str] = set()
    for fact in facts:
        for part in (fact.name, *fact.aliases, fact.text):
            known |= {singular(word.lower()) for word in re.findall(r"[^\W\d_]+", part)}
    if evidence.about is not None:
        known |= {word.lower() for word in re.findall(r"[^\W\d_]+", evidence.about.name)}
    known |= {stem(word) for word in known} | plain_words()
    parts = (statement.mentions, statement.dates, statement.numbers, statement.ages, statement.cues)
    taken = [(each.start, each.end) for part in parts for each in part] + frequencies(statement.text)
    found = []
    for token in statement.words:
        word = singular(token.word.removesuffix("'s"))
        if not word.isalpha() or len(word) < 3 or word in known or stem(word) in known:
            continue
        if any(start < token.end and token.start < end for start, end in taken):
            continue
        text = statement.text[token.start : token.end]
        outcome, kind = ("not checkable", "word")
        if kind_of(word) == "drug":
            outcome, kind = ("unsupported", "drug")
        elif _is_name(statement, token.start, token.end):
            outcome, kind = ("unsupported", "name")
        message = f'"{text}": no cited source has this word'
        found.append(Reason(outcome, kind, text, token.start, token.end, message))  # type: ignore[arg-type]
    return found


def _is_name(statement: Statement, start: int, end: int) -> bool:
    """Return whether an unknown word stands where a name does: with a capital, after "takes", or before a dose."""
    before, after = statement.text[max(0, start - _AROUND) : start], statement.text[end : end + _AROUND]
    if statement.text[start].isupper() and not re.search(r"(?:\A|[.!?:;\u2022]\s*)\Z", before):
        return True
    return bool(_NAME_BEFORE.search(before) or _NAME_AFTER.match(after))


def _beside(statement: Statement, hit: tuple[int, int], evidence: Evidence) -> list[Reason]:
    """List what a statement says besides that something is not documented: it is not held against anything here."""
    clause = statement.clause(hit[0])
    told = [(each.start, each.end) for each in (*statement.numbers, *statement.ages)]
    told += [(each.start, each.end) for each in statement.dates]
    told += [(each.start, each.end) for each in statement.mentions if statement.clause(each.start) != clause]
    for cue in statement.cues:
        inside = hit[0] < cue.end and cue.start < hit[1]
        before = not statement.text[cue.end : hit[0]].strip() if cue.end <= hit[0] else False  # "has no record of"
        if not (inside or before or _NOW.fullmatch(cue.text) or cue.text.lower() in _BARE):
            told.append((cue.start, cue.end))
    found = [
        Reason("not checkable", "word", said, start, end, f'"{said}": it says more than that something is missing')
        for start, end in told
        if (said := statement.text[start:end])
    ]
    words = _words(statement, (), evidence)
    return found + [each for each in words if not each.text.lower().startswith(tuple(_KINDS))]


def _absent(statement: Statement, hit: tuple[int, int], evidence: Evidence) -> Verdict:
    """A statement that something is not documented: contradicted where the record has it."""
    reasons = _beside(statement, hit, evidence)
    checked = 0
    if limited := _LIMITED.search(statement.text):
        message = f'"{limited[0]}": what is documented of a part of the record cannot be checked'
        return verdict([Reason("not checkable", "word", limited[0], limited.start(), limited.end(), message)], 0)
    now = bool(_NOW.search(statement.text))
    for mention in statement.mentions:
        checked += 1
        if mention.concept in evidence.named:
            reasons.append(
                Reason("contradicted", "source", mention.text, mention.start, mention.end,
                       f'"{mention.text}": the record documents it ({evidence.named[mention.concept][0].id})')
            )  # fmt: skip
    for token in statement.words:
        for begins, kinds in _KINDS.items():
            if token.word.startswith(begins) and not _mentioned(statement, token.start):
                checked += 1
                has = [fact for each in evidence.facts.values() for fact in each if fact.kind in kinds]
                if now:
                    has = [fact for fact in has if fact.state == "active"]
                if has and not statement.mentions:
                    said = statement.text[token.start : token.end]
                    message = f'"{said}": the record documents some ({has[0].id})'
                    reasons.append(Reason("contradicted", "source", said, token.start, token.end, message))
    return verdict(reasons, checked)
