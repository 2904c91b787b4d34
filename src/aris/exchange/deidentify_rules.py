"""Which attributes of an image stay when it is de-identified (PS3.15 Annex E, Basic Profile).

Table E.1-1 lists what must go. These rules turn that round: only what is known to describe the image stays, so that an
attribute of tomorrow's standard, a private one or a mistyped one goes without being named. A test holds the rules
against the table, as another program has it.
"""

from __future__ import annotations

import re
from typing import Any, Literal

Action = Literal["keep", "remove", "empty", "uid", "recurse", "date", "pseudonym"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Type 1 and 2 attributes of images (PS3.3), kept empty: readers expect them to be there.
EMPTIED = _names(
    "PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber ReferringPhysicianName ContentDate "
    "ContentTime ContrastBolusAgent PositionReferenceIndicator"
)
PSEUDONYMS = frozenset(["PatientName", "PatientID"])
CHARACTERISTICS = frozenset(["PatientSex", "PatientAge", "PatientSize", "PatientWeight"])

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
    "PurposeOfReferenceCodeSequence"
)
# Coding schemes whose codes and meanings are public (PS3.16 section 8).
PUBLIC_SCHEMES = _names("DCM SCT SRT SNM3 LN UCUM UMLS FMA RADLEX NCIt MDC ACR BI NDC ICD10 ICD10CM UBERON")

NUMBERS = frozenset(["DS", "IS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"])
_BINARY_NUMBERS = frozenset(["US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"])
_MOST_NUMBERS = 64
_BYTE_VRS = frozenset(["OB", "OW", "OF", "OD", "OL", "OV", "UN"])
_CODE = re.compile(r"[A-Z0-9_ ]{0,16}")


def action_for(keyword: str, vr: str, dictionary_vr: str, *, private: bool, characteristics: bool) -> Action:
    """What becomes of an attribute.

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
    if keyword in EMPTIED:
        return "date" if vr in ("DA", "DT") and keyword != "PatientBirthDate" else "empty"
    if keyword in _TELLING:
        return "remove"
    if vr == "SQ":
        return "recurse" if keyword in _SEQUENCES else "remove"
    if vr == "UI":
        return "uid"
    if vr in ("DA", "DT"):
        return "remove" if keyword == "PatientBirthDate" else "date"
    if vr == "CS" or vr in NUMBERS:
        return "keep"
    if vr in _BYTE_VRS:
        return "keep" if keyword in _BYTES else "remove"
    return "keep" if keyword in _TEXTS else "remove"


def many(element: Any) -> bool:
    """Whether an element has so many binary numbers that they may be bytes of a text. LUTs are cleaned elsewhere."""
    return str(element.VR) in _BINARY_NUMBERS and element.VM > _MOST_NUMBERS and element.keyword != "LUTData"


def wellformed(vr: str, value: Any) -> bool:
    """Whether a value that is to stay is what its VR says: a name written into a code or a number is not."""
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
