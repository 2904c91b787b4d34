"""Parser of a choice among options, for base and tuned models, scored and generated answers alike.

A base model scored by one parser and its tuned version by another cannot be compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

_FINAL = re.compile(r"(?:final\s+answer|answer)\s*(?:is)?\s*:?\s*", re.IGNORECASE)


def parse_option(answer: str, options: Sequence[str]) -> int | None:
    """Parse the option that an answer names: its index; None if it names none, or several.

    Tried in this order, first on what stands after the last "Final Answer:" and then on all of it: the whole option as
    the prompt spells it ("A: adipose"), a letter alone ("(A)", "A."), an option's text alone, the longest where one is
    within another ("normal colon mucosa" is not "mucosa").

    Args:
        answer: without reasoning.
        options: their texts, without letters.
    """
    last = [match.end() for match in _FINAL.finditer(answer)]
    parts = [answer[last[-1] :], answer] if last else [answer]
    for part in parts:
        text = _plain(part)
        for found in (_whole(text, options), _letter(part, len(options)), _text(text, options)):
            if len(found) == 1:
                return found.pop()
            if found:
                return None
    return None


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[*_`\"']", "", text).lower().split())


def _whole(text: str, options: Sequence[str]) -> set[int]:
    found = set()
    for index, (letter, option) in enumerate(zip(ascii_uppercase.lower(), options, strict=False)):
        if re.search(rf"(?<!\w)\(?{letter}\s*[:.)]\s*{re.escape(_plain(option))}(?!\w)", text):
            found.add(index)
    return found


def _letter(text: str, count: int) -> set[int]:
    match = re.fullmatch(r"[\s*_(\"'`]*([A-Za-z])[\s*_):.\"'`]*", text)
    index = ascii_uppercase.find(match[1].upper()) if match else -1
    return {index} if 0 <= index < count else set()


def _text(text: str, options: Sequence[str]) -> set[int]:
    left = text
    found = set()
    for index in sorted(range(len(options)), key=lambda index: -len(options[index])):
        pattern = rf"(?<!\w){re.escape(_plain(options[index]))}(?!\w)"
        if re.search(pattern, left):
            found.add(index)
            left = re.sub(pattern, " \0 ", left)  # a shorter option within this one was not meant
    return found
