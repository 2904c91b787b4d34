"""Does a passage support a sentence: its numbers with their units, its entities, its direction, its other words.

Rules, so that every refusal can be named. A sentence is held against the passage's sentences that share most with it.
What they cannot see is left to the model's own entailment score, where a model is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from aris.literature.passages import sentence_spans
from aris.literature.retrieval import STOP_WORDS

Verdict = Literal["supported", "contradicted", "unsupported"]
# The least share of its telling words: of HealthVer's validation claims that were accepted from here on, all were
# supported; see benchmarks/literature_support.py.
LEAST_COVERAGE = 0.75

_NUMBER = re.compile(
    r"(?<![\w.])(?<![A-Za-z]-)[-+−]?\d[\d,]*(?:\.\d+)?(?:\s*(?:%|percent\b|per cent\b))?", re.IGNORECASE
)
_UNIT = re.compile(
    r"\s*(mg|g|kg|µg|μg|mcg|ug|ng|ml|l|dl|mmol|mol|mm|cm|m|mmhg|kpa|hz|iu|units?|u|years?|yrs?|months?|weeks?|days?|hours?"
    r"|hrs?|h|minutes?|min|seconds?|s|patients?|participants?|subjects?|women|men|children|fold|times)\b(?:\s*/\s*"
    r"(kg|day|d|l|dl|ml|min|h|m2))?",
    re.IGNORECASE,
)
_WORDS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
          "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "twice": "2"}  # fmt: skip
_UNITS = {"percent": "%", "per cent": "%", "µg": "ug", "μg": "ug", "mcg": "ug", "unit": "u", "units": "u", "iu": "u",
          "yr": "year", "yrs": "year", "hrs": "hour", "hr": "hour", "h": "hour", "min": "minute", "s": "second",
          "participant": "patient", "subject": "patient"}  # fmt: skip
_COUNTED = {"patient", "women", "men", "children", "time", "fold"}  # named or left out as it comes

_UP = (
    r"increas\w+|rais\w+|rise[sn]?|rose|elevat\w+|higher|greater|grow\w*|gain\w*|enhanc\w+|worsen\w*|promot\w+|induc\w+"
    r"|more likely|risk factors?"
)
_DOWN = (
    r"decreas\w+|reduc\w+|lower\w*|declin\w+|fewer|less likely|smaller|diminish\w+|suppress\w+|inhibit(?:s|ed|ing|ion)?"
    r"|attenuat\w+|drop\w*|prevent\w*|alleviat\w+|mitigat\w+"
)
_GOOD = (
    r"improv\w+|benefi\w+|effective(?:ly)?|efficacious|efficacy|superior|protect\w+|safe|favou?rabl\w+|useful|success\w*"
)
_BAD = r"ineffective|harm\w*|inferior|unsafe|dangerous|worse|detriment\w+|useless|fail(?:s|ed|ure)?\b(?! (?:risk|rate))"
_LINKED = (
    r"associat\w+|correlat\w+|linked|relat(?:ed|ion\w*)|predict\w+|caus\w+|affect\w*|influenc\w+|effect\w*|differen\w+"
)
_NEGATED = re.compile(
    r"\b(?:no|not|n't|never|without|neither|nor|none|lack(?:s|ed|ing)? of|absence of|fail(?:s|ed)? to|cannot|can't"
    r"|unlikely|little|insufficient|insignificant(?:ly)?|non-?significant(?:ly)?)\b|n['’]t\b",
    re.IGNORECASE,
)
_DIRECTIONS = {
    name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    for name, words in (("up", _UP), ("down", _DOWN), ("good", _GOOD), ("bad", _BAD), ("linked", _LINKED))
}
_DIRECTED = re.compile(rf"(?:{_UP}|{_DOWN}|{_GOOD}|{_BAD}|{_LINKED})", re.IGNORECASE)
_OPPOSITE = {"up": "down", "down": "up", "good": "bad", "bad": "good"}
_HEDGES = re.compile(
    r"\b(?:may|might|could|possibl[ey]|perhaps|suggest\w*|appear\w*|seem\w*|potential\w*)\b", re.IGNORECASE
)
_ASKS = re.compile(r"(?:to|whether|(?:we|the authors) (?:aimed|sought))\b|.*\bwhether\b", re.IGNORECASE | re.DOTALL)
_NEGATION_REACH = 45  # characters before a word of direction
# Names: acronyms, codes, words with digits or capitals inside.
_ENTITY = re.compile(r"\b(?:[A-Z]{2,}[\w-]*|[A-Za-z]+-?\d+[\w-]*|[a-z]+[A-Z]\w*)\b")
_SUFFIX = re.compile(
    r"(?:isations?|izations?|ations?|ements?|ments?|ically|ingly|ities|ness|tions?|sions?|ance|ence|able|ible|ised|ized|ising|izing"
    r"|ises|izes|ings?|edly|ed|ies|ive|ally|al|ic|ous|es|ly|s|y|e)$"
)


@dataclass(frozen=True)
class Support:
    """Degree to which a passage supports a sentence.

    Attributes:
        coverage: the share of the sentence's telling words that the passage has, 0..1.
        reason: why it does not support it, in words; "" where it does.
    """

    verdict: Verdict
    coverage: float
    reason: str


def check(sentence: str, passage: str, least: float = LEAST_COVERAGE) -> Support:
    """Hold a sentence against a passage.

    Args:
        sentence: one statement.
        passage: the text that is to support it.
        least: coverage below which it is not supported.
    """
    told = stems(sentence)
    coverage = len(told & stems(passage)) / len(told) if told else 0.0
    if missing := [shown for value, shown in numbers(sentence) if not _has_number(value, numbers(passage))]:
        return Support("unsupported", coverage, f"the passage does not have the number {missing[0]}")
    if names := entities(sentence) - entities(passage) - _plain_words(passage):
        return Support("unsupported", coverage, f"the passage does not name {sorted(names)[0]}")
    if coverage < least:
        return Support("unsupported", coverage, "too few of its words stand in the passage")
    if clash := direction_clash(sentence, nearest(sentence, passage)):
        return Support("contradicted", coverage, clash)
    return Support("supported", coverage, "")


def check_written(sentence: str, passage: str) -> Support:
    """Hold a sentence that a model wrote against a passage, strictly: one sentence of it alone must say as much.

    Beside what `check` asks for, that one must hold its words and numbers, state each of its directions, be as certain
    as it is, and be more than an aim or a question.
    """
    found = check(sentence, passage)
    if found.verdict != "supported":
        return found
    told = stems(sentence)
    spans = sentence_spans(passage)
    shared = {index: len(told & stems(passage[slice(*span)])) / max(1, len(told)) for index, span in enumerate(spans)}
    refused: Support | None = None
    for index in sorted(shared, key=lambda each: -shared[each])[:3]:
        reason = _lacks(sentence, passage[slice(*spans[index])], shared[index])
        if not reason:
            return Support("supported", shared[index], "")
        refused = refused or Support("unsupported", shared[index], reason)
    return refused or Support("unsupported", 0.0, "the passage holds no sentence")


def _lacks(sentence: str, statement: str, coverage: float) -> str:
    """Name what a statement lacks to say as much as a sentence, in words; "" if nothing."""
    if coverage < LEAST_COVERAGE:
        return "no single statement of the passage has its words"
    if missing := [shown for value, shown in numbers(sentence) if not _has_number(value, numbers(statement))]:
        return f"that statement does not have the number {missing[0]}"
    if clash := direction_clash(sentence, statement):
        return clash
    if added := sorted(directions(sentence) - directions(statement)):
        return f"that statement does not say {added[0]!r}"
    if _HEDGES.search(statement) and not _HEDGES.search(sentence):
        return "the passage is less certain"
    if statement.rstrip().endswith("?") or _ASKS.match(statement):
        return "the passage only asks so"
    return ""


def nearest(sentence: str, passage: str, most: int = 2) -> str:
    """The passage's sentences that share most telling words with a sentence, in the passage's order."""
    told = stems(sentence)
    spans = sentence_spans(passage)
    shared = [len(told & stems(passage[start:end])) for start, end in spans]
    best = sorted(range(len(spans)), key=lambda index: (-shared[index], index))[:most]
    if len(best) > 1 and shared[best[1]] < 0.7 * shared[best[0]]:
        best = best[:1]
    return " ".join(passage[slice(*spans[index])] for index in sorted(best))


def stem(word: str) -> str:
    """A word without its ending; crude, and the same for "reduced", "reduction" and "reduces"."""
    for _ in range(2):
        shorter = _SUFFIX.sub("", word)
        if len(shorter) < 4:
            break
        word = shorter
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] else word


def stems(text: str) -> set[str]:
    """The telling words of a text, without their endings; no numbers."""
    words = re.findall(r"[^\W\d_][\w'-]*", text.lower())
    return {stem(each) for each in words if each not in STOP_WORDS and len(each) > 2}


def numbers(text: str) -> list[tuple[tuple[float, str], str]]:
    """((value, unit), as it is written) of each number; "" for no unit."""
    found: list[tuple[tuple[float, str], str]] = []
    for match in _NUMBER.finditer(text):
        digits = re.match(r"[-+−]?[\d,]*(?:\.\d+)?", match[0])
        try:
            value = float((digits[0] if digits else "").replace(",", "").replace("−", "-"))
        except ValueError:
            continue
        unit = "%" if not match[0][-1].isdigit() else ""
        if not unit and (after := _UNIT.match(text, match.end())):
            unit = _unit(after[1]) + (f"/{after[2].lower()}" if after[2] else "")
        # A hyphen between numbers is a range's, not a sign.
        if match[0][0] == "-" and match.start() and text[match.start() - 1].isdigit():
            value = abs(value)
        found.append(((value, unit), match[0].strip()))
    spelt = (word for word in re.findall(r"[a-z]+", text.lower()) if word in _WORDS)
    return found + [((float(_WORDS[word]), ""), word) for word in spelt]


def _unit(text: str) -> str:
    low = text.lower()
    low = low.removesuffix("s") if len(low) > 3 else low
    return _UNITS.get(low, low)


def _has_number(wanted: tuple[float, str], found: Iterable[tuple[tuple[float, str], str]]) -> bool:
    value, unit = wanted
    for (other, theirs), _ in found:
        alike = unit == theirs or unit in _COUNTED or theirs in _COUNTED or not unit
        if alike and abs(abs(value) - abs(other)) <= 1e-9 * max(1.0, abs(value)):
            return True
    return False


def entities(text: str) -> set[str]:
    """Names in a text, in lower case: acronyms, codes, words with digits."""
    return {each.lower().rstrip("s") for each in _ENTITY.findall(text)}


def _plain_words(text: str) -> set[str]:
    return {each.rstrip("s") for each in re.findall(r"[\w-]+", text.lower())}


def directions(text: str) -> set[str]:
    """The directions that a text states: up, down, good, bad, linked; each with "no " before it where it is denied."""
    found: set[str] = set()
    for name, pattern in _DIRECTIONS.items():
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - _NEGATION_REACH) : match.start()]
            before = re.split(r"[.;:,]|\b(?:but|however|although|whereas|while)\b", before)[-1]
            # "did not differ" of "differ", but not of a later verb.
            found.add(f"no {name}" if _NEGATED.search(before) else name)
    return found


def direction_clash(first: str, second: str) -> str:
    """Name how two texts contradict each other in direction, in words; "" if they do not."""
    mine, theirs = directions(first), directions(second)
    for name in ("up", "down", "good", "bad", "linked"):
        if name in mine and f"no {name}" in theirs and name not in theirs:
            return "one denies what the other states"
        if f"no {name}" in mine and name in theirs and f"no {name}" not in theirs:
            return "one denies what the other states"
    for one, both in ((mine, theirs), (theirs, mine)):
        # "not associated with a worse outcome" against "makes it worse", whatever the words.
        denies = bool(both) and all(each.startswith("no ") for each in both)
        if denies and one and not any(each.startswith("no ") for each in one):
            return "one denies what the other states"
    for name, other in _OPPOSITE.items():
        if name in mine and other in theirs and name not in theirs and other not in mine:
            return f"one says {'more' if name == 'up' else 'less' if name == 'down' else name}, the other the opposite"
    return ""


def subject_stems(text: str) -> set[str]:
    """The telling words of a text that are no words of direction, hedging or number."""
    return stems(_HEDGES.sub(" ", _DIRECTED.sub(" ", text)))
