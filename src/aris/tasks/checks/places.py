"""Sides and regions of the body that a text names, against those that were imaged."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aris.tasks.checks.facts import Facts
from aris.tasks.text.assertion import mentions
from aris.tasks.text.report import sentences

_SIDE = re.compile(r"\b(left|right)(?:[- ]sided)?\b", re.IGNORECASE)
_OTHER_SIDE = re.compile(r"\b(?:compar\w*|than|contralateral|opposite|other side|versus|vs)\b", re.IGNORECASE)
# Paired parts as Body Part Examined spells them (PS3.16 annex L); of others both sides are on one image.
_PAIRED = (
    "ANKLE", "ARM", "BREAST", "CALCANEUS", "CLAVICLE", "EAR", "ELBOW", "EXTREMITY", "EYE", "FEMUR", "FINGER", "FOOT",
    "FOREARM", "HAND", "HIP", "HUMERUS", "KNEE", "LEG", "PATELLA", "RADIUS", "RETINA", "SCAPULA", "SHOULDER", "THIGH",
    "THUMB", "TIBIA", "FIBULA", "TOE", "ULNA", "WRIST",
)  # fmt: skip
_NAMES = {"L": "left", "R": "right"}

# Words that belong to one region alone, and which regions' images may well show them.
_WORDS: dict[str, str] = {
    "head": r"brain|cerebral|cerebell\w+|intracranial|lateral ventricles?|subdural|calvari\w+|sella|basal ganglia",
    "pelvis": r"prostate|uterus|uterine|ovar(?:y|ies|ian)|urinary bladder|pubic|acetabul\w+|femoral head",
    "abdomen": r"pancreas|pancreatic|kidneys?|renal|appendix|bowel obstruction|mesenter\w+|adrenal glands?",
    "leg": r"knees?|patell\w+|tibia\w*|fibula\w*|ankles?|metatars\w+|calcane\w+|femur|femoral condyles?|menisc\w+",
    "arm": r"wrists?|metacarp\w+|scaphoid|carpal|elbows?|olecranon|phalan(?:x|ges)",
    "chest": r"lungs?|pulmonary|pleura\w*|cardiomegaly|cardiac silhouette|pneumothorax|costophrenic|hilar?"
    r"|mediastin\w+",
    "eye": r"retina\w*|optic dis[ck]|macula\w*|fundus photograph",
}
_SEEN_WITH = {
    "head": {"head", "eye"}, "neck": {"head", "chest"}, "chest": {"chest", "abdomen"},
    "abdomen": {"abdomen", "pelvis", "chest"}, "pelvis": {"pelvis", "abdomen", "leg"}, "leg": {"leg", "pelvis"},
    "arm": {"arm"}, "spine": {"abdomen", "pelvis", "chest", "head"}, "eye": {"eye"},
}  # fmt: skip
_PARTS = {
    "head": ("HEAD", "BRAIN", "SKULL", "SINUS", "FACE", "JAW", "MANDIBLE"),
    "neck": ("NECK", "LARYNX", "THYROID"),
    "spine": ("SPINE", "CSPINE", "TSPINE", "LSPINE", "SACRUM", "COCCYX"),
    "chest": ("CHEST", "THORA", "TORAX", "LUNG", "RIB", "HEART", "STERNUM"),
    "abdomen": ("ABDOMEN", "KIDNEY", "LIVER", "PANCREAS", "STOMACH", "BOWEL", "COLON"),
    "pelvis": ("PELVIS", "HIP", "BLADDER", "PROSTATE", "UTERUS"),
    "leg": ("ANKLE", "CALCANEUS", "FEMUR", "FOOT", "KNEE", "LEG", "PATELLA", "THIGH", "TIBIA", "FIBULA", "TOE"),
    "arm": ("ARM", "ELBOW", "FINGER", "FOREARM", "HAND", "HUMERUS", "RADIUS", "THUMB", "ULNA", "WRIST"),
    "eye": ("EYE", "RETINA", "ORBIT"),
}
# What is told of the patient and not of the image.
_HISTORY = re.compile(
    r"\b(?:history|status post|s/p|known|clinical(?:ly)?|prior|previous|recommend\w*|suggest(?:ed)? (?:follow|further)"
    r"|further evaluation|cannot be assessed|not (?:included|imaged|evaluated)|outside)\b",
    re.IGNORECASE,
)


def laterality(text: str, facts: Facts) -> Iterator[str]:
    """The side that a text names against the side that was imaged, and that of a finding's box or evidence."""
    part = (facts.body_part or "").upper()
    side = _NAMES.get(facts.laterality or "")
    if side and (facts.kind == "fundus" or any(name in part for name in _PAIRED)):
        other = "right" if side == "left" else "left"
        for sentence in sentences(text):
            told = {match[1].lower() for match in _SIDE.finditer(sentence)}
            if told == {other} and not _OTHER_SIDE.search(sentence):
                yield f"the draft speaks of the {other} side, the image is of the {side} (Laterality)"
                break
    for region, found in zip(facts.regions, facts.sides, strict=True):
        yield from _against_box(text, region.label, found, "evidence" if region.note else "box")


def _against_box(text: str, label: str, side: str, what: str) -> Iterator[str]:
    name = re.sub(_SIDE, "", label).strip() or label
    words = "|".join(map(re.escape, mentions(name)))
    told = {
        match[1].lower()
        for sentence in sentences(text.lower())
        if re.search(rf"\b(?:{words})\b", sentence) and not re.search(r"\b(?:no|without|not|clear)\b", sentence)
        for match in _SIDE.finditer(sentence)
    } | {match[1].lower() for match in _SIDE.finditer(label)}
    if told and not side:
        yield f"the side of {name} cannot be checked: the file does not say how the patient lies on the image"
    elif told and side in ("left", "right") and side not in told:
        yield f"the draft puts {name} on the {' and '.join(sorted(told))}, its {what} lies on the patient's {side}"


def region(text: str, facts: Facts) -> Iterator[str]:
    """Parts of the body that the images cannot show."""
    seen = _regions(facts)
    if not seen:
        return
    for name, words in _WORDS.items():
        if name in seen:
            continue
        for sentence in sentences(text):
            found = re.search(rf"\b(?:{words})\b", sentence, re.IGNORECASE)
            if found and not _HISTORY.search(sentence):
                yield f"the draft speaks of {found[0].lower()}, which images of the {_part(facts)} do not show"
                break


def _regions(facts: Facts) -> set[str]:
    if facts.kind == "chest film":
        return _SEEN_WITH["chest"]
    if facts.kind == "fundus":
        return _SEEN_WITH["eye"]
    if facts.kind in ("skin", "pathology") or not facts.body_part:
        return set()
    part = facts.body_part.upper()
    seen: set[str] = set()
    for name, parts in _PARTS.items():
        if any(each in part for each in parts):
            seen |= _SEEN_WITH[name]
    return seen


def _part(facts: Facts) -> str:
    named = {"chest film": "chest", "fundus": "fundus"}.get(facts.kind)
    return named or (facts.body_part or "").lower()
