"""Answers in a patient's words, read as the question needs them. What doesn't fit is said to, never guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from aris.tasks.intake import measures
from aris.tasks.intake.lexicon import tokens
from aris.tasks.intake.measures import DAYS
from aris.tasks.intake.state import Option

_NO = re.compile(
    r"^\W*(?:no+|nope|nah|none|nil|nothing|0|zero|neither|not\s+(?:really|at\s+all|any)|never|n|"
    r"no\s+(?:others?|thanks?|more)"
    r"|negative|denies|na|n/a|i\s+do\s*n.?t(?:\s+have\s+(?:any|them|these|those|it))?)\b",
    re.IGNORECASE,
)
_YES = re.compile(r"^\W*(?:y|yes+|yeah|yep|yup|sure|ok(?:ay)?|i\s+(?:do|agree|accept|consent)|agree|accept|of\s+course|"
                  r"correct|true|right|please\s+do|go\s+ahead)\b", re.IGNORECASE)  # fmt: skip
_UNSURE = re.compile(
    r"\b(?:not\s+(?:\w+\s+)?(?:sure|certain)|un(?:sure|certain)|no\s+(?:idea|clue)|"
    r"(?:do\s*n.?t|do\s+not|dont|can.?t|cannot)\s+"
    r"(?:really\s+)?(?:know|remember|recall|say|tell)|maybe|perhaps|possibly|might\s+be|could\s+be|"
    r"idk|dunno|who\s+knows|"
    r"hard\s+to\s+(?:say|tell)|skip|pass)\b|^\W*\?+\W*$",
    re.IGNORECASE,
)
_ALL = re.compile(
    r"^\W*(?:all(?:\s+of\s+(?:them|these|those|the\s+above))?|everything|every\s+one|both)\W*$", re.IGNORECASE
)
_OTHERS_NOT = re.compile(r"\b(?:only|just|nothing\s+else|no\s+others?|none\s+of\s+the\s+others?|not\s+the\s+others?)\b",
                         re.IGNORECASE)  # fmt: skip
_EXCEPT = re.compile(
    r"\b(?:except|excluding|(?:apart|aside)\s+from|other\s+than|besides|only|yes|yeah|yep|(?:fir|la)st|second|third|fourth|"
    r"fifth|sixth|seventh|eighth)\b",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"\b(?:none|nothing|neither|not\s+any|no\s+to\s+all)\b", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:options?|numbers?|yes|and|or|the|have|i|[\d\s,.;#&:]+)+\Z")
_DIGITS = re.compile(r"(?<![\d.,/])(\d{1,2})(?![\d]|[.,/]\d)")
_SCALE_WORDS = (
    (r"\b(?:worst|unbearable|excruciating|agony|10\s*/\s*10|11|12|100|1000)\b", 10.0),
    (r"\b(?:severe|terrible|awful|very\s+bad|really\s+bad|horrible|extreme|intense)\b", 8.0),
    (r"\b(?:bad|strong|quite\s+a\s+lot)\b", 7.0),
    (r"\b(?:moderate|medium|middle|so\s*-?so|average)\b", 5.0),
    (r"\b(?:mild|slight|a\s+(?:little|bit)|minor|light|not\s+(?:too|very|so|that)\s+bad)\b", 3.0),
    (r"\b(?:none|no\s+pain|nothing|not\s+at\s+all|gone)\b", 0.0),
)
_ME = re.compile(r"\b(?:me|myself|mine|i|patient|self|my\s+own)\b", re.IGNORECASE)
_OTHER = re.compile(
    r"\b(?:carer|caregiver|parent|mother|mum|mom|father|dad|someone|somebody|else|son|daughter|child|baby|"
    r"kid|husband|wife|"
    r"partner|friend|neighbou?r|nurse|grand\w+|brother|sister|his|her|for\s+(?:him|her|them|my))\b",
    re.IGNORECASE,
)
_CHOICES = {
    "female": r"\b(?:f|female|woman|girl|lady)\b", "male": r"\b(?:m|male|man|boy|guy)\b",
    "other": r"\b(?:inter\s?sex|other|non.?binary)\b",
    "not_said": r"\b(?:prefer\s+not|rather\s+not|not\s+say|none\s+of\s+your)\b",
    "postpartum": r"\b(?:gave\s+birth|post\s?partum|had\s+(?:a|my|the)\s+baby|birth|delivered|c.?section)\b",
    "pregnant": r"\b(?:pregnant|expecting|weeks?|trimester)\b",
    "sudden": r"\b(?:sudden\w*|abrupt\w*|at\s+once|instant\w*|seconds?|minutes?|out\s+of\s+nowhere|immediately)\b",
    "hours": r"\b(?:hours?|over\s+the\s+day)\b", "days": r"\b(?:days?)\b",
    "slow": r"\b(?:slow\w*|gradual\w*|weeks?|months?|years?|bit\s+by\s+bit|over\s+time)\b",
    "worse": r"\b(?:worse|worsening|increas\w+|getting\s+bad)\b", "better": r"\b(?:better|improv\w+|easing|less)\b",
    "comes_and_goes": r"\b(?:come\w*\s+and\s+go\w*|on\s+and\s+off|off\s+and\s+on|intermittent\w*|waves?|sometimes)\b",
    "same": r"\b(?:same|constant|steady|no\s+change|unchanged|not\s+changed)\b",
}  # fmt: skip


@dataclass
class Read:
    """An answer as read.

    Attributes:
        fits: whether it answers the question.
        codes: chosen options.
        number: an age in days, a severity, a duration in hours.
        known: False if the patient said that they don't know.
        rest: of a checklist: what holds of options that were not named: "absent", "unknown", or "" if it is not said.
        again: name of the fixed text that helps to answer.
    """

    fits: bool
    codes: list[str] = field(default_factory=list)
    number: float | None = None
    known: bool = True
    rest: str = ""
    again: str = "again"


def unsure(text: str) -> bool:
    """Return whether an answer says that the patient doesn't know, and little else."""
    return bool(_UNSURE.search(text)) and len(tokens(text)) <= 12


def says_no(text: str) -> bool:
    """Return whether an answer begins with a no."""
    return bool(_NO.match(text)) and not unsure(text)


def numbers(text: str) -> list[int]:
    """The whole numbers of an answer, in order."""
    return [int(each) for each in _DIGITS.findall(text)]


def consent(text: str) -> bool | None:
    """Return whether an answer agrees; None if it says neither."""
    low = text.strip().lower()
    if low in ("1", "2"):
        return low == "1"
    if re.search(r"\b(?:not|never|no|nope|disagree|decline|refuse|"
                 r"(?:do|does|did|wo|would|ca|could|is|are|was|have|has|should)\s?n['\u2019]?t)\b", low):
        return False if len(tokens(text)) <= 12 else None
    return True if _YES.match(text) else None


def choice(text: str, options: Sequence[Option], item: str) -> Read:
    """Read a choice of one option: by number, by code, by words."""
    low = text.strip().lower()
    found = numbers(low)
    if len(found) == 1 and re.fullmatch(r"\W*\d{1,2}\W*", low) and 1 <= found[0] <= len(options):
        return Read(True, [options[found[0] - 1].code], known=options[found[0] - 1].code != "unknown")
    for option in options:
        if low in (option.code, option.text.lower()):
            return Read(True, [option.code], known=option.code != "unknown")
    if item == "who":
        # "I answer for my son" names both.
        if _OTHER.search(low):
            return Read(True, ["carer"])
        return Read(True, ["patient"]) if _ME.search(low) else Read(False, again="again_choice")
    codes = [option.code for option in options]
    if item == "pregnancy" and "neither" in codes and (says_no(text) or re.search(r"\bnot\b(?!\s+sure)", low)):
        return Read(True, ["neither"])
    if unsure(text):
        return Read(True, ["unknown"] if "unknown" in codes else [], known=False)
    for code in codes:
        if code in _CHOICES and re.search(_CHOICES[code], low):
            return Read(True, [code])
    if item == "pregnancy" and _YES.match(text):
        return Read(True, ["pregnant"])
    chosen = [option for option in options if set(_words(option.text)) & set(_words(low))]
    if len(chosen) == 1:
        return Read(True, [chosen[0].code])
    return Read(False, again="again_choice")


def _words(text: str) -> list[str]:
    return [token.word for token in tokens(text) if len(token.word) > 3]


def checklist(text: str, options: Sequence[Option], named: Sequence[str], denied: Sequence[str]) -> Read:
    """Read a choice of any options: by numbers or by words.

    Args:
        text: the answer.
        options: in the order they were shown.
        named: codes of options that the text says are there, as `reading.read` finds them.
        denied: codes of options that the text says are not there.
    """
    codes = [option.code for option in options]
    low = text.strip().lower()
    by_number = [codes[each - 1] for each in numbers(low) if 1 <= each <= len(codes)]
    plain_numbers = bool(re.fullmatch(r"[\s\d,;.+&]*(?:(?:and|or)[\s\d,;.+&]*)*", low)) and bool(numbers(low))
    if plain_numbers:
        if any(each > len(codes) for each in numbers(low)):
            return Read(False, by_number, again="again_list")
        if 0 in numbers(low) and by_number:
            return Read(False, by_number, again="again_list")
        return Read(True, by_number, rest="absent")
    if _ALL.match(text):
        return Read(True, codes, rest="absent")
    exact = [option.code for option in options if low.strip(" .") in (option.code, option.text.lower())]
    found = list(dict.fromkeys([*exact, *named]))
    if says_no(text) and not found and (by_number or _EXCEPT.search(text)):
        return Read(False, again="again_list")  # "none except 2", "no to 1 but yes to 5": no no to all
    if says_no(text) and (not denied or _NOTHING.search(text)):
        return Read(True, found, rest="absent")
    if unsure(text) and not found:
        return Read(True, [], known=False, rest="unknown")
    if found and _OTHERS_NOT.search(text):
        return Read(True, found, rest="absent")
    if found or denied:
        return Read(False, found, again="again_rest")
    if by_number and _NUMBERED.match(low):
        return Read(True, by_number, rest="absent")
    if len(codes) == 1 and _YES.match(text):
        return Read(True, codes, rest="absent")
    return Read(False, again="again_list")


def age(text: str) -> Read:
    """An age, in days."""
    if unsure(text):
        return Read(True, known=False)
    said = measures.ages(text)
    if said:
        return Read(True, number=said[0])
    low = measures.joined_ages(text.strip().lower(), everywhere=True)
    found = re.fullmatch(
        r"\D{0,40}?(\d{1,3}(?:[.,]\d{1,2})?|[a-z]+(?:[\s-][a-z]+)?)\s*"
        r"(d|days?|w|wks?|weeks?|m|mos?|mths?|months?|y|yo|yrs?|years?)?(?:\s*old)?\W*",
        low,
    )
    if found:
        amount = measures.number(found[1])
        if amount is None and re.fullmatch(r"[a-z]+[\s-][a-z]+", found[1]):
            parts = [measures.number(each) for each in re.split(r"[\s-]", found[1])]
            if all(each is not None for each in parts) and (parts[0] or 0) >= 20:
                amount = sum(each or 0 for each in parts)
        unit = (found[2] or "y")[:1]
        if found[2] == "m" and amount is not None and amount > 12:  # "67 m" is a man's age; "24 m" may be either
            if amount <= 36:
                return Read(False, again="again_age")
            unit = "y"
        days = None if amount is None else amount * DAYS[{"d": "day", "w": "week", "m": "month", "y": "year"}[unit]]
        if days is not None and 0 <= days <= 125 * DAYS["year"]:
            return Read(True, number=days)
    return Read(False, again="again_age")


def scale(text: str) -> Read:
    """A severity from 0 to 10."""
    if unsure(text):
        return Read(True, known=False)
    low = text.lower()
    if found := re.search(r"(?<![\d.])(\d{1,2})\s*(?:/|out\s+of)\s*10\b", low):
        return Read(True, number=float(min(10, int(found[1]))))  # "12 out of 10" is the worst
    said = [each for each in numbers(low) if each <= 10]
    if len(said) >= 1 and len(said) == len(numbers(low)):
        return Read(True, number=float(max(said)))  # "7 to 8" is 8
    word = measures.number(low.strip(" .!"))
    if word is not None and 0 <= word <= 10:
        return Read(True, number=word)
    for pattern, value in _SCALE_WORDS:
        if re.search(pattern, low):
            return Read(True, number=value)
    return Read(False, again="again_scale")


def duration(text: str) -> Read:
    """Read a duration, in hours."""
    if unsure(text):
        return Read(True, known=False)
    value = measures.hours(text)
    return Read(False, again="again") if value is None else Read(True, number=value)


def free(text: str) -> Read:
    """Anything that has words."""
    if unsure(text):
        return Read(True, known=False)
    letters = re.findall(r"[^\W\d_]{2,}", text)
    return Read(bool(letters), again="again_text")
