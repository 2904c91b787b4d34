"""De-identification: nothing that was planted comes through, what should stay stays, and what is unsure is refused."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
from planted import burn_in, planted
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.uid import JPEG2000Lossless, RLELossless

import bad_files
from aris.errors import ArisError, ExchangeError
from aris.exchange.deidentify import burned_in
from aris.exchange.deidentify.checks import RefusedError, leaks
from aris.exchange.deidentify.images import Deidentifier, Options, read_key
from aris.exchange.deidentify.rules import action_for
from dicom_objects import as_bytes, image

KEY = bytes(range(32))
needs_ocr = pytest.mark.skipif(bool(burned_in.trouble()), reason=burned_in.trouble())


def cleaner(key: bytes = KEY, **options: Any) -> Deidentifier:
    return Deidentifier(key, Options(**({"pixels": "reviewed"} | options)))


def read(data: bytes) -> Any:
    return pydicom.dcmread(io.BytesIO(data))


def test_nothing_planted_comes_through() -> None:
    clean = cleaner()
    for seed in range(80):
        made, secret, _ = planted(seed)
        data = as_bytes(made)
        assert secret.encode() in data and leaks(data, [secret.lower()])  # the control: both detectors find it
        result = clean.clean(data, "x")
        assert secret.lower().encode() not in result.data.lower(), seed
        assert b"19310507" not in result.data and b"093Y" not in result.data
        for uid in (made.SOPInstanceUID, made.StudyInstanceUID, made.SeriesInstanceUID):
            assert f"{uid}\0".encode() not in result.data and f"{uid}(".encode() not in result.data


@pytest.mark.parametrize(
    "name",
    ["MR_small_bigendian.dcm", "SC_rgb_small_odd_big_endian.dcm", "MR_small_RLE.dcm", "SC_rgb_rle_16bit_2frame.dcm",
     "J2K_pixelrep_mismatch.dcm", "SC_rgb_jpeg_gdcm.dcm", "image_dfl.dcm"],
)  # fmt: skip
def test_pixels_stay_whatever_their_encoding(name: str) -> None:
    path = pydicom.data.get_testdata_file(name)
    wanted = pydicom.dcmread(path).pixel_array
    data = read(cleaner().clean(Path(str(path)).read_bytes()).data)
    assert data.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert (data.pixel_array == wanted).all()


def test_colours_stay_whatever_their_space() -> None:
    path = Path(str(pydicom.data.get_testdata_file("SC_ybr_full_422_uncompressed.dcm")))
    made = read(cleaner().clean(path.read_bytes()).data)
    assert made.PhotometricInterpretation == "RGB"
    assert len(made.PixelData) == 3 * made.Rows * made.Columns
    wanted = pydicom.pixels.pixel_array(path)  # pydicom's own conversion to RGB
    assert (made.pixel_array == wanted).all()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("high", [11, 13, 15])
def test_values_stay_wherever_they_lie_in_their_cells(high: int, signed: bool) -> None:
    numbers = np.random.default_rng(high)
    values = numbers.integers(-2048 if signed else 0, 2048, (16, 16))
    others = numbers.integers(0, 1 << 16, (16, 16)) & ~(0xFFF << high - 11)  # what old files keep beside them
    cells = ((values & 0xFFF) << high - 11 | others).astype("<u2")
    original = image(
        3, BitsAllocated=16, BitsStored=12, HighBit=high, PixelRepresentation=int(signed), PixelData=cells.tobytes()
    )
    original["PixelData"].VR = "OW"
    made = read(cleaner().clean(as_bytes(original)).data)
    assert made.HighBit == made.BitsStored - 1 == 11
    assert (np.frombuffer(made.PixelData, "<i2").reshape(16, 16) == values).all()


def test_images_of_one_bit_stay_images_of_one_bit() -> None:
    bits = np.random.default_rng(1).integers(0, 2, (3, 5, 7), dtype=np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    original = image(
        4, BitsAllocated=1, BitsStored=1, HighBit=0, Rows=5, Columns=7, NumberOfFrames=3,
        PixelData=packed + b"\0" * (len(packed) % 2),
    )  # fmt: skip
    made = read(cleaner().clean(as_bytes(original)).data)
    assert len(made.PixelData) == 14 and (made.pixel_array == bits).all()


def test_of_drawings_over_the_image_nothing_stays() -> None:
    path = Path(str(pydicom.data.get_testdata_file("examples_overlay.dcm")))
    assert 0x60003000 in pydicom.dcmread(path)
    made = read(cleaner().clean(path.read_bytes()).data)
    assert not [element for element in made if element.tag.group >> 8 in (0x50, 0x60)]


def test_colour_profiles_stay_unless_they_name_somebody() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    colours = np.random.default_rng(5).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    pixels = {
        "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "BitsAllocated": 8,
        "BitsStored": 8, "HighBit": 7, "PixelData": colours.tobytes(), "PatientName": "Quastel^Ida",
    }  # fmt: skip
    kept = read(cleaner().clean(as_bytes(image(6, ICCProfile=profile, **pixels))).data)
    assert kept.ICCProfile == profile and (kept.pixel_array == colours).all()
    for text in (b"QUASTEL", "Quastel".encode("utf-16-be")):
        made = cleaner().clean(as_bytes(image(6, ICCProfile=profile + text + bytes(len(text) % 2), **pixels))).data
        assert "ICCProfile" not in read(made) and text.lower() not in made.lower()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "693_J2KI.dcm", "examples_overlay.dcm"])
def test_what_was_valid_stays_valid(name: str, tmp_path: Path) -> None:
    path = Path(str(pydicom.data.get_testdata_file(name)))
    (tmp_path / name).write_bytes(cleaner().clean(path.read_bytes()).data)

    def errors(file: Path) -> set[str]:
        done = subprocess.run(["dciodvfy", file], capture_output=True, text=True, errors="replace", check=False)
        return {line for line in done.stderr.splitlines() if line.startswith("Error")}

    assert errors(tmp_path / name) <= errors(path)


def test_segmentations_are_refused_as_their_names_would_go() -> None:
    path = Path(str(pydicom.data.get_testdata_file("liver_1frame.dcm")))
    with pytest.raises(RefusedError, match="segmentation"):
        cleaner().clean(path.read_bytes())


def test_a_stream_that_crashes_its_decoder_is_refused(tmp_path: Path) -> None:
    path = bad_files.damaged_lossless_jpeg(tmp_path)
    with pytest.raises(RefusedError, match="cannot be read whole"):
        cleaner().clean(path.read_bytes())


def test_pixels_and_what_describes_them_stay() -> None:
    original = image(5, side=64, PixelSpacing=[0.2, 0.3], WindowCenter=100, WindowWidth=200, KVP="80")
    original.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made = read(cleaner().clean(as_bytes(original)).data)
    assert (made.pixel_array == original.pixel_array).all()
    for keyword in ("Modality", "BodyPartExamined", "ViewPosition", "PixelSpacing", "WindowCenter", "KVP", "ImageType",
                    "PatientOrientation", "InstanceNumber", "SeriesNumber", "PhotometricInterpretation"):  # fmt: skip
        assert made[keyword].value == original[keyword].value, keyword
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyID", "AccessionNumber"):
        assert keyword in made and not made[keyword].value, keyword
    assert "StudyDescription" not in made and made.PatientIdentityRemoved == "YES"
    codes = [each.CodeValue for each in made.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101"]


def test_one_key_is_one_project() -> None:
    first, second = image(1, study=3, series=1), image(2, study=3, series=2)
    one, two = (read(cleaner().clean(as_bytes(each)).data) for each in (first, second))
    assert one.PatientID == two.PatientID and one.StudyInstanceUID == two.StudyInstanceUID
    assert one.SeriesInstanceUID != two.SeriesInstanceUID and one.SOPInstanceUID != two.SOPInstanceUID
    other = read(cleaner(bytes(32)).clean(as_bytes(first)).data)
    assert {other.PatientID, other.StudyInstanceUID}.isdisjoint({one.PatientID, one.StudyInstanceUID})
    assert one.SOPClassUID == first.SOPClassUID  # the standard's own UIDs stay
    planted_uid = cleaner().uid("1.2.840.10008.19310507")  # in its root, but none of its own
    assert planted_uid.startswith("2.25.")
    assert read(cleaner().clean(as_bytes(first)).data) == one  # the same each time


def test_people_of_whom_nothing_is_known_are_not_one_person() -> None:
    nobody = {"PatientID": "", "PatientName": "^", "IssuerOfPatientID": None}
    first, other, again = (image(n, study=s, **nobody) for n, s in ((1, 1), (2, 2), (3, 1)))
    one, two, three = (read(cleaner(dates="shift").clean(as_bytes(each)).data) for each in (first, other, again))
    assert one.PatientID != two.PatientID and one.PatientID == three.PatientID
    assert str(one.PatientName) == one.PatientID


def test_references_follow_their_objects() -> None:
    first, second = image(1), image(2)
    item = pydicom.Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = first.SOPClassUID, first.SOPInstanceUID
    second.SourceImageSequence = [item]
    one, two = (read(cleaner().clean(as_bytes(each)).data) for each in (first, second))
    assert two.SourceImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID


def test_options_of_the_profile() -> None:
    old = image(1, PatientAge="097Y", PatientWeight="70", PatientSex="F", SeriesDate="20260110")
    shifting = cleaner(dates="shift", characteristics=True)
    made = read(shifting.clean(as_bytes(old)).data)
    assert (made.PatientAge, made.PatientSex, made.PatientWeight) == ("090Y", "F", 70)
    assert made.StudyDate and made.StudyDate != "20260101" and not made.PatientBirthDate
    # A patient's dates move together.
    assert int(made.SeriesDate) - int(made.StudyDate) == 9 or made.StudyDate[:6] != made.SeriesDate[:6]
    assert [e.CodeValue for e in made.DeidentificationMethodCodeSequence] == ["113100", "113101", "113107", "113108"]
    assert made.LongitudinalTemporalInformationModified == "MODIFIED"
    plain = read(cleaner().clean(as_bytes(old)).data)
    assert "PatientAge" not in plain and "PatientWeight" not in plain and not plain.PatientSex


@pytest.mark.parametrize("version", ["dicomfields_2024b", "dicomfields_2026c"])
def test_every_attribute_of_the_standards_table_goes(version: str) -> None:
    """Table E.1-1 as another program has it; ours are rules, so none of its rows is copied."""
    table = pytest.importorskip(f"dicomanonymizer.dicom_anonymization_databases.{version}")
    kept = set()
    for category in dir(table):
        if not category.endswith("_TAGS") or category == "ALL_TAGS":
            continue
        for tag in (tuple(each) for each in getattr(table, category)):
            if len(tag) != 2 or not dictionary_has_tag(tag):
                continue
            vr = dictionary_VR(tag)
            action = action_for(keyword_for_tag(tag), vr.split(" or ")[0], vr, private=False, characteristics=False)
            if action == "keep" or (action == "recurse" and "U_STAR" not in category):
                kept.add((category, keyword_for_tag(tag)))
    # A sequence of references stays with new UIDs (X/Z/U*).
    assert kept == set()


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_pixels_are_written_anew(syntax: Any) -> None:
    original = image(3, side=64)
    pixels = original.pixel_array.copy()
    try:
        original.compress(syntax)
    except (RuntimeError, ValueError):
        pytest.skip("no encoder for it here")
    made = read(cleaner().clean(as_bytes(original)).data)
    assert not made.file_meta.TransferSyntaxUID.is_compressed and (made.pixel_array == pixels).all()


def test_colour_and_frames_stay() -> None:
    for name in ("SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle_2frame.dcm", "JPEG2000.dcm", "examples_ybr_color.dcm"):
        path = pydicom.data.get_testdata_file(name)
        if path is None:
            continue
        original = pydicom.dcmread(path)
        made = read(cleaner().clean(open(path, "rb").read()).data)  # noqa: SIM115, PTH123
        assert made.pixel_array.shape == original.pixel_array.shape
        assert np.array_equal(made.pixel_array, original.pixel_array), name


def test_drawings_in_unused_bits_go() -> None:
    original = image(1, side=32)
    pixels = np.full((32, 32), 100, dtype=np.uint16)
    pixels[5:9, 5:20] |= 0x8000  # above the 12 stored bits
    original.PixelData = pixels.tobytes()
    made = read(cleaner().clean(as_bytes(original)).data)
    assert set(np.frombuffer(made.PixelData, np.uint16).tolist()) == {100}


def test_what_is_no_image_is_refused() -> None:
    report = pydicom.dcmread(pydicom.data.get_testdata_file("reportsi.dcm"))  # type: ignore[arg-type]
    for dataset in (report, image(1, Modality="SM")):
        with pytest.raises(RefusedError, match="refused"):
            cleaner().clean(as_bytes(dataset), "f.dcm")
    with pytest.raises(ArisError, match=r"x\.dcm: not a DICOM object"):
        cleaner().clean(b"hello" * 100, "x.dcm")
    broken = image(1)
    broken.PixelData = broken.PixelData[:100]
    with pytest.raises(RefusedError):
        cleaner().clean(as_bytes(broken), "x")


def test_errors_name_nobody() -> None:
    made, secret, _ = planted(1)
    del made.PixelData
    with pytest.raises(ArisError) as caught:
        cleaner().clean(as_bytes(made), "f.dcm")
    assert secret not in str(caught.value) and "\n" not in str(caught.value)


def test_without_ocr_risky_images_are_refused_and_others_say_that_nobody_looked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(burned_in, "trouble", lambda: "no OCR library is installed")
    auto = Deidentifier(KEY, Options())
    for changes in ({"Modality": "US"}, {"BurnedInAnnotation": "YES"}, {"ImageType": ["DERIVED", "SECONDARY"]},
                    {"Modality": "DX"}):  # fmt: skip
        with pytest.raises(RefusedError, match="no OCR library is installed"):
            auto.clean(as_bytes(image(1, **changes)), "f")
    for changes in ({"Modality": "CT"}, {"BurnedInAnnotation": "NO"}):
        result = auto.clean(as_bytes(image(1, **changes)))
        assert not result.searched
        made = read(result.data)
        assert [e.CodeValue for e in made.DeidentificationMethodCodeSequence] == ["113100"]
        assert "BurnedInAnnotation" not in made  # nobody looked, so nobody says so
    with pytest.raises(ExchangeError, match="no OCR library"):
        Deidentifier(KEY, Options(pixels="ocr"))


@needs_ocr
def test_burned_in_text_is_found_and_blanked() -> None:
    clean = Deidentifier(KEY, Options(pixels="ocr"))
    found = 0
    for seed in range(6):
        made, _, text = planted(seed, burn=True, side=320)
        result = clean.clean(as_bytes(made))
        assert result.searched
        shown = read(result.data)
        assert shown.BurnedInAnnotation == "NO"
        found += result.blanked > 0 and not burned_in.find_text(shown.pixel_array)
        assert text
    assert found >= 5  # the benchmark prints the recall over many
    # The control: without blanking the text is there.
    assert burned_in.find_text(made.pixel_array)


@needs_ocr
def test_what_is_not_text_stays_and_marks_of_sides_too() -> None:
    from films import filmlike

    film = filmlike(300, 300).astype(np.uint16) * 16
    before = film.copy()
    assert burned_in.cleaned(film) == 0 and (film == before).all()
    marked = image(1, side=320)
    burn_in(marked, random.Random(1))
    assert burned_in.find_text(marked.pixel_array)
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(filmlike(300, 300))
    ImageDraw.Draw(picture).text((20, 20), "R", fill=255, font=ImageFont.load_default(40))
    assert burned_in.find_text(np.asarray(picture)) == []


@needs_ocr
def test_text_that_cannot_be_removed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burned_in, "blank", lambda pixels, boxes: None)
    made, _, _ = planted(0, burn=True, side=320)
    with pytest.raises(RefusedError, match="cannot be removed"):
        Deidentifier(KEY, Options()).clean(as_bytes(made), "f")


def test_an_ocr_library_that_cannot_be_loaded_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV on a bare server: its package is there, a shared library is not."""

    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "rapidocr_onnxruntime":
                raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.delitem(sys.modules, "rapidocr_onnxruntime", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    burned_in.trouble.cache_clear()
    try:
        with pytest.raises(ExchangeError, match=r"libGL\.so\.1.*apt-get install libgl1") as caught:
            Deidentifier(KEY, Options(pixels="ocr"))
    finally:
        burned_in.trouble.cache_clear()
    assert "\n" not in str(caught.value)


def test_keys(tmp_path: Any) -> None:
    path = tmp_path / "key"
    with pytest.raises(ExchangeError, match="--new-key"):
        read_key(path)
    made = read_key(path, new=True)
    assert read_key(path) == made and len(made) == 32 and path.stat().st_mode & 0o077 == 0
    with pytest.raises(ExchangeError, match="already"):
        read_key(path, new=True)
    path.write_text("no key")
    with pytest.raises(ExchangeError, match="not a key"):
        read_key(path)
    with pytest.raises(ExchangeError, match="fewer"):
        Deidentifier(b"short")


