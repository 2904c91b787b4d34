"""Reading of a patient's own words: findings that are there or not, somebody else's, or long past."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from aris.records.text import Cue, assess
from aris.tasks.intake.lexicon import lexicon
from aris.tasks.intake.measures import measured

Status = Literal["present", "absent", "past", "other", "if"]
# Something that ended a while ago today is not absent: it was there.
_ENDED = re.compile(
    r"\b(?:gone|went|goes|away|resolved|stopped|stops|passed|subsided|settled|better|cleared|over|disappeared|eased|"
    r"free|finished|ended|used)\b", re.IGNORECASE)  # fmt: skip
_NEVER_BEFORE = re.compile(r"\bnever\b.*\b(?:before|until|like\s+this|this\s+bad|so\s+bad|such)\b", re.IGNORECASE)
_RECENT = re.compile(
    r"\b(?:now|today|tonight|currently|still|again|since|just|minutes?|hours?|hrs?|this\s+(?:morning|afternoon|evening|"
    r"week)|last\s+night|yesterday|started|began|keeps?|getting\s+worse|worse|ongoing|recently|[1-6]\s+days?)\b",
    re.IGNORECASE)  # fmt: skip
# Of relatives these speak of the past or of the family; of a relative in the present the text's writer is the carer.
_FAMILY = re.compile(
    r"\b(?:died|passed\s+away|family\s+history|runs\s+in|in\s+(?:my|the|our)\s+family|"
    r"years?\s+ago|ages?\s+(?:of\s+)?\d+|in\s+(?:his|her|their)"
    r"\s+\d0s|when\s+(?:he|she)\s+was|used\s+to|genetic|hereditary)\b", re.IGNORECASE)  # fmt: skip
_HAD = re.compile(r"\b(?:had|has\s+had|suffered)\b", re.IGNORECASE)
# "My gran had a stroke at 80": an age, not a time of day.
_AT_AGE = re.compile(
    r"\bmy\s+(?:\w+\s+)?(?:gran\w*|nana?|mum|mom|mother|dad|father|brother|sister|aunt\w*|uncle|cousin)\s+had\s+"
    r"(?:an?|his|her)\s+(?:\w+\s+){1,3}at\s+[3-9]\d\b",
    re.IGNORECASE,
)
_ONCE = re.compile(r"\bonce\b", re.IGNORECASE)
# Who is not the patient of a text that speaks of long ago: people whom its writer does not care for.
_DISTANT = re.compile(
    r"\b(?:neighbou?rs?|friends?|mates?|colleagues?|boss|aunt(?:ie|y)?s?|uncles?|cousins?|classmates?|"
    r"celebrit(?:y|ies))\b",
    re.IGNORECASE)  # fmt: skip
_ENDED_LIFE = re.compile(
    r"\b(?:killed|hanged)\s+(?:him|her|them)sel(?:f|ves)|\btook\s+(?:his|her|their)\s+own\s+li(?:fe|ves)",
    re.IGNORECASE)  # fmt: skip
# What somebody saw or read about, unless the text goes on to what the writer has.
_TOPIC = re.compile(
    r"\b(?:film|movie|documentary|programme|book|article|leaflet|poster|course|lecture|video|episode|podcast|project|"
    r"essay)s?\s+(?:\w+\s+){0,2}(?:on|about)\s+(?:\w+\s+){0,2}\Z"
    r"|\b(?:read|reading|learn(?:ed|t|ing)?)\s+(?:\w+\s+){0,3}(?:about|on)\s+(?:\w+\s+){0,2}\Z"
    r"|\bwhat\s+are\s+(?:the\s+)?(?:\w+\s+)?(?:signs?|symptoms?|causes?)\s+of\s+(?:an?\s+)?\Z",
    re.IGNORECASE,
)
_MINE = re.compile(
    r"\b(?:i|i['\u2019]?m|i['\u2019]?ve|he|she|we)\b|\bmy\s+\w+\s+(?:is|are|has|have|was|went|hurts?|feels?|keeps?)\b",
    re.IGNORECASE,
)
# "I'm not going to kill myself but I think about it every day": the denial is not of the thoughts.
_DENIED_YET = re.compile(
    r"(?:\b(?:kill|hurt|harm|end|cut)(?:ing|ting)?\s+(?:myself|my\s+life|it\s+all|it|things)|\bsuicid\w*"
    r"|\bself[\s-]?harm\w*|\b(?:die|dead|dying))\b[^\n]{0,60}?"
    r"\b(?:but|though|although|yet|however|just|only|still)\b[^\n]{0,40}?"
    r"\b(?:(?:think|thinking|thoughts?|dream|dreaming|fantasi[sz]e|imagin(?:e|ing)|pictur(?:e|ing)|wonder|wondering)\s+"
    r"(?:\w+\s+){0,3}?(?:about|of|how|what)\s+(?:\w+\s+){0,2}?"
    r"(?:it|that|doing|dying|death|dead|not\s+being|ending|gone)\b"
    r"|(?:cross(?:es|ed)|on)\s+my\s+mind\b|(?:tempted|urges?)\b)",
    re.IGNORECASE,
)
# Said of oneself at any time, these are a present concern; so they are never taken for past.
ALWAYS = frozenset(
    [
        "suicidal",
        "self_harm",
        "harm_others",
        "strangled",
        "abuse_partner",
        "sexual_assault",
        "child_harm",
        "forced",
        "overdose",
        "poison",
    ]
)
# Done to the writer: who did it does not make it somebody else's.
_DONE_TO = frozenset(["strangled", "abuse_partner", "sexual_assault", "child_harm", "forced", "immediate_danger"])
# These bring what is long past into the present, wherever they stand in its sentence; others only in its clause.
_BACK_AGAIN = re.compile(
    r"\b(?:again|back|still|returned|came\s+back|same|worse|keeps?|ever\s+since|until\s+now|and\s+now|since\s+then)\b",
    re.IGNORECASE)  # fmt: skip
_PAST = re.compile(
    r"\b(?:as\s+a\s+(?:child|kid|baby|teenager)|when\s+i\s+was|years?\s+ago|in\s+childhood|in\s+(?:19|20)\d\d|"
    r"last\s+year|"
    r"(?:many|several|[2-9]|\d\d)\s+months\s+ago|in\s+the\s+past|long\s+ago)\b", re.IGNORECASE)  # fmt: skip
_NOW = re.compile(
    r"\b(?:now|today|tonight|currently|this\s+(?:morning|afternoon|evening)|just|started|since)\b", re.IGNORECASE
)
_NEW_SUBJECT = re.compile(r",\s*(?:and\s+)?(?:my|his|her|the|this|i|he|she|it|we)\b", re.IGNORECASE)
_HAS = re.compile(
    r"\W*(?:(?:and|but|because|cos|as|so)\s+)?(?:(?:my|our|his|her|the)\s+\w+|i|he|she|it|we)(?:['\u2019]\w+)?\s+"
    r"(?:\w+\s+)?"
    r"(?:has|have|is|am|are|got|had|was|started|just|feels?|hurts?|keeps?|can['\u2019]?t|cannot|won['\u2019]?t)\b"
    r"|\W*(?:i|he|she|it)['\u2019](?:m|s|ve)\b",
    re.IGNORECASE,
)
# "I haven't slept, I hear voices".
_SAYS = re.compile(
    r"\W*(?:(?:and|but|so)\s+)?(?:i|he|she|they|we)(?:['\u2019]\w+)?\s+(?!(?:did|do|does)\b)\w+", re.IGNORECASE
)
_NEAR = 40  # letters between words of the past and what they speak of
_NEW = re.compile(r"\b(?:and|but|now|with|presents?|presenting|today|has|have|is|are|got)\b", re.IGNORECASE)
_CLAUSE = re.compile(r"[,;:]|\bbut\b|\n")
# "No fever, can't breathe", "no fever, crushing chest pain": after a comma these begin a statement of their own, unless
# the list goes on to an "or".
_UNABLE = re.compile(
    r"(?:can(?:no|['\u2019]?)t|could\s*n['\u2019]?t|unable|not\s+able|won['\u2019]?t|will\s+not|not|is\s*n['\u2019]?t"
    r"|does\s*n['\u2019]?t|trouble|hard\s+to|struggling)\b",
    re.IGNORECASE,
)
_GRAVE = re.compile(
    r"\W*(?:(?:and|just|only|i|i\s+have|has|have|got|an?|my|very|some)\s+)*(?:crushing|severe|sudden|worst|terrible|"
    r"awful|unbearable|excruciating|intense|horrible|massive)\b|.*\b(?:on\s+one\s+side|for\s+(?:the\s+)?(?:\d+|an?|past|"
    r"last|two|three|four|several)\b)",
    re.IGNORECASE | re.DOTALL,
)
_LISTED = re.compile(r"\b(?:or|nor)\b", re.IGNORECASE)
_DENIES = re.compile(r"\b(?:den(?:y|ies|ied|ying)|absence|negative|without)\b", re.IGNORECASE)
# "No chest pain now, but I had it an hour ago."
_BUT_HAD = re.compile(
    r"\bbut\s+(?:\w+\s+){0,3}(?:had|felt|got)\s+(?:it|one|them)\b|\bbut\s+it\s+(?:did|happened|came|went|hurts?)\b",
    re.IGNORECASE,
)
# In answers about medicines, allergies and earlier illness: words of what is now.
_PRESENT = re.compile(
    r"\b(?:is|are|am|hurts?|aches?|feels?|can(?:no|['\u2019]?)t|wo['\u2019]?nt|won['\u2019]?t|isn['\u2019]?t|"
    r"aren['\u2019]?t)\b|\b(?:i|he|she|it|they)['\u2019](?:m|s|re)\b",
    re.IGNORECASE,
)
_NO_HISTORY = re.compile(r"\bno\s+(?:\w+\s+){0,2}\Z", re.IGNORECASE)
_REASON = re.compile(r"\b(?:because|but|cause|cos|and\s+now)\b", re.IGNORECASE)
_NEGATION = "negated"
_ENDS_KEPT = 6  # of one finding that a long text names again and again, so many from its beginning and from its end


class Mention(NamedTuple):
    """A finding in a text.

    Attributes:
        finding: its name.
        status: present, absent, past, of somebody else, or only imagined.
        start, end: its place.
    """

    finding: str
    status: Status
    start: int
    end: int


def read(text: str, *, carer: bool | None = None, background: bool = False) -> list[Mention]:
    """The findings that a text names, each place once, in order.

    When in doubt a finding is present: uncertain ones, ones that have just ended, and those of a relative unless the
    text speaks of the past.

    Args:
        text: in the patient's or a carer's words.
        carer: whether a carer writes; None if it is not known.
        background: the text answers a question about earlier illness, medicines or allergies: what it names is past
            unless it says otherwise.
    """
    by_finding: dict[str, list[tuple[int, int]]] = {}
    for hit in lexicon().find(text):
        by_finding.setdefault(hit.finding, []).append((hit.start, hit.end))
    at_span: dict[tuple[int, int], list[str]] = {}
    for name, all_spans in by_finding.items():
        kept = all_spans if len(all_spans) <= 2 * _ENDS_KEPT else all_spans[:_ENDS_KEPT] + all_spans[-_ENDS_KEPT:]
        for span in kept:
            at_span.setdefault(span, []).append(name)
    found = [Mention(name, "present", start, end) for name, start, end in measured(text)]
    found += [Mention("suicidal", "present", *match.span()) for match in _DENIED_YET.finditer(text)]
    findings = lexicon().findings
    spans = list(at_span)
    for span, said in zip(spans, assess(text, spans), strict=True):
        sentence = text[said.sentence.start : said.sentence.end]
        begin, finish = _clause(text, span, said.sentence.start, said.sentence.end)
        clause = text[begin:finish]
        cues = [cue for cue in said.cues if cue.kind == _NEGATION and not _inside(cue.start, cue.end, span, spans)]
        recent = bool(_RECENT.search(clause) or _BACK_AGAIN.search(sentence))
        ended = all(_ENDED.search(cue.text) for cue in cues) or bool(_NEVER_BEFORE.search(sentence))
        ended = ended or bool(_BUT_HAD.search(text, span[1], said.sentence.end))
        elsewhere = not recent and _long_ago_of_another(sentence, clause)
        another = said.experiencer == "other" and (
            _FAMILY.search(clause)
            or (not recent and _HAD.search(sentence) and (carer is False or _ONCE.search(clause)))
            or (not recent and _ENDED_LIFE.search(clause))
        )
        last = max(span[0], text.rfind(" ", span[0], span[1]) + 1)
        another = another or (
            _TOPIC.search(text, said.sentence.start, last) and not _MINE.search(text, span[1], said.sentence.end)
        )
        status: Status = "present"
        # "Ruled out last month, chest pain now": what is said of now is not what was denied before the comma.
        outside = bool(cues) and all(cue.end <= begin or cue.start >= finish for cue in cues)
        own_words = outside and (bool(_UNABLE.match(text, span[0], span[1])) or _begins(text, cues, begin, clause))
        apart = outside and (own_words or bool(_NOW.search(clause)) or bool(_SAYS.match(clause)))
        if said.negated and cues and not ended and not apart:
            status = "absent"
        elif said.temporality == "hypothetical" and not _stated(text, said.cues, begin, clause):
            status = "if"
        elif another or elsewhere:
            status = "other"
        elif (
            (_is_past(text, span, said.cues) and not own_words)
            or (background and not _PRESENT.search(clause) and not _REASON.search(sentence))
            or _PAST.search(clause)
        ) and not recent:
            status = "past"
        for name in at_span[span]:
            stays = name in ALWAYS or (findings[name].lasting and status == "past")
            stays = stays and status in ("past", "if")
            stays = stays or (status == "other" and elsewhere and name in _DONE_TO)
            own: Status = "present" if stays else status
            found.append(Mention(name, own, *span))
    return sorted(found, key=lambda mention: (mention.start, mention.end, mention.finding))


def _stated(text: str, cues: Sequence[Cue], begin: int, clause: str) -> bool:
    """Return whether a clause states something behind a question: "what are the signs of X, my son has a fever"."""
    imagined = [cue for cue in cues if cue.kind == "hypothetical"]
    return all(cue.end <= begin for cue in imagined) and bool(_HAS.match(clause))


def _long_ago_of_another(sentence: str, clause: str) -> bool:
    """Return whether a statement is of someone else's earlier life: a neighbour's last year, a grandmother's at 80."""
    distant = bool(_DISTANT.search(sentence)) and bool(_PAST.search(clause) or _ENDED_LIFE.search(clause))
    return distant or bool(_AT_AGE.search(clause))


def _is_past(text: str, span: tuple[int, int], cues: Sequence[Cue]) -> bool:
    """Return whether words that speak of the past stand close to a finding, with nothing new said between them.

    "A history of asthma and can't breathe" is no history of breathing trouble.
    """
    for cue in cues:
        between = text[cue.end : span[0]] if cue.end <= span[0] else text[span[1] : cue.start]
        if "," in between and _NO_HISTORY.search(text[: cue.start]):
            continue  # "no medical history, severe chest pain"
        if cue.end <= span[0] and _NEW_SUBJECT.search(between):
            continue  # "history of angina, his spray does not help"
        if cue.kind == "historical" and len(between) <= _NEAR and not _NEW.search(between):
            return True
    return False


def _begins(text: str, cues: Sequence[Cue], begin: int, clause: str) -> bool:
    """Return whether a clause behind a negated one says something of its own: how bad it is, or for how long."""
    last = max(cue.end for cue in cues)
    if last > begin or any(_DENIES.search(cue.text) for cue in cues):
        return False
    before = text[last:begin]
    return bool(_GRAVE.match(clause)) and not _GRAVE.match(before) and not _LISTED.search(before + clause)


def _clause(text: str, span: tuple[int, int], start: int, end: int) -> tuple[int, int]:
    """The part of a sentence between marks that a finding stands in."""
    cuts = [start, *(match.end() for match in _CLAUSE.finditer(text, start, end)), end]
    before = max(cut for cut in cuts if cut <= span[0])
    after = min((cut for cut in cuts if cut >= span[1]), default=end)
    return before, after


def _inside(start: int, end: int, own: tuple[int, int], spans: Sequence[tuple[int, int]]) -> bool:
    """Return whether a negation belongs to another finding's own words ("bugs that are not there")."""
    return any(a <= start and end <= b and (a, b) != own and not (a <= own[0] and own[1] <= b) for a, b in spans)
