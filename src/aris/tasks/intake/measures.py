"""Ages and measured values in a patient's words: temperature, blood pressure, pulse, oxygen, and how old someone is."""

from __future__ import annotations

import re
from typing import NamedTuple

DAYS = {"day": 1.0, "week": 7.0, "month": 30.44, "year": 365.25}
_UP_TO_NINETEEN = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_NUMBERS = {
    word: number
    for number, word in enumerate(_UP_TO_NINETEEN)
} | {"twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
     "ninety": 90, "a": 1, "an": 1, "half": 0.5, "couple": 2, "few": 3, "several": 4}  # fmt: skip
_UNIT = r"(d(?:ay)?s?|w(?:ee)?ks?|w|months?|mths?|mos?|m|y(?:ea)?rs?|y/?o|y)"
_TENS = "twenty|thirty|f(?:o|ou)rty|fifty|sixty|seventy|eighty|ninety"
_COMPOUND = rf"(?:{_TENS})[\s-]+(?:one|two|three|four|five|six|seven|eight|nine)"
# "And" and "am" are no "an d(ay)" and "a m(onth)".
_VALUE = (
    r"(?!(?:and|am|ad|aw|ay|any)\b)"
    rf"(\d{{1,3}}(?:[.,]\d{{1,2}})?(?:\s+1/2)?|{_COMPOUND}|" + "|".join(sorted(_NUMBERS, key=len, reverse=True)) + r")"
)
_PARTS = re.compile(
    rf"\b{_VALUE}\s*(?:years?|yrs?|y)[\s,]*(?:and\s+)?{_VALUE}\s*(months?|mths?|mos?|m|weeks?|wks?|w|days?|d)\b",
    re.IGNORECASE,
)
_OLD = re.compile(r"\s*(?:old|of\s+age)\b", re.IGNORECASE)
_AGE = re.compile(
    rf"\b{_VALUE}(?:\s+and\s+a\s+half)?[\s-]*{_UNIT}[\s-]*(?:old|of\s+age|babys?|infant|boy|girl|son|daughter|child)\b"
    rf"|\b(?:baby|infant|newborn|son|daughter|child|boy|girl)\s*[,(]?\s*(?:is|of|who\s+is|aged?|just)?\s*{_VALUE}\s*{_UNIT}\b"
    r"(?!\s*(?:ago|late|early|overdue|back|before|after|apart|now))"
    rf"|\b(\d{{1,3}})\s*(?:y/?o|yo|yrs?\s*old)\b"
    rf"|(?<!at )(?<!at the )\bage[d:]?\s*(?:of\s+)?(\d{{1,3}})\b(?!\s*(?:weeks?|months?|days?))"
    r"|\b(\d{1,2})\s*[mf]\b(?=[\s,.])|\b(\d{1,3})\s+(?:male|female|man|woman)\b"
    r"|\b(?:i['\u2019\s]*a?m|he['\u2019\s]*i?s|she['\u2019\s]*i?s)\s+(\d{1,3})\b(?=\s*(?:and|,|\.|;|$))"
    r"|\b(?:mum|mom|mother|dad|father|gran|nan|nana|granny|grandma|grandad|granddad|grandpa|wife|husband|partner|brother|"
    r"sister)(?:\s+is|['\u2019]s|\s*[,(]\s*|\s+aged?)\s*(\d{2,3})\b(?=\s*(?:[,.;)]|and\b|with\b|has\b|$))"
    r"|\b(?:son|daughter|boy|girl|child|kid|toddler|lad|grandson|granddaughter|grandchild)\s*[,(]?\s*(\d{1,2})\b"
    r"(?=\s*(?:[,.;)]|and\b|has\b|is\b|had\b|hasn|isn|won|can|$))",
    re.IGNORECASE,
)
_NEWBORN = re.compile(r"\b(?:newborn|new\s+born|neonate|just\s+born)\b", re.IGNORECASE)
_TEMPERATURE = re.compile(
    r"(?:(temp\w*|fever\w*|febrile)[^.;\d\n]{0,25})?(?<![\d/.])(\d{2,3}(?:[.,]\d{1,2})?)\s*"
    r"(?:(?:\u00b0|deg(?:ree)?s?\.?)\s*)?(c\b|f\b|celsius|centigrade|fahrenheit|\u00b0|degrees)?(?![\d/])",
    re.IGNORECASE,
)
_PRESSURE = re.compile(r"\b(\d{2,3})\s*(?:/|over)\s*(\d{2,3})\b", re.IGNORECASE)
_OXYGEN = re.compile(
    r"\b(?:oxygen|o2|spo2|sp02|sats?|saturations?)\b[^.;\d\n]{0,25}(?<!\d)(\d{2,3})\s*%?(?!\d)", re.IGNORECASE
)
_PRESSURE_SAID = re.compile(r"\b(?:bp|(?:blood\s+)?pressure)\b[^.;\n]{0,25}\Z", re.IGNORECASE)
_PRESSURE_ALONE = re.compile(
    r"\b(?:bp|blood\s+pressure)\b[^.;,\d\n]{0,20}(?<![\d/])(\d{2,3})\b"
    r"(?!\s*(?:/|over\b|\d|[.,]\d|%|tablets?|mg|years?|days?|weeks?|hours?|minutes?))",
    re.IGNORECASE,
)
_PULSE = re.compile(r"\b(?:pulse|heart\s*rate|heartbeat|hr)\b[^.;\d\n]{0,20}(?<!\d)(\d{2,3})(?![\d/])", re.IGNORECASE)
# A fast heart belongs to these; slower ones, and what is felt beside it, are not.
_EXERTION = re.compile(
    r"[^.;\n]{0,15}\b(?:when|while|during|after|if)\b[^.;,\n]{0,15}\b(?:runs?|running|jog\w*|cycl\w*|exercis\w*|"
    r"work(?:ing)?\s*out|gym|sprint\w*|train(?:ing)?|treadmill|spin\s+class|swim\w*|row(?:ing)?|football|tennis|squash|"
    r"boxing)\b",
    re.IGNORECASE,
)
_SUGAR = re.compile(
    r"\b(?:(?:blood\s+)?(?:sugars?|glucose)|bgl?|bm)\b(?:\s+(?:level|reading|is|are|was|of|at|now|today|just|only|about|"
    r"around|says|shows|read|reads|won['\u2019]?t|come|coming|down|below|under|stuck|still|keeps?|staying|over|above|"
    r"been|gone|went|to|up|all|day|night|since))*\s*[:=]?\s*(?<![\d.])(\d{1,3}(?:[.,]\d)?)(?![\d/])\s*(mmol|mg)?",
    re.IGNORECASE,
)
_LASTING = re.compile(rf"\b{_VALUE}\s*(?:of\s+)?(minutes?|mins?|hours?|hrs?|days?|weeks?|wks?|months?|years?|yrs?)\b",
                      re.IGNORECASE)  # fmt: skip
_HOURS = {"min": 1 / 60, "hou": 1.0, "hrs": 1.0, "hr": 1.0, "day": 24.0, "wee": 168.0, "wks": 168.0, "wk": 168.0,
          "mon": 730.0, "yea": 8766.0, "yrs": 8766.0, "yr": 8766.0}  # fmt: skip
_WHEN = {
    r"\b(?:just\s+now|right\s+now|moments?\s+ago|minutes\s+ago)\b": 0.2,
    r"\b(?:this\s+(?:morning|afternoon|evening)|today|earlier|tonight|since\s+i\s+woke)\b": 8.0,
    r"\b(?:last\s+night|overnight|yesterday|since\s+(?:last\s+night|yesterday))\b": 24.0,
    r"\b(?:(?:since|on|last)\s+)?(?:mon|tues|wednes|thurs|fri|satur|sun)day\b": 72.0,
    r"\blast\s+week\b": 168.0,
    r"\blast\s+month\b": 730.0,
    r"\blast\s+year\b": 8766.0,
    r"\b(?:for\s+)?(?:years|ages|forever|long\s+time|always|all\s+my\s+life)\b": 8766.0,
    r"\b(?:for\s+)?(?:months)\b": 1460.0,
    r"\b(?:for\s+)?(?:weeks)\b": 336.0,
    r"\b(?:for\s+)?(?:days)\b": 72.0,
    r"\b(?:for\s+)?(?:hours)\b": 3.0,
}


class Measured(NamedTuple):
    """A finding that a measured value gives, and its place in the text."""

    finding: str
    start: int
    end: int


def number(text: str) -> float | None:
    """A number in digits or as a word; None if it is none."""
    low = text.strip().lower().replace(",", ".")
    if low in _NUMBERS:
        return float(_NUMBERS[low])
    if re.fullmatch(_COMPOUND, low):
        return float(sum(_NUMBERS[each] for each in re.split(r"[\s-]+", low)))
    try:
        return float(low)
    except ValueError:
        return None


def joined_ages(text: str, *, everywhere: bool = False) -> str:
    """A text in which "70 years and 6 months old" is one number of years, so that its last part is not taken for it.

    Args:
        text: any.
        everywhere: also where nothing says that it is an age.
    """

    def joined(match: re.Match[str]) -> str:
        years, more = number(match[1]), number(match[2])
        if years is None or more is None or not (everywhere or _OLD.match(text, match.end())):
            return match[0]
        return f"{years + more * _days(match[3]) / DAYS['year']:.2f} years"

    return _PARTS.sub(joined, text)


def ages(text: str) -> list[float]:
    """The ages that a text says, in days."""
    text = joined_ages(text)
    found: list[float] = []
    for match in _AGE.finditer(text):
        value, unit, value_2, unit_2, *years = match.groups()
        if (value or value_2) and (unit or unit_2):
            amount = number(value or value_2)
            if amount is not None:
                found.append(amount * _days(unit or unit_2))
        else:
            found += [float(each) * DAYS["year"] for each in years if each is not None]
    if _NEWBORN.search(text):
        found.append(1.0)
    return [each for each in found if each <= 125 * DAYS["year"]]


def _days(unit: str) -> float:
    low = unit.lower()
    if low.startswith("d"):
        return DAYS["day"]
    if low.startswith("w"):
        return DAYS["week"]
    return DAYS["month"] if low.startswith("m") else DAYS["year"]


def measured(text: str) -> list[Measured]:
    """The findings that measured values in a text give."""
    found: list[Measured] = []
    for match in _TEMPERATURE.finditer(text):
        context, said, unit = match.groups()
        value = float(said.replace(",", "."))
        known = (unit or "").lower()[:1] in ("c", "f")
        if not (context or known or unit):
            continue
        celsius = (value - 32) / 1.8 if value > 80 or (unit or "").lower().startswith("f") else value
        if not 30 <= celsius <= 44 or (not context and not known and not 35 <= celsius <= 43):
            continue
        names = (
            ["fever"] * (celsius >= 37.95) + ["fever_high"] * (celsius >= 38.95) + ["low_temperature"] * (celsius < 36)
        )
        found += [Measured(name, match.start(2), match.end()) for name in names]
    for match in _PRESSURE.finditer(text):
        upper, lower = int(match[1]), int(match[2])
        # "12/10" is a day, unless the text says that it is a pressure.
        named = bool(_PRESSURE_SAID.search(text[max(0, match.start() - 40) : match.start()]))
        if (30 if named else 50) <= upper <= 300 and (10 if named else 20) <= lower < upper and (
            named or not (upper <= 60 and lower <= 31)
        ):
            if upper >= 180 or lower >= 110:
                found.append(Measured("high_bp", match.start(), match.end()))
            elif upper < 90:
                found.append(Measured("low_bp", match.start(), match.end()))
    for match in _PRESSURE_ALONE.finditer(text):
        if 40 <= int(match[1]) < 90:
            found.append(Measured("low_bp", match.start(), match.end()))
        elif 180 <= int(match[1]) <= 300:
            found.append(Measured("high_bp", match.start(), match.end()))
    for match in _OXYGEN.finditer(text):
        if 50 <= int(match[1]) < 92:
            found.append(Measured("low_oxygen", match.start(), match.end()))
    for match in _SUGAR.finditer(text):
        found += [Measured(name, match.start(), match.end()) for name in _sugar(match[1], match[2])]
    for match in _PULSE.finditer(text):
        if not 40 < int(match[1]) < 140 and not (140 <= int(match[1]) < 190 and _EXERTION.match(text, match.end())):
            found.append(Measured("heart_rate_extreme", match.start(), match.end()))
    return found


def _sugar(said: str, unit: str | None) -> list[str]:
    """The findings of a blood sugar; without a unit, what either mmol/L or mg/dL makes of it."""
    value = float(said.replace(",", "."))
    low = (unit or "").lower()
    mmol = low == "mmol" or (not low and value < 50)
    mg = low == "mg" or (not low and value >= 25)
    high = (mmol and value >= 15) or (mg and value >= 270)
    small = (mmol and value < 3.9) or (mg and value < 70)
    return ["sugar_high"] * high + ["sugar_low"] * small


def hours(text: str) -> float | None:
    """Return how long something has lasted, in hours, as a text says it; None if it says nothing of time."""
    found = [float(number(m[1]) or 0) * _HOURS[m[2].lower()[:3]] for m in _LASTING.finditer(text)]
    if found:
        return max(found)
    low = text.lower()
    return next((value for pattern, value in _WHEN.items() if re.search(pattern, low)), None)
