"""Overlays of a report on its images: a Grayscale Softcopy Presentation State, and Secondary Captures.

A presentation state draws the boxes over the original, which stays as it is; a Secondary Capture is an image of both,
for viewers that know no presentation states. Each says on the image whether it is a draft.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aris.errors import ExchangeError
from aris.exchange.documents.plain import finding_line, heading, probability
from aris.exchange.documents.report import Report
from aris.exchange.documents.sr import described, evidence, fill_patient_and_study, highdicom, instance_of, settle
from aris.imaging.dicom.rescale import rescale_for_display
from aris.imaging.dicom.values import numbers
from aris.imaging.dicom.voi import window_pairs
from aris.imaging.orientation import STORED, Turn
from aris.imaging.radiograph import patient_orientation
from aris.store.objects import text
from aris.tasks.results import Region

if TYPE_CHECKING:
    from pydicom import Dataset

GSPS = "1.2.840.10008.5.1.4.1.1.11.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_COLOUR = (255, 196, 0)
# What a presentation state takes over from its images; texts in them, which might name somebody, stay behind.
_SHOWN = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "NumberOfFrames", "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio",
    "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "VOILUTSequence",
)  # fmt: skip

_IN_GROUPS = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
}


def presentation_state(report: Report, images: Sequence[Dataset]) -> Dataset:
    """The regions as graphics over the grey images that they lie on.

    Args:
        images: the headers of the report's images, with their pixel modules; those without regions are left out,
            unless no image has any.

    Raises:
        ExchangeError: an image is in colour, or of those that the report names one with a region is missing.
    """
    pr, content = highdicom("pr"), highdicom("content")
    evidence(report)  # refuses reports without images
    shown = _with_regions(report, images)
    if any(int(each.get("SamplesPerPixel") or 1) != 1 for each in shown):
        raise ExchangeError("a presentation state is for grey images, and one is in colour; export a secondary capture")
    colour = highdicom("color").CIELabColor(80, 10, 80)
    layer = pr.GraphicLayer("ARIS", 1, "Regions of the report", display_color=colour)
    headers = [_header(report, each) for each in shown]
    annotations = [annotation for each in headers for annotation in _annotations(report, each, layer)]
    inverse = text(headers[0], "PhotometricInterpretation") == "MONOCHROME1"
    shapes = highdicom("enum").PresentationLUTShapeValues
    state: Any = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=headers,
        series_number=9902,
        **instance_of(report, GSPS),
        content_label="ARIS DRAFT" if report.is_draft else "ARIS",
        content_description=described(report.mark, report)[:64],
        content_creator_name=report.signer.name if report.signer else None,
        graphic_annotations=annotations,
        graphic_layers=[layer],
        presentation_lut_transformation=content.PresentationLUTTransformation(
            presentation_lut_shape=shapes.INVERSE if inverse else shapes.IDENTITY
        ),
        specific_character_set="ISO_IR 192",
    )
    what = f"Regions of a {'draft' if report.is_draft else 'report'}"
    state.SeriesDescription = described(what, report)  # what a list of series shows
    state.Laterality = ""  # type 2C; a state may be of images of both sides
    state.PresentationCreationDate = report.created.strftime("%Y%m%d")
    state.PresentationCreationTime = report.created.strftime("%H%M%S")
    settle(state, report)
    return state


def secondary_capture(
    report: Report, image: Dataset, pixels: npt.NDArray[np.uint8], turn: Turn = STORED
) -> Dataset:
    """An image of one image with its regions, its scores and the report's state burned in.

    Args:
        image: the header of one of the report's images.
        pixels: uint8 (H, W) or (H, W, 3), as `imaging.read_film` gives it, at the image's own size.
        turn: from the stored pixels, on which the regions are, to these.

    Raises:
        ExchangeError: the pixels are of another size than the image.
    """
    evidence(report)
    if turn.reversed(pixels).shape[:2] != (int(image.Rows), int(image.Columns)):
        raise ExchangeError("the pixels are not of the image's own size; regions would lie elsewhere")
    sc = highdicom("sc")
    uid = text(image, "SOPInstanceUID")
    arguments = instance_of(report, f"{SECONDARY_CAPTURE} {uid}")
    capture: Any = sc.SCImage(
        pixel_array=drawn(report, uid, pixels, turn),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # replaced below by what the image says
        study_instance_uid=report.study.uid,
        series_number=9903,
        **arguments,
        specific_character_set="ISO_IR 192",
        series_description=described("Regions of a draft" if report.is_draft else "Regions of a report", report),
        content_date=report.created.date(),
        content_time=report.created.time(),
    )
    fill_patient_and_study(capture, report)
    lying = patient_orientation(image)
    capture.PatientOrientation = None if lying is None else list(turn.letters(lying))
    capture.Laterality = text(image, "Laterality")  # type 2C: empty where it is not known
    capture.InstanceNumber = 1 + [each.uid for each in report.images].index(uid)
    capture.DateOfSecondaryCapture = report.created.strftime("%Y%m%d")
    capture.TimeOfSecondaryCapture = report.created.strftime("%H%M%S")
    said = ". ".join(each.rstrip(".") for each in heading(report))
    capture.DerivationDescription = f"{said}: regions and scores drawn on a copy"[:1024]
    if report.caution:
        capture.ImageComments = report.caution
    if text(image, "BurnedInAnnotation") in ("YES", "NO"):
        capture.BurnedInAnnotation = text(image, "BurnedInAnnotation")
    settle(capture, report)
    return capture


def drawn(
    report: Report, uid: str, pixels: npt.NDArray[np.uint8], turn: Turn = STORED
) -> npt.NDArray[np.uint8]:
    """The image of one image: uint8 (H + banner, W, 3), a banner with state and scores above the image.

    Args:
        turn: from the stored pixels, on which the regions are, to `pixels`.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = pixels.shape[:2]
    size = max(10, min(height, width) // 40)
    font = ImageFont.load_default(size)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    # No word of the caution is cut off; of a narrow image it takes several lines.
    heads = [report.mark, *_wrapped(report.caution, lambda part: pen.textlength(part, font), width - size)]
    lines = [*heads, *(finding_line(each) for each in report.findings)]
    step = round(size * 1.4)
    banner = step * len(lines) + size
    canvas = Image.new("RGB", (width, height + banner))
    canvas.paste(Image.fromarray(pixels).convert("RGB"), (0, banner))
    pen = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        fitted = _fitting(line, lambda part: pen.textlength(part, font), width - size)
        colour = _COLOUR if number < len(heads) else (255, 255, 255)
        pen.text((size // 2, size // 2 + number * step), fitted, fill=colour, font=font)
    for region in report.regions:
        if region.image == uid:
            left, top, right, bottom = turn.to_shown(region.box, height, width)
            box = (left, top + banner, right - 1, bottom + banner - 1)
            pen.rectangle(box, outline=_COLOUR, width=max(1, size // 6))
            above = max(banner, top + banner - step)
            label = _fitting(_label(region), lambda part: pen.textlength(part, font), width - left)
            pen.text((left, above), label, fill=_COLOUR, font=font)
    return np.asarray(canvas, dtype=np.uint8)


def _with_regions(report: Report, images: Sequence[Dataset]) -> list[Dataset]:
    wanted = {region.image for region in report.regions}
    known = {each.uid for each in report.images}
    named = [each for each in images if text(each, "SOPInstanceUID") in known]
    shown = [each for each in named if not wanted or text(each, "SOPInstanceUID") in wanted]
    if not shown or len(shown) < len(wanted):
        raise ExchangeError("an image with a region is missing; name all DICOM files that the report is about")
    return shown


def _header(report: Report, image: Dataset) -> Any:
    """An image's header as a presentation state needs it, its texts in UTF-8."""
    made = next(each for each in evidence(report) if each.SOPInstanceUID == text(image, "SOPInstanceUID"))
    for keyword in (each for each in _SHOWN if each in image and each not in _unused(image)):
        _copy(made, image, keyword)
    for sequence in ("ModalityLUTSequence", "VOILUTSequence"):
        for item in made.get(sequence, []):
            if "LUTExplanation" in item:
                del item.LUTExplanation
    if "NumberOfFrames" in image:
        _put_groups(made, image)
    return made


def _unused(image: Any) -> tuple[str, ...]:
    """List attributes that no viewer is to use: a rescale that is unreadable or not for display, and its windows.

    highdicom takes over each part of a rescale or a window only with the others.
    """
    rescale = rescale_for_display(image)
    unused: tuple[str, ...] = ()
    if not rescale.stated:
        unused = ("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence")
    if not rescale.known:
        unused += ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")
    elif any(None in pair for pair in window_pairs(image)):
        unused += ("WindowCenter", "WindowWidth", "VOILUTFunction")
    return unused


def _copy(made: Any, source: Any, keyword: str) -> None:
    """Copy a value, a number that has a comma as that number; not one that cannot be read."""
    try:
        value = copy.deepcopy(source[keyword].value)
    except Exception:  # pydicom converts on access and raises many kinds
        read = numbers(source, keyword)
        if not read or None in read:
            return
        value = list(read) if len(read) > 1 else read[0]
    setattr(made, keyword, value)


def _put_groups(made: Any, image: Any) -> None:
    """Rescale and window as functional groups, where highdicom looks for those of every image with frames."""
    from pydicom import Dataset

    def taken(group: Any) -> Dataset:
        kept = Dataset()
        for sequence, keywords in _IN_GROUPS.items():
            for item in group.get(sequence, [])[:1]:
                part = Dataset()
                unused = _unused(item)
                for keyword in (each for each in keywords if each in item and each not in unused):
                    _copy(part, item, keyword)
                if len(part):
                    setattr(kept, sequence, [part])
        return kept

    if "SharedFunctionalGroupsSequence" in image:
        made.SharedFunctionalGroupsSequence = [taken(image.SharedFunctionalGroupsSequence[0])]
        frames = [taken(each) for each in image.get("PerFrameFunctionalGroupsSequence", [])]
        if any("PixelValueTransformationSequence" in each for each in frames):
            raise ExchangeError("a presentation state has one rescale, and the image has one for each of its frames")
    else:
        plain = Dataset()
        for sequence, keywords in _IN_GROUPS.items():
            if keywords[0] in image:
                setattr(plain, sequence, [image])
        made.SharedFunctionalGroupsSequence = [taken(plain)]
        frames = [Dataset() for _ in range(int(image.NumberOfFrames or 1))]
    made.PerFrameFunctionalGroupsSequence = frames


def _annotations(report: Report, header: Any, layer: Any) -> list[Any]:
    """The report's state and what lies on all frames of an image; then, frame by frame, what lies on that one alone."""
    regions = [each for each in report.regions if each.image == str(header.SOPInstanceUID)]
    return [
        _annotation(report, header, layer, frame, [each for each in regions if each.frame == frame])
        for frame in dict.fromkeys((None, *(each.frame for each in regions)))
    ]


def _annotation(report: Report, header: Any, layer: Any, frame: int | None, regions: list[Region]) -> Any:
    pr = highdicom("pr")
    pixel, display = pr.AnnotationUnitsValues.PIXEL, pr.AnnotationUnitsValues.DISPLAY
    # The state of the report stands on the screen, however far the image is zoomed.
    words = [] if frame else [
        pr.TextObject(line, display, bounding_box=(0.0, 0.05 * position, 1.0, 0.05 * (position + 1)))
        for position, line in enumerate(heading(report))
    ]
    outlines = []
    for region in regions:
        left, top, right, bottom = region.box
        # As in a report, (0, 0) is the outer corner of the first pixel (PS3.3 C.10.5.1.2).
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        outline = np.clip(np.array(corners), 0.0, [int(header.Columns), int(header.Rows)])
        outlines.append(pr.GraphicObject(pr.GraphicTypeValues.POLYLINE, outline, pixel))
        anchor = (float(outline[0, 0]), float(outline[0, 1]))
        words.append(pr.TextObject(_label(region)[:1024], pixel, anchor_point=anchor, anchor_point_visible=False))
    return pr.GraphicAnnotation(
        [header], layer, referenced_frame_number=frame, graphic_objects=outlines or None, text_objects=words
    )


def _label(region: Region) -> str:
    number = "" if region.probability is None else f" {probability(region.probability)}"
    note = f" ({region.note})" if region.note else ""
    return f"{region.label}{number}{note}"


def _wrapped(text: str, length: Any, width: float) -> list[str]:
    """The text in lines that fit, broken between words; none for no text."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and length(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _fitting(line: str, length: Any, width: float) -> str:
    """The line, cut where it would leave the image; at its start at least something stays."""
    while len(line) > 4 and length(line) > width:
        line = line[:-2].rstrip() + "…" if not line.endswith("…") else line[:-3].rstrip() + "…"
    return line
