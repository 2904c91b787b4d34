"""Statements that need what was not there: a prior image, a scale, another modality."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aris.imaging.radiograph import UNKNOWN_CALIBRATION
from aris.tasks.checks.facts import Facts
from aris.tasks.text.report import sentences

_IMAGES = r"(?:study|studies|exam\w*|films?|radiographs?|x-?rays?|cts?|scans?|images?|imaging|comparison)"
_PRIOR = re.compile(
    rf"\b(?:(?:un)?changed (?:from|since)|unchanged|(?:no |without )?(?:significant |acute )?interval (?:change"
    rf"|increase|decrease|improvement|worsening|development|resolution|removal|placement)"
    rf"|(?:compared|in comparison) (?:to|with)"
    rf"|(?:prior|previous|earlier|last|preceding) {_IMAGES}|again (?:seen|noted|identified|demonstrated|visualized)"
    rf"|since the (?:prior|previous|last)|stable (?:since|from|compared|in appearance|in size|appearance)"
    rf"|(?:has|have) (?:increased|decreased|improved|worsened|progressed|resolved|enlarged|developed)"
    rf"|(?:remains?|remained) (?:stable|unchanged|enlarged)|no longer (?:seen|visible|present)"
    rf"|newly (?:seen|developed))\b",
    re.IGNORECASE,
)
# What looks forward, or says that there is nothing to compare with.
_NOT_A_CLAIM = re.compile(
    r"\b(?:no (?:prior|previous|earlier|comparison)|not available|unavailable|if (?:\w+ ){0,3}(?:prior|previous)"
    r"|recommend\w*|correlat\w+|follow[- ]?up|would be|should be|may be helpful|are requested|obtain\w*)\b",
    re.IGNORECASE,
)
# A length in digits. "at 5 cm above the carina" is a length too: it needs a scale as much.
_LENGTH = re.compile(
    r"(?<![\w.])\d+(?:\.\d+)?(?:\s*(?:x|by|\u00d7|-|to)\s*\d+(?:\.\d+)?){0,2}\s*-?\s*"
    r"(?:mm|cm|millimet(?:er|re)s?|centimet(?:er|re)s?)\b",
    re.IGNORECASE,
)
# What only a modality's own images show. A recommendation of CT is none of these.
_OWN_WORDS: dict[str, str] = {
    "CT": r"hounsfield|\d+ HU|hypodens\w+|hyperdens\w+|ground[- ]glass attenuation|lung windows?"
    r"|(?:this|the|axial|contrast[- ]enhanced|enhanced) CT (?:scan |images? )?"
    r"(?:shows?|demonstrates?|reveals?)|axial (?:slices?|images?)",
    "MR": r"T[12][- ](?:weighted|hyperintens\w+|hypointens\w+|signal)|FLAIR|restricted diffusion|signal intensity"
    r"|hyperintens\w+|hypointens\w+|gadolinium|(?:this|the) MRI? (?:shows?|demonstrates?|reveals?)",
    "ultrasound": r"echogenic\w*|hypoechoic|hyperechoic|anechoic|doppler|sonographic\w*|acoustic shadowing",
    "film": r"(?:this|the) (?:chest )?(?:x-?ray|radiograph) (?:shows?|demonstrates?|reveals?)|radiolucen\w+"
    r"|(?:PA|AP) (?:view|projection)|cardiac silhouette",
    "microscopy": r"h&e|hematoxylin|haematoxylin|nuclear atypia|mitotic figures?|mitoses|pleomorphi\w+|stroma[l]?"
    r"|histolog\w+ sections?",
    "photograph": r"dermoscop\w+|pigment network|cotton[- ]wool spots?|optic dis[ck]|drusen|microaneurysms?",
}
_ALLOWED: dict[str, set[str]] = {
    "chest film": {"film"}, "film": {"film"}, "ct": {"CT"}, "mr": {"MR"}, "pathology": {"microscopy"},
    "skin": {"photograph"}, "fundus": {"photograph"},
}  # fmt: skip
_ADVICE = re.compile(
    r"\b(?:recommend\w*|suggest\w*|consider|correlat\w+|follow[- ]?up|further|could|would|may be|if|prior|previous"
    r"|comparison|compared)\b",
    re.IGNORECASE,
)


def prior(text: str, facts: Facts) -> Iterator[str]:
    """A claim of change, or of an earlier image, where none was given."""
    if facts.has_prior:
        return
    for sentence in sentences(text):
        found = _PRIOR.search(sentence)
        if found and not _NOT_A_CLAIM.search(sentence):
            said = " ".join(found[0].lower().split())
            yield f'the draft compares ("{said}"), but no prior image was given'
            return


def measurement(text: str, facts: Facts) -> Iterator[str]:
    """A length where the file has no scale, or only that of the detector."""
    found = _LENGTH.search(text)
    if found is None or facts.spacing == "PixelSpacing":
        return
    said = " ".join(found[0].split())
    if facts.spacing == "ImagerPixelSpacing":
        yield f"the draft gives a length ({said}): the file's scale is at the detector plane, uncalibrated"
    elif facts.spacing == UNKNOWN_CALIBRATION:
        yield f"the draft gives a length ({said}): the file does not say whether its scale is calibrated"
    else:
        yield f"the draft gives a length ({said}), but the file does not say how large a pixel is"


def modality(text: str, facts: Facts) -> Iterator[str]:
    """Words that belong to another modality than the images'."""
    for name, words in _OWN_WORDS.items():
        if name in _ALLOWED[facts.kind]:
            continue
        for sentence in sentences(text):
            found = re.search(rf"\b(?:{words})", sentence, re.IGNORECASE)
            if found and not _ADVICE.search(sentence):
                yield f'the draft has words of another modality ({name}): "{found[0].lower()}"'
                break
