"""Reports for tests: one with everything, its states, and strategies that make others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from aris.exchange.documents.report import (
    DocumentReference,
    ImageReference,
    ModelIdentity,
    Patient,
    Report,
    Signer,
    Study,
    addend,
    checked,
    correct,
    sign,
)
from aris.tasks.results import Finding, Measurement, Region, Sections

DX = "1.2.840.10008.5.1.4.1.1.1.1"
IMAGE = ImageReference(sop_class=DX, uid="1.2.826.0.1.3680043.8.498.4", series="1.2.826.3", study="1.2.826.2")
WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SIGNER = Signer(
    name="Doe^Jane^Q^Dr",
    organization="St. Élan Hospital",
    signed_at=datetime(2026, 3, 5, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))),
    identifier="48-1234",
)
EARLIER = DocumentReference(sop_class="1.2.840.10008.5.1.4.1.1.88.33", uid="1.2.9", series="1.2.8", study="1.2.826.2")


def full(**changes: Any) -> Report:
    """A draft with every kind of content, and text in several scripts."""
    values: dict[str, Any] = {
        "model": ModelIdentity(name="aris-nano", revision="a1b2c3", prompt_version="p7", software="Aris 0.1.0"),
        "created": WHEN,
        "sections": Sections(
            findings="Opacity on the right – 右.\nA second line \\ with a backslash.", impression="Pneumonia."
        ),
        "findings": (
            Finding(name="pneumonia", probability=0.912345678901234, assessed=True, present=True, note="at one centre"),
            Finding(name="Pleural Effusion", probability=1e-7, assessed=True, present=False),
            Finding(name="a finding of a site's own list, whose name is far longer than 64 characters", assessed=False),
            Finding(name="edema", probability=0.5, assessed=True, present=None),
        ),
        "regions": (
            Region(
                label="pneumonia",
                box=(10.125, 20.0, 110.5, 220.75),
                probability=0.75,
                measurements=(Measurement(name="long axis", value=12.34567, unit="mm", note="detector plane"),),
                note="evidence of the model, no outline",
            ),
        ),
        "measurements": (Measurement(name="cardiothoracic ratio", value=0.52, unit="1"),),
        "warnings": ("the view is not stated", "age unknown"),
        "patient": Patient(
            identifier="P-1", issuer="ADT", name="Yamada^Tarou=山田^太郎=やまだ^たろう", birth_date="19700102", sex="F"
        ),
        "study": Study(
            uid="1.2.826.2", identifier="S1", accession="A1", date="20260303", time="101112", description="Chest",
            referrer="Roe^Richard",
        ),
        "images": (IMAGE,),
    }  # fmt: skip
    return checked(**(values | changes))


def plain(**changes: Any) -> Report:
    """Text alone, as Basic Text SR carries it."""
    return full(**({"findings": (), "regions": (), "measurements": ()} | changes))


def states() -> dict[str, Report]:
    """The report in each of its states, with and without measured content."""
    draft, text = full(), plain()
    signed = sign(draft, SIGNER)
    return {
        "draft": draft,
        "cut draft": full(complete=False),
        "forced draft": full(forced=True),
        "plain draft": text,
        "signed": signed,
        "plain signed": sign(text, SIGNER),
        "addended": addend(signed, "The lateral film shows no effusion.", SIGNER, EARLIER),
        "corrected": correct(signed, Sections(impression="No pneumonia."), SIGNER, EARLIER),
    }


# Whatever a model or a header may hold: other scripts, controls, separators of several formats.
_texts = st.text(max_size=120)
_names = st.text(min_size=1, max_size=90).filter(lambda s: " ".join(s.split()).strip() != "" and _visible(s))
_probabilities = st.none() | st.floats(0, 1)
_measurements = st.builds(
    Measurement,
    name=_names,
    value=st.floats(-1e9, 1e9, allow_nan=False),
    unit=st.sampled_from(["mm", "mm2", "1", "[hnsf'U]", "%"]),
    note=_texts,
)
_findings = st.builds(
    Finding,
    name=_names,
    probability=st.floats(0, 1),
    assessed=st.just(True),
    present=st.sampled_from([True, False, None]),
    note=_texts,
) | st.builds(Finding, name=_names, assessed=st.just(False), note=_texts)


def _visible(text: str) -> bool:
    from aris.exchange.documents.report import _clean_line

    return bool(_clean_line(text))


@st.composite
def _boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    left, top = draw(st.floats(0, 4000)), draw(st.floats(0, 4000))
    return left, top, left + draw(st.floats(0.5, 900)), top + draw(st.floats(0.5, 900))


reports = st.builds(
    full,
    sections=st.builds(Sections, findings=_texts, impression=_texts),
    findings=st.lists(_findings, max_size=3).map(tuple),
    regions=st.lists(
        st.builds(
            Region, label=_names, box=_boxes(), probability=_probabilities,
            measurements=st.lists(_measurements, max_size=2).map(tuple), note=st.just("") | _names,
        ),
        max_size=2,
    ).map(tuple),
    measurements=st.lists(_measurements, max_size=2).map(tuple),
    warnings=st.lists(_names, max_size=2).map(tuple),
    forced=st.booleans(),
    complete=st.booleans(),
)  # fmt: skip
