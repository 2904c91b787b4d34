"""A report as it leaves for other systems: the contents of every document format, and its signer.

One model for DICOM SR, FHIR, PDF, text and JSON: each format is written from a `Report`, and those that can be read
give the same `Report` back.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from aris.checkpoints.registry import find
from aris.errors import ExchangeError
from aris.tasks.evidence_maps.maps import evidence_of
from aris.tasks.results import DRAFT_MARK, Draft, Finding, Measurement, Region, Sections
from aris.tasks.scope import not_for_patients

Status = Literal["draft", "signed", "addended", "corrected"]
# What neither DICOM text (PS3.5 6.1.3) nor XML and FHIR strings can hold, lone surrogates; and what reorders or hides
# text where it is shown: bidirectional embeddings, overrides and isolates, annotations, tags, byte order marks. The
# plain marks of right-to-left scripts, and the joiners of others, stay.
_NOT_TEXT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff"
    "\u202a-\u202e\u2066-\u2069\u206a-\u206f\u200b\u2060\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x85\u2028\u2029]")


def clean(text: str) -> str:
    """Return the text as every format can hold it: without controls and what hides or reorders, lines ended by LF."""
    return _NOT_TEXT.sub("", _LINE_ENDS.sub("\n", text)).strip()


def _clean_line(text: str) -> str:
    return " ".join(clean(text).split())


def _uid(value: str) -> str:
    """A UID as the store takes it.

    Components that begin with a zero are not allowed (PS3.5 9.1), but an object that has one is known by it, and a
    document must name the object as it is.
    """
    if value and not (len(value) <= 64 and re.fullmatch(r"[0-9]+(\.[0-9]+)+", value, re.ASCII)):
        raise ValueError("not a DICOM UID (PS3.5 chapter 9)")
    return value


def _seconds(moment: datetime) -> datetime:
    """To the second: more than any of the formats keeps alike, and no document needs."""
    return moment.replace(microsecond=0)


def _name(value: str) -> str:
    """A person name without empty components at its ends, in which systems differ."""
    groups = ["^".join(part.strip() for part in group.split("^")).rstrip("^") for group in value.split("=")]
    return "=".join(groups).rstrip("=")


def _date(value: str) -> str:
    if value and (len(value) != 8 or not value.isdigit()):
        raise ValueError("not a date; write YYYYMMDD")
    if value:
        datetime.strptime(value, "%Y%m%d")
    return value


def _time(value: str) -> str:
    if value and not re.fullmatch("([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]", value):
        raise ValueError("not a time of day; write HHMMSS")
    return value


Date = Annotated[str, AfterValidator(_date)]
Time = Annotated[str, AfterValidator(_time)]
Text = Annotated[str, AfterValidator(clean)]
Line = Annotated[str, AfterValidator(_clean_line)]
# Of an attribute of one value: a backslash would make two of it (PS3.5 6.4), in a name too.
OneValue = Annotated[str, AfterValidator(_clean_line), AfterValidator(lambda text: text.replace("\\", "/"))]
PersonName = Annotated[OneValue, AfterValidator(_name)]
Uid = Annotated[str, AfterValidator(_uid)]
Moment = Annotated[AwareDatetime, AfterValidator(_seconds)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Patient(_Part):
    """Patient of the images; every field is "" where it is not known.

    Attributes:
        identifier, issuer: Patient ID (0010,0020) and Issuer of Patient ID (0010,0021).
        name: a DICOM person name, `Family^Given^Middle^Prefix^Suffix`, up to three groups separated by "=".
        birth_date: YYYYMMDD.
        sex: "M", "F", "O" or "".
    """

    identifier: OneValue = ""
    issuer: OneValue = ""
    name: PersonName = ""
    birth_date: Date = ""
    sex: Literal["M", "F", "O", ""] = ""


class Study(_Part):
    """The imaging study. `date` is YYYYMMDD and `time` HHMMSS, in the place's own time, as DICOM has them."""

    uid: Uid = ""
    identifier: OneValue = ""
    accession: OneValue = ""
    date: Date = ""
    time: Time = ""
    description: OneValue = ""
    referrer: PersonName = ""


class ImageReference(_Part):
    """Reference to an image that was read."""

    sop_class: Uid
    uid: Uid
    series: Uid
    study: Uid


class ModelIdentity(_Part):
    """Identity of the model that wrote the draft.

    Attributes:
        name: as in `aris models list`, or as the backend calls it.
        revision: commit, digest or version of its weights; "" where it is not known.
        prompt_version: of the prompts' wording.
        software: the program that ran it, with its version.
    """

    name: Line = Field(min_length=1)
    revision: Line = ""
    prompt_version: Line = ""
    software: Line = Field(min_length=1)


class Signer(_Part):
    """Signer of the report.

    Attributes:
        name: a DICOM person name.
        organization: on whose behalf.
        signed_at: when.
        identifier: within the organization; may be empty.
    """

    name: PersonName = Field(min_length=1)
    organization: Line = Field(min_length=1)
    signed_at: Moment
    identifier: Line = ""


class DocumentReference(_Part):
    """A DICOM document that this one follows."""

    sop_class: Uid
    uid: Uid
    series: Uid
    study: Uid


class Report(_Part):
    """A report, a draft until somebody signs it.

    Attributes:
        status: "draft" (nobody answers for it), "signed", "addended" (text was added to a signed report) or
            "corrected" (a signed report was changed).
        model: what wrote the draft.
        caution: what stands on top, beside the mark, of what a model wrote that is never for patient care; from its
            name where it is not given, "" for other models. A signature does not take it away.
        created: when this version was written.
        sections, findings, regions, measurements, warnings, forced: as the task gave them.
        complete: whether the model ended its text itself.
        addenda: texts added after signing, oldest first.
        patient, study, images: what it is about.
        signer: who signed this version; None for a draft.
        predecessors: the documents whose content this one takes up; of an addendum or a correction at least one.

    Raises:
        ValueError: a state that cannot be: a signed report without a signer, a draft with one, a correction of nothing.
    """

    status: Status = "draft"
    model: ModelIdentity
    caution: Line = ""
    created: Moment
    sections: Sections = Sections()
    findings: tuple[Finding, ...] = ()
    regions: tuple[Region, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    warnings: tuple[Line, ...] = ()
    forced: bool = False
    complete: bool = True
    addenda: tuple[Text, ...] = ()
    patient: Patient = Patient()
    study: Study = Study()
    images: tuple[ImageReference, ...] = ()
    signer: Signer | None = None
    predecessors: tuple[DocumentReference, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _with_caution(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("caution"):
            model = values.get("model")
            name = model.get("name") if isinstance(model, dict) else getattr(model, "name", "")
            said = not_for_patients(find(name)) if isinstance(name, str) else ""
            return {**values, "caution": said} if said else values
        return values

    @model_validator(mode="after")
    def _state_is_possible(self) -> Report:
        if (self.status == "draft") != (self.signer is None):
            raise ValueError("a draft has no signer, and every other report has one")
        if not self.is_draft and not self.complete:
            raise ValueError("only a draft may be incomplete")
        if self.status in ("addended", "corrected") and not self.predecessors:
            raise ValueError(f"an {self.status} report names the document that it follows")
        if self.status in ("draft", "signed") and (self.predecessors or self.addenda):
            raise ValueError(f"a {self.status} report follows no other document and has no addendum")
        if self.status == "addended" and not self.addenda:
            raise ValueError("an addended report has an addendum")
        known = {image.uid for image in self.images}
        for region in self.regions:
            if region.image and region.image not in known:
                raise ValueError("a region lies on an image that the report does not name")
        return self

    @property
    def is_draft(self) -> bool:
        return self.status == "draft"

    @property
    def mark(self) -> str:
        """Return the mark on top of every rendering: a draft's, or the signer and the time."""
        if self.signer is None:
            return DRAFT_MARK
        how = {"signed": "Signed", "addended": "Addendum signed", "corrected": "Corrected report, signed"}[self.status]
        who = f"{readable(self.signer.name)}, {self.signer.organization}"
        return f"{how} by {who}, {self.signer.signed_at:%Y-%m-%d %H:%M %Z}"


def report_of(
    draft: Draft,
    *,
    model: ModelIdentity,
    created: datetime | None = None,
    patient: Patient | None = None,
    study: Study | None = None,
    images: tuple[ImageReference, ...] = (),
    regions: tuple[Region, ...] = (),
    measurements: tuple[Measurement, ...] = (),
) -> Report:
    """A draft's report. It is a draft too: only `sign` makes more of it.

    Args:
        draft: what the task gave. Its file's path is left behind: paths may hold names.
        created: now, if it is not given. Documents tell its date and time as it stands, so it is the place's own time.
        regions: besides those of the draft's evidence maps.

    Raises:
        ExchangeError: parts do not fit together, as a region on an image that is not named.
    """
    if draft.assessment is not None:
        found = tuple(each.model_copy(update={"word": ""}) for each in draft.assessment.findings)
    else:
        found = tuple(Finding(**each.model_dump(), assessed=each.probability is not None) for each in draft.findings)
    return checked(
        model=model,
        caution=draft.caution,
        created=created or local_now(),
        sections=draft.sections,
        findings=found,
        regions=(*regions, *evidence_of(draft)),
        measurements=measurements,
        warnings=(*_hurry(draft), *draft.warnings),
        forced=draft.forced,
        complete=draft.complete,
        patient=patient or Patient(),
        study=study or Study(),
        images=images,
    )


def local_now() -> datetime:
    """Now, in the place's own time with its offset.

    Content Date and Time stand beside the study's, which have no offset: in UTC a draft would be older than its images
    wherever clocks are ahead of it.
    """
    return datetime.now(UTC).astimezone()


def _hurry(draft: Draft) -> tuple[str, ...]:
    """Word the rules' priority of the draft, as every format carries it."""
    return () if draft.priority == "routine" else (f"priority {draft.priority}: to be read before routine work",)


def sign(report: Report, signer: Signer) -> Report:
    """The report, signed. Only a draft can be signed: a signed one is amended.

    Raises:
        ExchangeError: it is not a draft.
    """
    if not report.is_draft:
        raise ExchangeError("sign: the report is signed already; add an addendum or correct it")
    # Whoever signs a text that the model did not end takes it as whole.
    return checked(**{**fields_of(report), "status": "signed", "signer": signer, "complete": True})


def addend(report: Report, text: str, signer: Signer, predecessor: DocumentReference) -> Report:
    """A signed report with one more addendum.

    Raises:
        ExchangeError: the report is a draft, or the text is empty.
    """
    if report.is_draft:
        raise ExchangeError("addendum: the report is a draft; sign it first")
    if not clean(text):
        raise ExchangeError("addendum: the text is empty; write what is to be added")
    return checked(
        **{
            **fields_of(report),
            "status": "addended",
            "addenda": (*report.addenda, text),
            "signer": signer,
            "created": signer.signed_at,
            "predecessors": (predecessor,),
        }
    )


def correct(report: Report, sections: Sections, signer: Signer, predecessor: DocumentReference) -> Report:
    """A signed report with other text in its sections.

    Raises:
        ExchangeError: the report is a draft.
    """
    if report.is_draft:
        raise ExchangeError("correction: the report is a draft; change it before it is signed")
    return checked(
        **{
            **fields_of(report),
            "status": "corrected",
            "sections": sections,
            "signer": signer,
            "created": signer.signed_at,
            "predecessors": (predecessor,),
        }
    )


def checked(**values: object) -> Report:
    """A report of these values, with texts made fit for every format.

    Raises:
        ExchangeError: they do not make a report; the line says which field, not what it holds.
    """
    from pydantic import ValidationError

    try:
        return tidied(Report.model_validate(values))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "its state"
        raise ExchangeError(f"report: {where}: {first['msg'].removeprefix('Value error, ')}") from None


def fields_of(report: Report) -> dict[str, object]:
    """The fields by name, not converted."""
    return {name: getattr(report, name) for name in Report.model_fields}


def tidied(report: Report) -> Report:
    """The texts that the tasks' own types hold, cleaned as the report's own are."""
    sections = Sections(**{name: clean(getattr(report.sections, name)) for name in Sections.model_fields})
    findings = tuple(
        each.model_copy(update={"name": _clean_line(each.name), "note": _clean_line(each.note), "word": ""})
        for each in report.findings
    )
    regions = tuple(
        each.model_copy(
            update={
                "label": _clean_line(each.label),
                "note": _clean_line(each.note),
                "box": _on_grid(each.box),
                "image": each.image or (report.images[0].uid if len(report.images) == 1 else ""),
                "measurements": tuple(_tidy_measurement(m) for m in each.measurements),
            }
        )
        for each in report.regions
    )
    measurements = tuple(_tidy_measurement(each) for each in report.measurements)
    return report.model_copy(
        update={"sections": sections, "findings": findings, "regions": regions, "measurements": measurements}
    )


def _on_grid(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """In eighths of a pixel, which DICOM's 32-bit coordinates hold exactly; never empty."""
    left, top, right, bottom = (round(value * 8) / 8 for value in box)
    return left, top, max(right, left + 0.125), max(bottom, top + 0.125)


def _tidy_measurement(each: Measurement) -> Measurement:
    return each.model_copy(update={"name": _clean_line(each.name), "note": _clean_line(each.note)})


def readable(name: str) -> str:
    """A DICOM person name as it is said: prefix, given, middle, family, suffix; the first group that is not empty."""
    group = next((part for part in name.split("=") if part.strip("^ ")), "")
    family, given, middle, prefix, suffix = (*group.split("^"), "", "", "", "", "")[:5]
    return " ".join(part for part in (prefix, given, middle, family, suffix) if part)
