"""The viewer's images over HTTP: series in the order of display, frames as values, thumbnails, others' documents."""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from aris.errors import ArisError
from aris.service.workspace.images.decoding import FrameDecoder
from aris.service.workspace.images.series import SeriesLister
from cheap_passwords import make_cheap
from dicom_objects import CT, ROOT, as_bytes, image
from workspace_house import WorkspaceHouse, code_of

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> WorkspaceHouse:
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        return WorkspaceHouse(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def ana(room: WorkspaceHouse) -> Any:
    return room.client("ana")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def ct(number: int, at: float, **changes: Any) -> pydicom.FileDataset:
    facts: dict[str, Any] = {
        "SOPClassUID": CT, "Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024,
        "ImagePositionPatient": [0, 0, at], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [0.5, 0.7],
        "WindowCenter": [40, -600], "WindowWidth": [400, 1500], "WindowCenterWidthExplanation": ["SOFT", "LUNG"],
        "FrameOfReferenceUID": "1.2.3", "study": 2,
    }  # fmt: skip
    return image(number, **(facts | changes))


def listed(client: Any, study: int, series: int = 1) -> dict[str, Any]:
    answer = client.get(f"/api/studies/{ROOT}.{study}/series/{ROOT}.{study}.{series}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def values(client: Any, info: dict[str, Any]) -> np.ndarray:
    answer = client.get(f"/api/images/{info['uid']}/frames/{info['frame']}")
    assert answer.status_code == 200, answer.text
    made = np.frombuffer(answer.content, np.dtype(info["dtype"]).newbyteorder("<"))
    return made.reshape((info["rows"], info["columns"], *((3,) if info["samples"] == 3 else ())))


def test_slices_come_in_the_order_of_the_body_whatever_their_arrival(room: WorkspaceHouse, ana: Any) -> None:
    places = list(range(12))
    random.Random(3).shuffle(places)
    for number, at in enumerate(places):
        room.store.add(as_bytes(ct(number + 1, 2.5 * at)))
    found = listed(ana, 2)
    assert [each["position"][2] for each in found["images"]] == [2.5 * at for at in range(11, -1, -1)]  # head first
    first = found["images"][0]
    assert (first["unit"], first["dtype"], first["inverted"], first["samples"]) == ("HU", "int16", False, 1)
    assert first["spacing"] == [0.5, 0.7] and first["calibration"] == "calibrated"
    assert [(each["center"], each["width"], each["name"]) for each in first["window"]] == [
        (40, 400, "SOFT"), (-600, 1500, "LUNG")
    ]  # fmt: skip
    stored = pydicom.dcmread(io.BytesIO(room.store.read(first["uid"])))
    assert np.array_equal(values(ana, first), stored.pixel_array.astype(int) - 1024)


def test_the_scanners_own_direction_is_kept(room: WorkspaceHouse, ana: Any) -> None:
    for number in range(1, 6):
        room.store.add(as_bytes(ct(number, 3.0 * number, study=3)))
    assert [each["number"] for each in listed(ana, 3)["images"]] == ["1", "2", "3", "4", "5"]


def test_two_time_points_follow_one_another_and_films_go_by_number(room: WorkspaceHouse, ana: Any) -> None:
    for number, (time, at) in enumerate([(1, 0), (2, 0), (1, 5), (2, 5), (1, 10), (2, 10)], 1):
        room.store.add(as_bytes(ct(number, at, study=4, TemporalPositionIdentifier=time, Modality="MR")))
    for number in (3, 1, 2):
        room.store.add(as_bytes(image(number, study=4, series=2)))
    assert [each["number"] for each in listed(ana, 4)["images"]] == ["1", "3", "5", "2", "4", "6"]
    assert [each["number"] for each in listed(ana, 4, 2)["images"]] == ["1", "2", "3"]


def test_an_enhanced_object_is_expanded_with_each_frames_own_groups(room: WorkspaceHouse, ana: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, 4096, (4, 16, 16)).astype(np.uint16)
    made = image(1, study=5, SOPClassUID=ENHANCED_CT, Modality="CT", NumberOfFrames=4, PixelData=pixels.tobytes())
    groups, shared = [], Dataset()
    measures, way = Dataset(), Dataset()
    measures.PixelSpacing, way.ImageOrientationPatient = [0.4, 0.4], [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [way]
    for index, at in enumerate((3, 1, 2, 0)):
        group, place, scale, voi = Dataset(), Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, at]
        scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = 1, -1000 - index, "HU"
        voi.WindowCenter, voi.WindowWidth = 50 + index, 350
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [place], [scale]
        group.FrameVOILUTSequence = [voi]
        groups.append(group)
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [shared], groups
    room.store.add(as_bytes(made))
    found = listed(ana, 5)["images"]
    assert [each["frame"] for each in found] == [1, 3, 2, 4] and {each["unit"] for each in found} == {"HU"}
    assert [each["window"][0]["center"] for each in found] == [50, 52, 51, 53]
    assert all(each["spacing"] == [0.4, 0.4] and each["calibration"] == "calibrated" for each in found)
    for each in found:
        index = each["frame"] - 1
        assert np.array_equal(values(ana, each), pixels[index].astype(int) - 1000 - index)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_compressed_slices_have_the_very_values(room: WorkspaceHouse, ana: Any, syntax: str) -> None:
    study = 6 + [JPEGLSLossless, JPEG2000Lossless, RLELossless].index(syntax)
    made = ct(1, 0, study=study, side=64)
    before = made.pixel_array.astype(int) - 1024
    made.compress(syntax, generate_instance_uid=False)
    room.store.add(as_bytes(made))
    (info,) = listed(ana, study)["images"]
    assert np.array_equal(values(ana, info), before) and not info["lossy"]


@pytest.mark.parametrize("name", sorted(path.name for path in FILES.glob("*.dcm")))
def test_each_file_of_pydicom_is_shown_as_it_is_listed_or_its_problem_is_said(
    room: WorkspaceHouse, ana: Any, name: str
) -> None:
    path = FILES / name
    if path.stat().st_size > 4 << 20:
        pytest.skip("large")
    try:
        added = room.store.add(path.read_bytes())
    except ArisError:
        return
    found = room.store.instances(uid=added.uid)
    if not found or added.outcome == "kept beside":
        return
    answer = ana.get(f"/api/studies/{found[0].study}/series/{found[0].series}")
    assert answer.status_code == 200
    own = [each for each in answer.json()["images"] if each["uid"] == added.uid]
    others = {each["uid"] for each in answer.json()["other"]}
    assert own or added.uid in others
    for info in own[:2]:
        shown = ana.get(f"/api/images/{info['uid']}/frames/{info['frame']}")
        if shown.status_code == 200:
            made = values(ana, info)
            assert not info["problem"] and (info["window"] or info["samples"] == 3)
            stored = pydicom.dcmread(path)
            if info["samples"] == 1 and info["unit"] == "HU" and "PixelPaddingValue" not in stored:
                assert np.array_equal(made, apply_modality_lut(stored.pixel_array, stored))
        elif not info["problem"]:
            # Only decoding tells that a stream is damaged.
            assert code_of(shown) == "not_shown", name


def test_a_frame_has_a_tag_and_is_not_sent_twice(room: WorkspaceHouse, ana: Any) -> None:
    room.store.add(as_bytes(image(1, study=20)))
    url = f"/api/images/{ROOT}.20.1.1/frames/1"
    first = ana.get(url)
    assert first.headers["cache-control"] == "no-store" and len(first.content) == 16 * 16 * 2
    again = ana.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content
    assert ana.get(f"/api/images/{ROOT}.20.1.1/frames/2").status_code == 404
    assert ana.get("/api/images/1.2.3/frames/1").status_code == 404
    assert ana.get(f"/api/studies/{ROOT}.20/series/1.2.3").status_code == 404


def test_images_of_another_patient_kept_apart_are_not_shown(room: WorkspaceHouse, ana: Any) -> None:
    room.store.add(as_bytes(image(1, study=21)))
    room.store.add(as_bytes(image(2, study=21, PatientID="another", PatientName="Other^Man")))
    assert [each["uid"] for each in listed(ana, 21)["images"]] == [f"{ROOT}.21.1.1"]
    assert ana.get(f"/api/images/{ROOT}.21.1.2/frames/1").status_code == 404
    assert ana.get(f"/api/images/{ROOT}.21.1.2/thumbnail").status_code == 404


def test_who_looks_is_written_down_once_and_who_may_not_sees_nothing(room: WorkspaceHouse, ana: Any) -> None:
    room.store.add(as_bytes(image(1, study=22)))
    study, url = f"{ROOT}.22", f"/api/images/{ROOT}.22.1.1/frames/1"
    for _ in range(3):
        assert ana.get(url).status_code == 200
    listed(ana, 22)
    seen = [each for each in room.trail("view") if each["about"] == study]
    assert [(each["user"], each["what"]) for each in seen] == [("ana", "images")]
    assert room.client("vic").get(url).status_code == 200
    assert room.client("adm").get(url).status_code == 403 and room.client().get(url).status_code == 401
    assert {each["user"] for each in room.trail("view") if each["about"] == study} == {"ana", "vic"}


def test_thumbnails_are_small_pictures(room: WorkspaceHouse, ana: Any) -> None:
    room.store.add(as_bytes(image(1, study=23, side=400)))
    answer = ana.get(f"/api/images/{ROOT}.23.1.1/thumbnail")
    made = Image.open(io.BytesIO(answer.content))
    assert answer.headers["content-type"] == "image/jpeg" and made.size == (256, 256)
    of_series = ana.get(f"/api/studies/{ROOT}.23/series/{ROOT}.23.1/thumbnail")
    assert of_series.content == answer.content
    # Of several the one in the middle as they are shown, whichever came in the middle; what has no image is left out.
    for number in (5, 3, 4):
        room.store.add(as_bytes(image(number, study=23, side=400)))
    report = image(2, study=23)
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(report, keyword)
    room.store.add(as_bytes(report))
    of_series = ana.get(f"/api/studies/{ROOT}.23/series/{ROOT}.23.1/thumbnail")
    assert of_series.content == ana.get(f"/api/images/{ROOT}.23.1.4/thumbnail").content


def test_a_broken_file_is_named_and_the_others_are_shown(room: WorkspaceHouse, ana: Any) -> None:
    whole, cut = image(1, study=24), image(2, study=24)
    cut.PixelData = cut.PixelData[:100]
    for each in (whole, cut):
        room.store.add(as_bytes(each))
    first, second = listed(ana, 24)["images"]
    assert values(ana, first).shape == (16, 16)
    answer = ana.get(f"/api/images/{second['uid']}/frames/1")
    assert answer.status_code == 422 and code_of(answer) == "not_shown"


def test_others_reports_and_marks_are_read(room: WorkspaceHouse, ana: Any) -> None:
    source = ct(1, 0, study=25)
    room.store.add(as_bytes(source))
    room.store.add(as_bytes(measured(source)))
    room.store.add(as_bytes(marked(source)))
    marks = ana.get(f"/api/studies/{ROOT}.25/graphics").json()
    kinds = {(each["kind"], each["image"], tuple(map(tuple, each["points"]))) for each in marks}
    assert ("polyline", f"{ROOT}.25.1.1", ((1.0, 1.0), (5.0, 1.0), (5.0, 5.0), (1.0, 1.0))) in kinds
    assert ("circle", f"{ROOT}.25.1.1", ((8.0, 8.0), (8.0, 4.0))) in kinds
    said = [each["text"] for each in marks if each["kind"] == "text"]
    assert said == ["<script>alert(1)</script> look here"]  # as it was written: it is text, and never becomes HTML
    stored = room.store.instances(study=f"{ROOT}.25")
    (report,) = [each for each in stored if each.sop_class.startswith("1.2.840.10008.5.1.4.1.1.88.")]
    document = ana.get(f"/api/images/{report.uid}/document").json()
    assert document["title"] == "Imaging Measurement Report" and document["kind"] == "sr"
    assert [(each["name"], each["value"], each["unit"]) for each in document["measurements"]] == [("Area", 12.5, "mm2")]
    assert ana.get(f"/api/images/{ROOT}.25.1.1/document").status_code == 422


def test_a_pdf_in_an_object_is_given_and_nothing_else_as_one(room: WorkspaceHouse, ana: Any) -> None:
    pages = b"%PDF-1.4\n%%EOF\n"
    for number, content in ((1, pages), (2, b"<html><script>alert(1)</script>")):
        made = image(number, study=26, SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", Modality="DOC")
        for name in ("PixelData", "Rows", "Columns"):
            delattr(made, name)
        made.MIMETypeOfEncapsulatedDocument, made.EncapsulatedDocument = "application/pdf", content
        room.store.add(as_bytes(made))
    room.store.add(as_bytes(image(1, study=26, series=2)))
    answer = ana.get(f"/api/images/{ROOT}.26.1.1/pdf")
    assert answer.status_code == 200 and answer.content.startswith(pages)
    assert answer.headers["content-type"] == "application/pdf"
    assert "script-src" not in answer.headers["content-security-policy"]
    assert code_of(ana.get(f"/api/images/{ROOT}.26.1.2/pdf")) == "not_shown"
    assert code_of(ana.get(f"/api/images/{ROOT}.26.2.1/pdf")) == "not_shown"
    assert room.client("adm").get(f"/api/images/{ROOT}.26.1.1/pdf").status_code == 403


def measured(source: pydicom.FileDataset) -> Dataset:
    """A TID 1500 report of one region with its area."""
    from pydicom.sr.codedict import codes

    region = hd.sr.ImageRegion(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE, graphic_data=np.array([[1, 1], [5, 1], [5, 5], [1, 1]], float),
        source_image=hd.sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
    )  # fmt: skip
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier="lesion 1"),
        referenced_region=region,
        measurements=[hd.sr.Measurement(codes.SCT.Area, 12.5, codes.UCUM.SquareMillimeter)],
    )
    observer = hd.sr.ObserverContext(
        codes.DCM.Person, hd.sr.PersonObserverIdentifyingAttributes(name="Roe^Richard")
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_person_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion, imaging_measurements=[group],
    )  # fmt: skip
    return hd.sr.Comprehensive3DSR(
        evidence=[source], content=content[0], series_number=90, series_instance_uid=f"{ROOT}.25.90",
        sop_instance_uid=f"{ROOT}.25.90.1", instance_number=1, manufacturer="Others",
    )  # fmt: skip


def marked(source: pydicom.FileDataset) -> Dataset:
    """A presentation state with a circle and a text, as others write them."""
    made = image(1, study=25, series=91, SOPClassUID="1.2.840.10008.5.1.4.1.1.11.1", Modality="PR")
    for name in ("PixelData", "Rows", "Columns"):
        delattr(made, name)
    made.ContentLabel = "MARKS"
    at, circle, words, annotation = Dataset(), Dataset(), Dataset(), Dataset()
    at.ReferencedSOPClassUID, at.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    circle.GraphicAnnotationUnits, circle.GraphicDimensions, circle.NumberOfGraphicPoints = "PIXEL", 2, 2
    circle.GraphicData, circle.GraphicType, circle.GraphicFilled = [8, 8, 8, 4], "CIRCLE", "N"
    words.AnchorPointAnnotationUnits, words.AnchorPoint, words.AnchorPointVisibility = "PIXEL", [2, 3], "N"
    words.UnformattedTextValue = "<script>alert(1)</script> look here"
    annotation.ReferencedImageSequence, annotation.GraphicLayer = [at], "L"
    annotation.GraphicObjectSequence, annotation.TextObjectSequence = [circle], [words]
    made.GraphicAnnotationSequence = [annotation]
    return made


def test_series_that_were_listed_are_kept_up_to_so_many_frames(
    room: WorkspaceHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aris.service.workspace.images.series._KEPT_FRAMES", 3)
    lister = SeriesLister(room.store, FrameDecoder(room.store))
    for study in (31, 32, 33):
        for number in (1, 2):
            room.store.add(as_bytes(image(number, study=study)))
        assert lister.listed(f"{ROOT}.{study}", f"{ROOT}.{study}.1") is not None
    assert [key[0] for key in lister._listed] == [f"{ROOT}.33/{ROOT}.33.1"]
