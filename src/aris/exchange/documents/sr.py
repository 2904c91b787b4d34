"""DICOM Structured Reports: TID 1500 where there is something measured or scored, Basic Text SR for plain drafts.

The state is told truthfully (PS3.3 C.17.2): PreliminaryFlag is FINAL and VerificationFlag VERIFIED only once a person
has signed; CompletionFlag is PARTIAL where the model's text was cut, else COMPLETE. The same report makes the same
bytes: UIDs and times follow from its content.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from aris import __version__
from aris.errors import ExchangeError, why_not_imported
from aris.exchange.documents import codes
from aris.exchange.documents.codes import Coded, uid_of
from aris.exchange.documents.report import DocumentReference, Report
from aris.store.objects import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from aris.tasks.results import Finding, Measurement, Region, Sections

if TYPE_CHECKING:
    from pydicom import Dataset

MAKER = "Aris"
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
SERIES_NUMBER = 9901


def needs_tid1500(report: Report) -> bool:
    """Return whether the report has what a text cannot carry: findings, regions or measurements."""
    return bool(report.findings or report.regions or report.measurements)


def structured_report(report: Report) -> Dataset:
    """The report as a DICOM SR, ready to be written with `save_as(path, enforce_file_format=True)`.

    Returns:
        Comprehensive SR of TID 1500, or Basic Text SR of TID 2000 where the report is text alone.

    Raises:
        ExchangeError: the report names no DICOM image, or highdicom is not installed.
    """
    sr = highdicom("sr")
    images = evidence(report)
    kind = COMPREHENSIVE_SR if needs_tid1500(report) else BASIC_TEXT_SR
    content = _measurement_report(report) if kind == COMPREHENSIVE_SR else _basic_report(report)
    content.ObservationDateTime = dicom_time(report.created)
    signer = report.signer
    document: Any = (sr.ComprehensiveSR if kind == COMPREHENSIVE_SR else sr.EnhancedSR)(
        evidence=images,
        content=content,
        series_number=SERIES_NUMBER,
        **instance_of(report, kind),
        is_complete=report.complete or not report.is_draft,
        is_final=not report.is_draft,
        is_verified=signer is not None,
        verifying_observer_name=signer and signer.name,
        verifying_organization=signer and signer.organization[:64],
        series_description=described("Report of a draft" if report.is_draft else "Report", report),
        coding_schemes=[_scheme()],
        specific_character_set="ISO_IR 192",
        content_date=report.created.date(),
        content_time=report.created.time(),
    )
    document.SOPClassUID = document.file_meta.MediaStorageSOPClassUID = kind
    if not report.complete and report.is_draft:
        document.CompletionFlagDescription = "The draft's text was cut before its end"
    if signer is not None:
        observer = document.VerifyingObserverSequence[0]
        observer.VerificationDateTime = dicom_time(signer.signed_at)
        if signer.identifier:
            observer.VerifyingObserverIdentificationCodeSequence = [_concept(_person_code(signer.identifier))]
    if report.predecessors:
        document.PredecessorDocumentsSequence = _references(report.predecessors)
    settle(document, report)
    return document


def reference(document: Dataset) -> DocumentReference:
    """A reference to a document, for what follows it."""
    return DocumentReference(
        sop_class=str(document.SOPClassUID),
        uid=str(document.SOPInstanceUID),
        series=str(document.SeriesInstanceUID),
        study=str(document.StudyInstanceUID),
    )


# What other objects of a report share: evidence, identity, times.


def highdicom(part: str) -> Any:
    """A module of highdicom.

    Raises:
        ExchangeError: it is not installed, or cannot be loaded.
    """
    try:
        return importlib.import_module(f"highdicom.{part}")
    except ImportError as error:
        why = why_not_imported(error, "highdicom")
        raise ExchangeError(f"DICOM documents need highdicom ({why}); pip install 'aris-medgemma[dicom]'") from None


def evidence(report: Report) -> list[Any]:
    """A header for each image, as highdicom wants it: who, which study, which object; texts are in UTF-8.

    Raises:
        ExchangeError: there is none, or its study is not the report's.
    """
    from pydicom import Dataset

    if not report.images or not report.study.uid:
        raise ExchangeError(
            "DICOM documents point to DICOM images, and this report names none; give the DICOM file, or export JSON, "
            "text, PDF or FHIR"
        )
    made = []
    for image in report.images:
        header = Dataset()
        header.SpecificCharacterSet = "ISO_IR 192"
        header.SOPClassUID, header.SOPInstanceUID = image.sop_class, image.uid
        header.StudyInstanceUID, header.SeriesInstanceUID = image.study, image.series
        fill_patient_and_study(header, report)
        made.append(header)
    if made[0].StudyInstanceUID != report.study.uid:
        raise ExchangeError("the first image is of another study than the report; put the current study's image first")
    return made


def fill_patient_and_study(header: Dataset, report: Report) -> None:
    """Write the patient's and study's attributes; empty where they are not known (type 2)."""
    patient, study = report.patient, report.study
    header.PatientID, header.PatientName = patient.identifier[:64], patient.name
    header.PatientBirthDate, header.PatientSex = patient.birth_date, patient.sex
    if patient.issuer:
        header.IssuerOfPatientID = patient.issuer[:64]
    header.AccessionNumber, header.StudyID = study.accession[:16], study.identifier[:16]
    header.StudyDate, header.StudyTime = study.date, study.time
    header.ReferringPhysicianName = study.referrer
    if study.description:
        header.StudyDescription = study.description[:64]


def instance_of(report: Report, kind: str) -> dict[str, Any]:
    """Series, UIDs and equipment of an object of this SOP class, as highdicom's arguments."""
    return {
        "series_instance_uid": uid_of("series", report.study.uid, kind, report.is_draft),
        "sop_instance_uid": uid_of("instance", kind, report.model_dump(mode="json")),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": report.model.software[:64],
        "software_versions": __version__,
        "device_serial_number": device_uid(report)[-64:],
    }


def described(what: str, report: Report) -> str:
    """A Series Description (LO, 64 characters), which says of what is never for patient care that it is not."""
    return f"NEVER FOR PATIENT CARE: {what}"[:64] if report.caution else what


def device_uid(report: Report) -> str:
    """The model's UID as an observer: the same for the same weights."""
    return uid_of("device", report.model.name, report.model.revision)


def settle(document: Any, report: Report) -> None:
    """Make what highdicom takes from the clock follow from the report, and say who wrote the file."""
    document.InstanceCreationDate = report.created.strftime("%Y%m%d")
    document.InstanceCreationTime = report.created.strftime("%H%M%S")
    for item in document.get("ContributingEquipmentSequence", []):
        item.ContributionDateTime = dicom_time(report.created)
    document.file_meta.ImplementationClassUID = IMPLEMENTATION_UID
    document.file_meta.ImplementationVersionName = IMPLEMENTATION_NAME
    if not report.study.date:
        document.StudyDate = document.StudyTime = ""


def dicom_time(moment: Any) -> str:
    """A DT value with its offset (PS3.5 6.2)."""
    return str(moment.strftime("%Y%m%d%H%M%S%z"))


# Content trees.


def _concept(code: Coded) -> Any:
    concept = highdicom("sr").CodedConcept
    # Code Value has 16 characters (PS3.3 8.8); ours never have more.
    return concept(code.value, code.scheme, codes.meaning(code.meaning))


def _person_code(identifier: str) -> Coded:
    value = identifier if len(identifier) <= 16 and "\\" not in identifier else codes.own_code(identifier).value
    return Coded(value, codes.SCHEME, identifier)


def _scheme() -> Any:
    content = highdicom("coding_schemes")
    return content.CodingSchemeIdentificationItem(
        designator=codes.SCHEME, name=codes.SCHEME_NAME, responsible_organization=MAKER
    )


def _references(predecessors: tuple[DocumentReference, ...]) -> list[Any]:
    from pydicom import Dataset

    studies: dict[str, Any] = {}
    for each in predecessors:
        item, series, study = Dataset(), Dataset(), Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = each.sop_class, each.uid
        series.SeriesInstanceUID, series.ReferencedSOPSequence = each.series, [item]
        study = studies.setdefault(each.study, study)
        study.StudyInstanceUID = each.study
        study.ReferencedSeriesSequence = [*study.get("ReferencedSeriesSequence", []), series]
    return list(studies.values())


def _observers(report: Report) -> list[Any]:
    """TID 1001: the model as a device, and the person who signed."""
    sr = highdicom("sr")
    from pydicom.sr.codedict import codes as dictionary

    model = report.model
    device = sr.ObserverContext(
        observer_type=dictionary.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=device_uid(report),
            name=model.name,
            manufacturer_name=MAKER,
            model_name=model.software,
            serial_number=model.revision or None,
        ),
    )
    person = None
    if report.signer is not None:
        person = sr.ObserverContext(
            observer_type=dictionary.DCM.Person,
            observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(
                name=report.signer.name, organization_name=report.signer.organization
            ),
        )
    return list(sr.ObservationContext(observer_person_context=person, observer_device_context=device))


def _texts(report: Report) -> list[tuple[Coded, Coded | str]]:
    """List the text items, in order: caution, state, sections, addenda, warnings, and the author."""
    said: list[tuple[Coded, Coded | str]] = [(codes.CAUTION, report.caution)] if report.caution else []
    said.append((codes.STATUS, codes.STATES[report.status]))
    for name in Sections.model_fields:
        text = getattr(report.sections, name)
        said += [(codes.section_code(name), text)] if text else []
    said += [(codes.ADDENDUM, text) for text in report.addenda]
    said += [(codes.WARNING, text) for text in report.warnings]
    if report.forced:
        said.append((codes.FORCED, "yes"))
    if report.model.prompt_version:
        said.append((codes.PROMPT_VERSION, report.model.prompt_version))
    return said


def _item(name: Coded, value: Coded | str) -> Any:
    sr = highdicom("sr")
    contains = sr.RelationshipTypeValues.CONTAINS
    if isinstance(value, Coded):
        return sr.CodeContentItem(name=_concept(name), value=_concept(value), relationship_type=contains)
    return sr.TextContentItem(name=_concept(name), value=value, relationship_type=contains)


def _container(name: Coded, children: list[Any]) -> Any:
    sr = highdicom("sr")
    container = sr.ContainerContentItem(name=_concept(name), relationship_type=sr.RelationshipTypeValues.CONTAINS)
    container.ContentSequence = sr.ContentSequence(children)
    return container


def _basic_report(report: Report) -> Any:
    """TID 2000, Basic Diagnostic Imaging Report: headings of CID 7001, each with texts."""
    sr = highdicom("sr")
    root = sr.ContainerContentItem(name=_concept(codes.REPORT_TITLE), template_id="2000")
    language = highdicom("sr.templates").DEFAULT_LANGUAGE
    children: list[Any] = [*sr.LanguageOfContentItemAndDescendants(language), *_observers(report)]
    headings = {
        codes.FINDING: codes.FINDINGS_HEADING,
        codes.IMPRESSION: codes.IMPRESSIONS_HEADING,
        codes.ADDENDUM: codes.ADDENDUM,
    }
    grouped: dict[Coded, list[Any]] = {}
    for name, value in _texts(report):
        grouped.setdefault(headings.get(name, codes.SUMMARY), []).append(_item(name, value))
    children += [_container(heading, items) for heading, items in grouped.items()]
    root.ContentSequence = sr.ContentSequence(children, is_root=False)
    return root


def _measurement_report(report: Report) -> Any:
    """TID 1500: a group (TID 1501) for each finding, one (TID 1410) for each region, and the texts (rows 12 to 14)."""
    sr = highdicom("sr")
    from pydicom.sr.codedict import codes as dictionary

    algorithm = sr.AlgorithmIdentification(
        name=report.model.name, version=report.model.revision or report.model.software, manufacturer=MAKER
    )
    groups = [_finding_group(report, each, index, algorithm) for index, each in enumerate(report.findings)]
    groups += [_region_group(report, each, index, algorithm) for index, each in enumerate(report.regions)]
    if report.measurements:
        groups.append(
            sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(
                    uid=uid_of("tracking", report.study.uid, "measurements"), identifier=codes.MEASURED.meaning
                ),
                finding_category=_concept(codes.MEASURED),
                measurements=[_measurement(each) for each in report.measurements],
            )
        )
        _notes(groups[-1], report.measurements)
    context = sr.ObservationContext.__new__(sr.ObservationContext)
    highdicom("sr.value_types").ContentSequence.__init__(context, _observers(report))
    made = sr.MeasurementReport(
        observation_context=context,
        procedure_reported=_concept(codes.PROCEDURE),
        imaging_measurements=groups,
        title=dictionary.DCM.ImagingMeasurementReport,
    )
    root: Any = made[0]
    root.ContentSequence.append(
        _container(
            Coded("C0034375", "UMLS", "Qualitative Evaluations"),
            [_item(name, value) for name, value in _texts(report)],
        )
    )
    return root


def _finding_group(report: Report, finding: Finding, index: int, algorithm: Any) -> Any:
    sr = highdicom("sr")
    if not finding.assessed:
        state = codes.NOT_ASSESSED
    else:
        state = {True: codes.PRESENT, False: codes.ABSENT, None: codes.NO_CALL}[finding.present]
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=uid_of("tracking", report.study.uid, "finding", index, finding.name), identifier=finding.name
        ),
        finding_type=_concept(codes.finding_code(finding.name)),
        algorithm_id=algorithm,
        measurements=None if finding.probability is None else [_probability(finding.probability)],
        qualitative_evaluations=[sr.QualitativeEvaluation(_concept(codes.PRESENCE), _concept(state))],
    )
    if finding.note:
        group[0].ContentSequence.append(_item(codes.COMMENT, finding.note))
    return group


def _region_group(report: Report, region: Region, index: int, algorithm: Any) -> Any:
    import numpy as np

    sr = highdicom("sr")
    image = next((each for each in report.images if each.uid == region.image), None)
    if image is None:
        raise ExchangeError("a region does not say on which of the report's images it lies")
    left, top, right, bottom = region.box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    measured = [] if region.probability is None else [_probability(region.probability)]
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=uid_of("tracking", report.study.uid, "region", index, region.label), identifier=region.label
        ),
        referenced_region=sr.ImageRegion(
            graphic_type=sr.GraphicTypeValues.POLYLINE,
            graphic_data=np.array(corners, dtype=np.float32),
            source_image=sr.SourceImageForRegion(
                referenced_sop_class_uid=image.sop_class,
                referenced_sop_instance_uid=image.uid,
                referenced_frame_numbers=None if region.frame is None else [region.frame],
            ),
        ),
        finding_type=_concept(codes.finding_code(region.label)),
        algorithm_id=algorithm,
        measurements=[*measured, *(_measurement(each) for each in region.measurements)] or None,
    )
    _notes(group, region.measurements)
    if region.note:
        group[0].ContentSequence.append(_item(codes.COMMENT, region.note))
    return group


def _probability(value: float) -> Any:
    sr = highdicom("sr")
    return sr.Measurement(
        name=_concept(codes.PROBABILITY), value=float(value), unit=_concept(Coded("1", "UCUM", "no units"))
    )


def _measurement(each: Measurement) -> Any:
    sr = highdicom("sr")
    return sr.Measurement(
        name=_concept(codes.own_code(each.name)),
        value=float(each.value),
        unit=_concept(Coded(each.unit, "UCUM", each.unit)),
    )


def _notes(group: Any, measurements: tuple[Measurement, ...]) -> None:
    """Put what limits each measurement, and a name that is longer than a code's meaning, under its NUM item."""
    sr = highdicom("sr")
    numbers = [item for item in group[0].ContentSequence if item.ValueType == "NUM"]
    properties = sr.RelationshipTypeValues.HAS_PROPERTIES
    for item, each in zip(numbers[len(numbers) - len(measurements) :], measurements, strict=True):
        for name, text in ((codes.LIMITS, each.note), (codes.COMMENT, _beyond_meaning(each.name))):
            if text:
                children = list(item.get("ContentSequence", []))
                child = sr.TextContentItem(name=_concept(name), value=text, relationship_type=properties)
                item.ContentSequence = sr.ContentSequence([*children, child])


def _beyond_meaning(name: str) -> str:
    return "" if codes.meaning(name) == name else name
