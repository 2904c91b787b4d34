"""Details of a draft that its report does not hold: they stand beside its sentences on the screen.

How sure the model was of each sentence, which sentence a failed check is about, each finding's operating point, and
what evidence maps of its words are made from. Kept with the draft; drafts of before have none, and are read all the
same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aris.exchange.documents.report import Report, clean
from aris.tasks import Draft

UNSURE = "the model was unsure of these words"


@dataclass(frozen=True)
class SentenceWarning:
    """A warning of a draft, and the sentence that it is about; "" if it is about the whole."""

    text: str
    sentence: str


def details_of(draft: Draft, operating_points: Mapping[str, float]) -> dict[str, Any]:
    """The details of a draft, as JSON holds them.

    Args:
        operating_points: of findings by name: the probability from which on one counts as present.
    """
    scored = () if draft.assessment is None else draft.assessment.findings
    names = {each.name for each in draft.findings}
    return {
        "kind": draft.kind,
        "text": draft.text,
        "images": list(draft.instances),
        "words": {each.name: each.word for each in scored if each.word},
        "operating_points": {name: float(value) for name, value in operating_points.items() if name in names},
        "checks": [[each.check, each.message, each.sentence] for each in draft.checks],
        "confidence": None if draft.confidence is None else draft.confidence.model_dump(mode="json"),
    }


def operating_points(details: Mapping[str, Any] | None) -> dict[str, float]:
    """The operating point of each finding that has one."""
    return dict((details or {}).get("operating_points") or {})


def confidence_of(details: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Confidence of the model in each sentence: `section`, `text`, `mean_probability`, `marked`; [] where unknown."""
    told = ((details or {}).get("confidence") or {}).get("sentences") or ()
    return [{name: each[name] for name in ("section", "text", "mean_probability", "marked")} for each in told]


def warnings_of(report: Report, details: Mapping[str, Any] | None) -> tuple[SentenceWarning, ...]:
    """The warnings of a draft with their sentences: those of its report first, then where the model was unsure.

    Args:
        report: the draft's.
        details: as they were kept with it; of a draft that has none every warning is about the whole.
    """
    details = details or {}
    about = {" ".join(clean(message).split()): clean(sentence) for _, message, sentence in details.get("checks") or ()}
    found = [SentenceWarning(each, about.get(each, "")) for each in report.warnings]
    for each in (details.get("confidence") or {}).get("sentences") or ():
        if each["marked"]:
            text = f"{UNSURE} (mean probability {each['mean_probability']:.2f})"
            found.append(SentenceWarning(text, clean(each["text"])))
    return tuple(dict.fromkeys(found))
