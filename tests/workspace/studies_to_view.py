"""Studies of every kind that the viewer has to show, as file bytes: small, and told apart by what is drawn on them."""

from __future__ import annotations

from typing import Any

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset, FileDataset

from dicom_objects import CT, ROOT, as_bytes, image

CURRENT, PRIOR, POSSIBLE, ULTRASOUND, FILMS, MIXED = (f"{ROOT}.{number}" for number in (41, 42, 43, 44, 45, 46))
US_MULTI, CR, MG, SC, PR, PDF = (
    "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.2",
    "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.5.1.4.1.1.104.1",
)  # fmt: skip
_LONG = "CT thorax and upper abdomen, portal venous phase, follow-up"
WHO = {"PatientID": "VIEW-1", "PatientName": "Öztürk-Lindqvist^Marie-Therese Alexandra", "PatientBirthDate": "19620417"}


def _study(number: int, date: str, description: str, **more: Any) -> dict[str, Any]:
    return WHO | {"study": number, "StudyDate": date, "StudyDescription": description} | more


def _body(at: float, side: int, lesion: bool = False) -> np.ndarray:
    """A slice of a trunk in HU: an ellipse of soft tissue, two lungs, a spine; with a lesion in one lung."""
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    made = np.full((side, side), -1000.0)
    made[(x / 0.42) ** 2 + (y / 0.3) ** 2 < 1] = 40
    grow = 0.6 + 0.4 * np.sin(np.pi * at)
    for middle in (-0.19, 0.19):
        made[((x - middle) / (0.15 * grow)) ** 2 + ((y + 0.02) / (0.21 * grow)) ** 2 < 1] = -820
    made[(x / 0.05) ** 2 + ((y - 0.2) / 0.06) ** 2 < 1] = 500
    if lesion:
        made[(x + 0.2) ** 2 + y**2 < 0.0012] = 35
    return made


def slices(number: int, date: str, count: int, frame: str, description: str = _LONG, *, series: int = 1,
           side: int = 128, name: str = "Soft tissue 2.5 mm", **more: Any) -> list[FileDataset]:  # fmt: skip
    """A CT series from the feet up."""
    made = []
    for at in range(count):
        values = _body(at / max(1, count - 1), side, abs(at - count // 2) < 3) + 1024
        made.append(image(
            at + 1, series=series, side=side, SOPClassUID=CT, Modality="CT", RescaleSlope=1, RescaleIntercept=-1024,
            ImagePositionPatient=[-160, -160, 2.5 * at], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[2.5, 2.5], SliceThickness=2.5, FrameOfReferenceUID=frame, SeriesDescription=name,
            WindowCenter=40, WindowWidth=400, PixelData=values.astype(np.uint16).tobytes(),
            PatientOrientation=None, ViewPosition="", **_study(number, date, description, **more),
        ))  # fmt: skip
    return made


def current() -> list[Dataset]:
    """A CT of today: two series, a scout, a presentation state and measurements of others, and a PDF."""
    main = slices(41, "20260110", 40, "1.2.41")
    thin = slices(41, "20260110", 12, "1.2.41", series=2, name="Lung 5 mm")
    scout = slices(41, "20260110", 1, "1.2.41", series=3, name="Scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    return [*main, *thin, *scout, marked(main[0]), measured(main[0]), pdf(41)]


def prior() -> list[Dataset]:
    """The same person's CT of a year before, of another frame of reference."""
    return [*slices(42, "20250105", 20, "1.2.42", "CT thorax")]


def possible() -> list[Dataset]:
    """A CT under the same patient ID with another birth date."""
    return [*slices(43, "20240301", 6, "1.2.43", "CT thorax", PatientBirthDate="19620714")]


def ultrasound() -> list[Dataset]:
    """A colour cine loop with one calibrated region."""
    y, x = np.mgrid[0:120, 0:160]
    frames = []
    for at in range(16):
        grey = 90 + 80 * np.sin((x + 6 * at) / 9) * np.cos(y / 11)
        frame = np.repeat(np.clip(grey, 0, 255)[..., None], 3, 2).astype(np.uint8)
        frame[(x - 60 - at) ** 2 + (y - 60) ** 2 < 90] = (220, 40, 30)
        frames.append(frame)
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 20, 10
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 139, 109
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.05
    return [image(
        1, SOPClassUID=US_MULTI, Modality="US", SamplesPerPixel=3, PhotometricInterpretation="RGB",
        PlanarConfiguration=0, BitsAllocated=8, BitsStored=8, HighBit=7, Rows=120, Columns=160, NumberOfFrames=16,
        FrameTime=80, PixelData=np.stack(frames).tobytes(), SequenceOfUltrasoundRegions=[region],
        PatientOrientation=None, SeriesDescription="Heart", **_study(44, "20260111", "Echocardiography"),
    )]  # fmt: skip


def films() -> list[Dataset]:
    """A MONOCHROME1 film whose spacing is the detector's, a mammogram, and a captured screen without any."""
    y, x = np.mgrid[0:128, 0:128]
    picture = (4095 * np.exp(-((x - 64) ** 2 + (y - 64) ** 2) / 1600)).astype(np.uint16)
    about = _study(45, "20260112", "Films")
    film = image(1, SOPClassUID=CR, Modality="CR", side=128, PhotometricInterpretation="MONOCHROME1",
                 ImagerPixelSpacing=[0.2, 0.2], PixelData=(4095 - picture).tobytes(), SeriesDescription="MONOCHROME1",
                 **about)  # fmt: skip
    breast = image(1, series=2, side=128, SOPClassUID=MG, Modality="MG", ImagerPixelSpacing=[0.1, 0.1],
                   ViewPosition="MLO", ImageLaterality="R", PatientOrientation=["P", "FR"], PixelData=picture.tobytes(),
                   BodyPartExamined="BREAST", SeriesDescription="R MLO", **about)  # fmt: skip
    colour = np.zeros((64, 96, 3), np.uint8)
    colour[:, :48], colour[:, 48:] = (250, 200, 20), (20, 90, 200)
    capture = image(1, series=3, SOPClassUID=SC, Modality="OT", SamplesPerPixel=3, PhotometricInterpretation="RGB",
                    PlanarConfiguration=0, BitsAllocated=8, BitsStored=8, HighBit=7, Rows=64, Columns=96,
                    PixelData=colour.tobytes(), PatientOrientation=None, SeriesDescription="Screen",
                    **about)  # fmt: skip
    return [film, breast, capture]


def mixed() -> list[Dataset]:
    """A series that lacks slices in its middle and has one whose pixels are cut off, and a series of a PDF alone."""
    whole = slices(46, "20260113", 12, "1.2.46", "CT, damaged on its way")
    stack = [each for each in whole if each.InstanceNumber not in (5, 6)]
    stack[2].PixelData = stack[2].PixelData[:700]
    return [*stack, pdf(46)]


def pdf(number: int) -> FileDataset:
    """A PDF in DICOM."""
    made = image(1, series=80, SOPClassUID=PDF, Modality="DOC", SeriesDescription="Consent form",
                 **_study(number, "20260110", _LONG))  # fmt: skip
    for name in ("PixelData", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"):
        delattr(made, name)
    made.DocumentTitle, made.MIMETypeOfEncapsulatedDocument = "Consent form", "application/pdf"
    made.EncapsulatedDocument = b"%PDF-1.4\n%%EOF\n"
    return made


def measured(source: FileDataset) -> Dataset:
    """Another system's TID 1500 report: the area of one region."""
    from pydicom.sr.codedict import codes

    points = np.array([[40, 40], [60, 40], [60, 60], [40, 60], [40, 40]], float)
    region = hd.sr.ImageRegion(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE, graphic_data=points,
        source_image=hd.sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
    )  # fmt: skip
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier="lesion 1"), referenced_region=region,
        measurements=[hd.sr.Measurement(codes.SCT.Area, 12.5, codes.UCUM.SquareMillimeter)],
    )  # fmt: skip
    observer = hd.sr.ObserverContext(codes.DCM.Person, hd.sr.PersonObserverIdentifyingAttributes(name="Roe^Richard"))
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_person_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion, imaging_measurements=[group],
    )  # fmt: skip
    return hd.sr.Comprehensive3DSR(
        evidence=[source], content=content[0], series_number=90, series_instance_uid=f"{source.StudyInstanceUID}.90",
        sop_instance_uid=f"{source.StudyInstanceUID}.90.1", instance_number=1, manufacturer="Others",
    )  # fmt: skip


def marked(source: FileDataset) -> FileDataset:
    """Another system's presentation state: a circle and a text on one image."""
    made = image(1, series=91, SOPClassUID=PR, Modality="PR", **_study(41, "20260110", _LONG))
    for name in ("PixelData", "Rows", "Columns"):
        delattr(made, name)
    made.ContentLabel = "MARKS"
    at, circle, words, annotation = Dataset(), Dataset(), Dataset(), Dataset()
    at.ReferencedSOPClassUID, at.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    circle.GraphicAnnotationUnits, circle.GraphicDimensions, circle.NumberOfGraphicPoints = "PIXEL", 2, 2
    circle.GraphicData, circle.GraphicType, circle.GraphicFilled = [90, 64, 90, 50], "CIRCLE", "N"
    words.AnchorPointAnnotationUnits, words.AnchorPoint, words.AnchorPointVisibility = "PIXEL", [80, 100], "N"
    words.UnformattedTextValue = "<b>compare</b> with 2025"
    annotation.ReferencedImageSequence, annotation.GraphicLayer = [at], "L"
    annotation.GraphicObjectSequence, annotation.TextObjectSequence = [circle], [words]
    made.GraphicAnnotationSequence = [annotation]
    return made


def files(*made: list[Dataset]) -> list[bytes]:
    """The objects of studies as file bytes."""
    return [as_bytes(each) for study in made for each in study]
