"""Presentation states and Secondary Captures: valid, where they should be, and marked."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from reports import SIGNER, full

from aris.errors import ExchangeError
from aris.exchange.documents.formats import document
from aris.exchange.documents.headers import subject
from aris.exchange.documents.overlays import drawn, presentation_state, secondary_capture
from aris.exchange.documents.report import Report, sign
from aris.tasks.results import Region
from dicom_objects import as_bytes, image
from films import filmlike
from unreadable import rewrite

PIXELS = filmlike(300, 280)


def film(**changes: Any) -> Any:
    made = image(side=280, **changes)
    made.Rows, made.PixelData = 300, (PIXELS.astype(np.uint16) * 16).tobytes()
    made.WindowCenter, made.WindowWidth, made.RescaleSlope, made.RescaleIntercept = 2000, 4000, 1, 0
    made.RescaleType = "US"
    return made


def report_on(header: Any, *boxes: tuple[float, float, float, float]) -> Report:
    patient, study, images = subject([header])
    regions = tuple(Region(label="pneumonia", box=box, probability=0.75) for box in boxes)
    return full(patient=patient, study=study, images=images, regions=regions)


def reread(document: Any) -> Any:
    out = io.BytesIO()
    document.save_as(out, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(out.getvalue()))


@pytest.mark.parametrize("signed", [False, True])
def test_a_presentation_state_draws_the_boxes_and_its_state(signed: bool) -> None:
    header = film(PhotometricInterpretation="MONOCHROME1")
    report = report_on(header, (10, 20, 60, 80), (0, 0, 280, 300))
    state = reread(presentation_state(sign(report, SIGNER) if signed else report, [header]))
    (annotation,) = state.GraphicAnnotationSequence
    first, whole = annotation.GraphicObjectSequence
    assert first.GraphicAnnotationUnits == "PIXEL" and first.GraphicType == "POLYLINE"
    assert list(first.GraphicData)[:4] == [10, 20, 60, 20]
    assert max(whole.GraphicData) == 300  # the outer edge of the last pixel
    words = [each.UnformattedTextValue for each in annotation.TextObjectSequence]
    assert ("DRAFT — not signed" in words) != signed and words.count("pneumonia 0.75") == 2
    assert state.ContentLabel == ("ARIS" if signed else "ARIS DRAFT")
    assert state.PresentationLUTShape == "INVERSE" and state.RescaleSlope == 1
    assert state.SoftcopyVOILUTSequence[0].WindowWidth == 4000
    item = state.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    assert item.ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert str(state.PatientName) == "Müller^Ana1"


def test_a_box_on_one_frame_is_drawn_on_no_other() -> None:
    header = film(SOPClassUID="1.2.840.10008.5.1.4.1.1.7.3", NumberOfFrames=3)
    report = report_on(header, (10, 20, 60, 80), (5, 5, 9, 9))
    one, other = report.regions
    report = report.model_copy(update={"regions": (one.model_copy(update={"frame": 2}), other)})
    every, second = reread(presentation_state(report, [header])).GraphicAnnotationSequence
    assert "ReferencedFrameNumber" not in every.ReferencedImageSequence[0] and len(every.GraphicObjectSequence) == 1
    assert second.ReferencedImageSequence[0].ReferencedFrameNumber == 2
    assert list(second.GraphicObjectSequence[0].GraphicData)[:2] == [10, 20]
    assert [each.UnformattedTextValue for each in second.TextObjectSequence] == ["pneumonia 0.75"]


def test_a_capture_shows_the_box_where_it_is() -> None:
    header = film()
    report = report_on(header, (100, 150, 160, 210))
    capture = reread(secondary_capture(report, header, PIXELS))
    shown = capture.pixel_array
    banner = shown.shape[0] - 300
    assert banner > 0 and shown.shape[1:] == (280, 3)
    frame = shown[banner:]
    yellow = (frame == (255, 196, 0)).all(axis=2)
    assert yellow[150, 100:160].all() and yellow[209, 100:160].all() and yellow[150:210, 100].all()
    assert not yellow[160:200, 110:150].any()
    inside = frame[160:200, 110:150]
    assert (inside == PIXELS[160:200, 110:150, None]).all()  # elsewhere the film is as it was
    assert (shown[:banner] == (255, 196, 0)).all(axis=2).any()  # the mark
    assert list(capture.PatientOrientation) == ["L", "F"] and capture.StudyInstanceUID == header.StudyInstanceUID
    assert capture.DerivationDescription.startswith("DRAFT — not signed")
    assert list(capture.ImageType)[:2] == ["DERIVED", "SECONDARY"]


def test_only_its_own_regions_are_on_an_image() -> None:
    header = film()
    report = report_on(header, (100, 150, 160, 210))
    assert (drawn(report, "1.2.3", PIXELS)[-300:] == PIXELS[..., None]).all()


def test_the_same_report_makes_the_same_overlays() -> None:
    header = film()
    report = report_on(header, (1, 2, 30, 40))
    for make in (lambda: presentation_state(report, [header]), lambda: secondary_capture(report, header, PIXELS)):
        one, other = io.BytesIO(), io.BytesIO()
        make().save_as(one, enforce_file_format=True)
        make().save_as(other, enforce_file_format=True)
        assert one.getvalue() == other.getvalue()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("kind", ["capture", "state", "state without boxes", "capture without orientation"])
def test_dciodvfy_finds_no_error(kind: str, tmp_path: Path) -> None:
    header = film()
    report = report_on(header, *([] if kind == "state without boxes" else [(10, 20, 60, 80)]))
    if kind == "capture without orientation":
        del header.PatientOrientation
    made = secondary_capture(report, header, PIXELS) if "capture" in kind else presentation_state(report, [header])
    made.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    done = subprocess.run(["dciodvfy", tmp_path / "x.dcm"], capture_output=True, text=True, check=False)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    assert (done.returncode, errors) == (0, [])


def test_what_cannot_be_drawn_is_said() -> None:
    header = film()
    report = report_on(header, (10, 20, 60, 80))
    with pytest.raises(ExchangeError, match="own size"):
        secondary_capture(report, header, PIXELS[:100])
    with pytest.raises(ExchangeError, match="missing"):
        presentation_state(report, [film(SOPInstanceUID="1.2.3")])
    colour = film(SamplesPerPixel=3)
    with pytest.raises(ExchangeError, match="colour"):
        presentation_state(report, [colour])


def photograph(**changes: Any) -> Any:
    """A fundus photograph in colour."""
    colours = np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    frames = int(changes.get("NumberOfFrames", 1))
    made = image(side=60, **({"Modality": "OP", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.5.1"} | changes))
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.Rows, made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 40, 3, "RGB", 0
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelData = 7, colours.tobytes() * frames
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    return made


def test_a_photograph_has_a_capture_too(tmp_path: Path) -> None:
    path = tmp_path / "fundus.dcm"
    header = photograph()
    path.write_bytes(as_bytes(header))
    made = document(report_on(header, (5, 6, 20, 30)), "sc", [path])
    capture = pydicom.dcmread(io.BytesIO(made["sc.dcm"]))
    banner = capture.Rows - 40
    shown, own = capture.pixel_array[banner:], header.pixel_array
    assert capture.Columns == 60 and (shown[:, 30:] == own[:, 30:]).mean() > 0.9 and (shown != own).any()
    path.write_bytes(as_bytes(photograph(NumberOfFrames=2)))
    with pytest.raises(ExchangeError, match="several frames"):
        document(report_on(header), "sc", [path])


def test_a_mirrored_film_is_drawn_as_it_is_shown_and_its_boxes_stay_with_the_pixels(tmp_path: Path) -> None:
    header = film(PatientOrientation=["R", "F"], BodyPartExamined="CHEST")
    path = tmp_path / "film.dcm"
    path.write_bytes(as_bytes(header))
    box = (10.0, 20.0, 60.0, 80.0)  # of the stored pixels
    report = report_on(header, box)
    (data,) = document(report, "sc", [path]).values()
    capture = pydicom.dcmread(io.BytesIO(data))
    assert capture.PatientOrientation == ["L", "F"]
    picture = capture.pixel_array
    banner = picture.shape[0] - 300
    # Columns 10 to 60 of 280 are 220 to 270 of the mirrored picture.
    yellow = (picture[banner + 20] == (255, 196, 0)).all(axis=-1)
    assert yellow[222:268].all() and not yellow[:150].any()
    state = presentation_state(report, [header])
    assert list(state.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData)[:2] == [10, 20]


def test_a_rescale_that_cannot_be_read_is_none_of_a_presentation_state(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(as_bytes(film()))
    header = pydicom.dcmread(rewrite(path, RescaleIntercept="none", WindowCenter="2000 HU"))
    state = presentation_state(report_on(header, (10, 20, 60, 80)), [header])
    assert "RescaleIntercept" not in state and state.GraphicAnnotationSequence
