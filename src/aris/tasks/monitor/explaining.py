"""A model's wording of a flag, beside the rule's own text; it is checked, and can neither raise nor lower anything."""

from __future__ import annotations

import re

from aris.backends import Backend, GenerationOptions
from aris.prompting import system, user
from aris.tasks.monitor.results import Flag

_SYSTEM = (
    "You word one alert of a rule for a clinician in one plain sentence of at most 40 words. Use only what the alert "
    "says: its numbers, its units. Add no advice, no cause, no judgement of how serious it is."
)
_LONGEST = 400
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
# Words that lower or deny, and words that order. A sentence that has one may be right, but is not needed.
_LOWERS = re.compile(
    r"\b(no|not|none|never|without|n't|normal\w*|benign|reassur\w+|stable|unlikely|false|ignore\w*|error\w*|artefact|"
    r"artifact|"
    r"resolved|improv\w+|harmless|minor|insignificant|unconcerning|fine|safe\w*|nothing|dismiss\w*|mild\w*|"
    r"routine|expected|acceptable|well)\b|n't\b",
    re.IGNORECASE,
)
_ORDERS = re.compile(
    r"\b(give|giv(?:e|ing)|administer\w*|start\w*|stop\w*|prescrib\w+|inject\w*|discontinu\w+|increase the|"
    r"decrease the|recommend\w*|should|must|treat\w*|order\w*|consider\w*|discharg\w+)\b",
    re.IGNORECASE,
)
# Which way it is: a sentence must not say that a high value is low.
_LOW = re.compile(r"\b(below|low\w*|decreas\w*|declin\w*|drop\w*|fall\w*|fell|hypo\w*|at most|under)\b", re.IGNORECASE)
_HIGH = re.compile(
    r"\b(above|high\w*|increas\w*|elevat\w*|rais\w*|rise\w*|rising|rose|hyper\w*|at least|exceed\w*|over)\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"[<>{}\[\]`#*_|]|https?:|\b(?:assistant|system|user)\s*:", re.IGNORECASE)


def explain(flag: Flag, model: Backend) -> Flag:
    """Let a model word a flag.

    Args:
        flag: as a rule found it.
        model: any backend. Whatever it does, fails at or says, the flag stays as it is but for its `explanation`.

    Returns:
        The flag, with the model's sentence where that says nothing but what the flag says.
    """
    said = "; ".join(each.shown for each in flag.evidence if each.name not in ("note", "report"))
    asked = f"Alert: {flag.title}. {flag.text}" + (f"\nValues: {said}" if said else "")
    try:
        reply = model.generate([system(_SYSTEM), user(asked)], GenerationOptions(max_tokens=100))
        text = " ".join(str(reply.text).split())
    except Exception:  # a wording is never worth an alarm
        return flag
    return flag.model_copy(update={"explanation": text}) if supported(text, flag) else flag


def supported(text: str, flag: Flag) -> bool:
    """Tell whether a sentence says nothing but what a flag says, as far as words and numbers tell."""
    if not text or len(text) > _LONGEST or _MARKUP.search(text) or not text.isprintable():
        return False
    facts = " ".join((flag.title, flag.text, *(each.shown for each in flag.evidence)))
    known = {_plain(each) for each in _NUMBER.findall(facts)}
    if any(_plain(each) not in known for each in _NUMBER.findall(text)):
        return False
    # What the rule's own text says may be said again: "not repeated within 6 hours".
    for words in (_LOWERS, _ORDERS):
        if any(found.group(0).lower() not in facts.lower() for found in words.finditer(text)):
            return False
    low, high = _LOW.search(facts) is not None, _HIGH.search(facts) is not None
    if low != high and (_HIGH if low else _LOW).search(text):
        return False
    return any(word in text.lower() for word in re.findall(r"[a-z]{4,}|inr|[a-z]+\d", flag.title.lower()))


def _plain(number: str) -> float:
    return float(number.replace(",", "."))
