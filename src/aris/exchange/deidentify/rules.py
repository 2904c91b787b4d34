"""Rules for the attributes of an image that is de-identified (PS3.15 Annex E, Basic Profile).

Table E.1-1 lists what must go. These rules turn that round: only what is known to describe the image stays, so that an
attribute of tomorrow's standard, a private one or a mistyped one goes without being named. A test holds the rules
against the table, as another program has it.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any, Literal

Action = Literal["keep", "remove", "empty", "uid", "recurse", "date", "time", "zone", "label", "pseudonym"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Type 1 and 2 attributes of images (PS3.3), kept empty: readers expect them to be there.
EMPTIED = _names(
    "PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber ReferringPhysicianName ContentDate "
    "ContentTime ContrastBolusAgent PositionReferenceIndicator"
)
PSEUDONYMS = frozenset(["PatientName", "PatientID"])
CHARACTERISTICS = frozenset(["PatientSex", "PatientAge", "PatientSize", "PatientWeight"])

# Texts of which only that they are equal matters: frames of one stack have one (PS3.3 C.7.6.16.2.2).
LABELS = frozenset(["StackID"])

# Texts that name a technique, not a person or a place.
_TEXTS = _names(
    "Manufacturer ManufacturerModelName RescaleType ConvolutionKernel FilterType SequenceName ReceiveCoilName "
    "TransmitCoilName MultiCoilElementName Radiopharmaceutical CodeValue CodeMeaning CodingSchemeDesignator "
    "CodingSchemeVersion SpecificCharacterSet EncapsulatedPixelDataValueTotalLength ImagedNucleus ResonantNucleus"
)
_BYTES = _names(
    "PixelData FloatPixelData DoubleFloatPixelData LUTData RedPaletteColorLookupTableData "
    "GreenPaletteColorLookupTableData BluePaletteColorLookupTableData SegmentedRedPaletteColorLookupTableData "
    "SegmentedGreenPaletteColorLookupTableData SegmentedBluePaletteColorLookupTableData ICCProfile"
)
# Codes and numbers that tell of a person, a place or who handled the object.
_TELLING = _names(
    "PatientSexNeutered PregnancyStatus SmokingStatus LensSpecification InstanceOriginStatus ModifyingDeviceID "
    "ReasonForTheAttributeModification ResponsiblePersonRole PatientAge PatientSize PatientWeight "
    "PatientBodyMassIndex MeasuredAPDimension MeasuredLateralDimension StudyStatusID StudyPriorityID VisitStatusID "
    "QualityControlSubject PatientIdentityRemoved LongitudinalTemporalInformationModified BurnedInAnnotation "
    "RecognizableVisualFeatures"
)
_SEQUENCES = _names(
    "AnatomicRegionSequence AnatomicRegionModifierSequence PrimaryAnatomicStructureSequence ViewCodeSequence "
    "ViewModifierCodeSequence PatientOrientationCodeSequence PatientOrientationModifierCodeSequence "
    "PatientGantryRelationshipCodeSequence FrameAnatomySequence ModalityLUTSequence VOILUTSequence "
    "PixelValueTransformationSequence FrameVOILUTSequence RealWorldValueMappingSequence MeasurementUnitsCodeSequence "
    "PixelIntensityRelationshipLUTSequence SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence "
    "PixelMeasuresSequence PlaneOrientationSequence PlanePositionSequence FrameContentSequence "
    "DimensionOrganizationSequence DimensionIndexSequence CTImageFrameTypeSequence CTAcquisitionTypeSequence "
    "CTAcquisitionDetailsSequence CTTableDynamicsSequence CTPositionSequence CTGeometrySequence "
    "CTReconstructionSequence CTExposureSequence CTXRayDetailsSequence MRImageFrameTypeSequence "
    "MRTimingAndRelatedParametersSequence MRFOVGeometrySequence MREchoSequence MRModifierSequence "
    "MRImagingModifierSequence MRReceiveCoilSequence MRTransmitCoilSequence MRDiffusionSequence "
    "DiffusionGradientDirectionSequence MRAveragesSequence MRSpatialSaturationSequence MultiCoilDefinitionSequence "
    "SequenceOfUltrasoundRegions EnergyWindowInformationSequence EnergyWindowRangeSequence "
    "DetectorInformationSequence RotationInformationSequence RadiopharmaceuticalInformationSequence "
    "RadionuclideCodeSequence RadiopharmaceuticalCodeSequence ReferencedImageSequence SourceImageSequence "
    "CardiacSynchronizationSequence RespiratorySynchronizationSequence TemporalPositionSequence "
    "ContrastBolusUsageSequence PhaseInformationSequence GatedInformationSequence DataInformationSequence "
    "TimeSlotInformationSequence PETFrameTypeSequence PETFrameAcquisitionSequence PETPositionSequence "
    "PETReconstructionSequence PETFrameCorrectionFactorsSequence XRay3DFrameTypeSequence "
    "PlanePositionVolumeSequence PlaneOrientationVolumeSequence ImageDataTypeSequence USImageDescriptionSequence "
    "PurposeOfReferenceCodeSequence"
)
# Coding schemes whose codes and meanings are public (PS3.16 section 8).
PUBLIC_SCHEMES = _names("DCM SCT SRT SNM3 LN UCUM UMLS FMA RADLEX NCIt MDC ACR BI NDC ICD10 ICD10CM UBERON")

NUMBERS = frozenset(["DS", "IS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"])
_BINARY_NUMBERS = frozenset(["US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"])
_MOST_NUMBERS = 64
_BYTE_VRS = frozenset(["OB", "OW", "OF", "OD", "OL", "OV", "UN"])
_CODE = re.compile(r"[A-Z0-9_ ]{0,16}")
# Hours alone, or with minutes, seconds and a fraction; with colons as ACR-NEMA wrote them (PS3.5 6.2).
_CLOCK = r"([01]\d|2[0-3])(:?[0-5]\d(:?([0-5]\d|60)(\.\d{1,6})?)?)?"
_OFFSET = r"[+-](0\d|1[0-4])[0-5]\d"
_DATE, _TIME, _ZONE = (re.compile(each, re.ASCII) for each in (r"\d{8}", _CLOCK, _OFFSET))
_DATETIME = re.compile(rf"\d{{8}}({_CLOCK})?({_OFFSET})?", re.ASCII)


def action_for(keyword: str, vr: str, dictionary_vr: str, *, private: bool, characteristics: bool) -> Action:
    """Return the action on an attribute.

    Args:
        keyword: by the dictionary; "" where it has none.
        vr: as the file has it.
        dictionary_vr: as the standard has it; may name several.
        private: of a private group.
        characteristics: sex, age, size and weight stay (the profile's option of that name).
    """
    if private or not keyword or keyword.startswith(("GPS", "Selector")):
        return "remove"
    if vr not in dictionary_vr.split(" or "):
        return "remove"  # mistyped: none of the rules below would hold
    if keyword in PSEUDONYMS:
        return "pseudonym"
    if characteristics and keyword in CHARACTERISTICS:
        return "keep"
    if keyword in EMPTIED and vr not in ("DA", "DT", "TM"):
        return "empty"
    if keyword == "PatientBirthDate":
        return "empty"
    if keyword in _TELLING:
        return "remove"
    if vr == "SQ":
        return "recurse" if keyword in _SEQUENCES else "remove"
    if vr == "UI":
        return "uid"
    if vr in ("DA", "DT"):
        return "date"
    if vr == "TM":
        return "remove" if keyword == "PatientBirthTime" else "time"
    if keyword == "TimezoneOffsetFromUTC":
        return "zone"
    if keyword in LABELS:
        return "label"
    if vr == "CS" or vr in NUMBERS:
        return "keep"
    if vr in _BYTE_VRS:
        return "keep" if keyword in _BYTES else "remove"
    return "keep" if keyword in _TEXTS else "remove"


def many(element: Any) -> bool:
    """Return whether an element has enough binary numbers to be bytes of a text. LUTs are cleaned elsewhere."""
    return str(element.VR) in _BINARY_NUMBERS and element.VM > _MOST_NUMBERS and element.keyword != "LUTData"


def shifted(vr: str, value: Any, days: int) -> Any:
    """A date, time or both (DA, TM, DT; PS3.5 6.2) moved by whole days: the time of day and its zone stay as they are.

    Returns:
        the value, or "" for one that is malformed, or that is too coarse to be moved (a year, a month).
    """
    if type(value).__name__ == "MultiValue" or isinstance(value, list | tuple):
        return [shifted(vr, each, days) for each in value]
    text = str(value or "").strip()
    if vr == "TM":
        return text if _TIME.fullmatch(text) else ""
    if vr == "DA":
        text = re.sub(r"(\d{4})\.(\d\d)\.(\d\d)", r"\1\2\3", text)  # as ACR-NEMA wrote it
    if not (_DATE if vr == "DA" else _DATETIME).fullmatch(text):
        return ""
    try:
        moved = date(int(text[:4]), int(text[4:6]), int(text[6:8])) + timedelta(days)
    except (ValueError, OverflowError):
        return ""
    return f"{moved.year:04}{moved.month:02}{moved.day:02}{text[8:]}"


def zone(value: Any) -> str:
    """An offset from UTC, "" where it is none."""
    return str(value) if _ZONE.fullmatch(str(value)) else ""


def wellformed(vr: str, value: Any) -> bool:
    """Return whether a value that is to stay is what its VR says: a name written into a code or a number is not."""
    values = list(value) if type(value).__name__ == "MultiValue" or isinstance(value, list | tuple) else [value]
    for each in values:
        if each is None or each == "":
            continue
        if vr == "CS" and not _CODE.fullmatch(str(each)):
            return False
        if vr in NUMBERS:
            try:
                float(each)
            except (TypeError, ValueError):
                return False
    return True
