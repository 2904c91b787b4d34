"""More yes/no questions on an image, derived from those that experts answered, for the training of `aris-nano`.

A closed question can be asked in other words (same answer) or the other way round (normal, abnormal). An answer to an
open question settles some closed ones: an answer "MRI" excludes CT. Nothing else is inferred.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_PRESENCE = re.compile(
    r"^(?:is/are|is|are) there (?:(?:any|an?|the) )?(?:evidence of (?:(?:any|an?) )?|signs? of )?(?P<what>[^?]+?)"
    r"(?: present| visible| seen| shown)?"
    r"(?: (?:in|on) (?:the|this) (?:image|film|image|scan|x-ray|radiograph))?\s*\??$",
    re.IGNORECASE,
)
_ASKED = (
    "Is there {what}?",
    "Is/Are there {what}?",
    "Is there evidence of {what}?",
    "Can you see {what} in this image?",
    "Does this image show {what}?",
    "Is {what} present?",
)
_STATE = re.compile(
    r"^(?P<head>(?:is|are|does|do|is/are) .+?)\b(?P<state>abnormal|normal)\b(?P<tail>[^?]*\??)$", re.IGNORECASE
)
_MODALITIES = {
    "CT": r"\bct\b|computed tomography|cat scan",
    "MRI": r"\bmri?\b|magnetic resonance|\bt[12]\b|t[12][- ]weighted|\bflair\b|\bdwi\b|diffusion",
    "X-ray": r"x-?ray|\bxr\b|plain film|radiograph|\bcxr\b",
}
_PLANES = {"axial": r"\baxial\b|transverse", "sagittal": r"sagittal|saggital", "coronal": r"coronal"}
_ORGANS = {"CHEST": "chest", "HEAD": "head", "ABD": "abdomen"}
_WRONG = {"Yes": "No", "No": "Yes"}


def tidy(question: str) -> str:
    """Remove the marks of the form that a question was typed into ("-yes/no", doubled blanks)."""
    question = re.sub(r"\s*-\s*(?:yes/no|open)\s*$", "", question.strip(), flags=re.IGNORECASE)
    return re.sub(r"\s+", " ", question).strip()


def other_words(question: str, answer: str) -> list[tuple[str, str]]:
    """Rephrase a yes/no question; return each form with its answer ("Yes" or "No"), none if no rule fits."""
    if answer not in _WRONG:
        return []
    question = tidy(question)
    out: list[tuple[str, str]] = []
    presence = _PRESENCE.match(question)
    if presence:
        what = presence["what"].strip()
        if len(what.split()) <= 6:
            out += [(form.format(what=what), answer) for form in _ASKED]
    state = _STATE.match(question)
    if state and not re.search(r"\b(?:or|not)\b", question, re.IGNORECASE):
        swapped = "normal" if state["state"].lower() == "abnormal" else "abnormal"
        head = re.sub(r"\b(an?) $", "an " if swapped == "abnormal" else "a ", state["head"])
        out.append((f"{head}{swapped}{state['tail']}", _WRONG[answer]))
    return [(text, reply) for text, reply in out if text.lower() != question.lower()]


def settled(organ: str, asked: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    """Yield yes/no questions on an image that its known answers settle.

    Args:
        organ: "CHEST", "HEAD" or "ABD".
        asked: the image's questions with their types ("MODALITY", "PLANE", ...) and answers.
    """
    for code, name in _ORGANS.items():
        yield f"Is this an image of the {name}?", "Yes" if code == organ else "No"
    known = {"MODALITY": "", "PLANE": ""}
    for _, kind, answer in asked:
        if kind in known:
            known[kind] += f" {answer.lower()}"
    for kind, table, forms in (
        ("MODALITY", _MODALITIES, ("Is this a {}?", "Is this image a {}?")),
        ("PLANE", _PLANES, ("Is this an {} image?", "Was this image taken in the {} plane?")),
    ):
        found = [name for name, words in table.items() if re.search(words, known[kind])]
        if len(found) == 1:  # two mean that the answers disagree, or name what the image is not
            for name in table:
                for form in forms:
                    text = form.format(name) if name[0] in "aA" else form.format(name).replace(" an ", " a ")
                    text = text.replace("a MRI", "an MRI").replace("a X-ray", "an X-ray")
                    yield text, "Yes" if name == found[0] else "No"
