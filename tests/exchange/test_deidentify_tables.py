"""Tables beside pixels: no text rides along in palettes, LUTs or colour profiles, and the image looks as it did."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import ImageCms
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.tag import Tag

from aris.exchange.deidentify.images import Deidentifier, Options
from aris.exchange.deidentify.tables import clean_profile
from dicom_objects import as_bytes, image

TEXT = b"ZQUASTEL IDA 19500101 "  # in words, and there are 16 bits to a word


def clean(made: Any) -> tuple[Any, bytes]:
    import io

    found = Deidentifier(bytes(32), Options(pixels="reviewed")).clean(as_bytes(made)).data
    return pydicom.dcmread(io.BytesIO(found)), found


def palette(bits: int, text: bytes, behind: bytes) -> Any:
    made = image(1, PhotometricInterpretation="PALETTE COLOR", BitsAllocated=8, BitsStored=8, HighBit=7)
    made.PixelData = (np.arange(256, dtype=np.uint8) % 100).tobytes()
    for colour in ("Red", "Green", "Blue"):
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, bits])
        data = bytearray(np.arange(256, dtype="<u2" if bits == 16 else "u1").tobytes())
        data[-len(text) :] = text
        setattr(made, f"{colour}PaletteColorLookupTableData", bytes(data) + behind)
    return made


@pytest.mark.parametrize("bits", [8, 16])
def test_palettes_keep_what_pixels_point_to(bits: int) -> None:
    found, data = clean(palette(bits, TEXT, TEXT))
    assert b"ZQUAS" not in data
    shown = [apply_color_lut(each.pixel_array, each) for each in (palette(bits, TEXT, b""), found)]
    assert (shown[0] == shown[1]).all() and shown[0].max() == 99


def test_palettes_of_what_is_no_palette_image_go() -> None:
    made = image(1)
    made.RedPaletteColorLookupTableDescriptor = [64, 0, 16]
    made.RedPaletteColorLookupTableData = TEXT * 10
    made.SegmentedBluePaletteColorLookupTableData = TEXT
    found, data = clean(made)
    assert b"ZQUAS" not in data and not [each for each in found if "Palette" in each.keyword]


def lut(entries: int, text: bytes, behind: bytes = b"") -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [entries, 0, 16]
    item.LUTExplanation = "ZQUASTEL"
    item.ModalityLUTType = "US"
    table = bytearray((np.arange(entries) * 3 % 60_000).astype("<u2").tobytes())
    table[-len(text) :] = text
    item.add_new("LUTData", "OW", bytes(table) + behind)
    return item


def test_luts_keep_what_values_reach() -> None:
    made = image(1)
    made.PixelData = (np.arange(256, dtype="<u2") * 4).tobytes()
    made.ModalityLUTSequence, made.VOILUTSequence = [lut(4096, TEXT, TEXT)], [lut(8192, TEXT, TEXT)]
    found, data = clean(made)
    made.ModalityLUTSequence, made.VOILUTSequence = [lut(4096, TEXT)], [lut(8192, TEXT)]
    assert b"ZQUAS" not in data
    shown = [apply_voi_lut(apply_modality_lut(each.pixel_array, each), each) for each in (made, found)]
    assert (shown[0] == shown[1]).all() and shown[0].max() > 5000


@pytest.mark.parametrize("kind", ["1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2"])
def test_a_voi_table_of_an_angiogram_keeps_what_stored_values_reach(kind: str) -> None:
    """Its Modality LUT is not for display (PS3.3 C.8.7.1.1.2): the VOI LUT is of stored values."""
    made = image(1, SOPClassUID=kind, Modality="XA", Rows=1, Columns=5)
    made.PixelData = np.array([0, 64, 128, 192, 255], "<u2").tobytes()
    away = Dataset()
    away.LUTDescriptor, away.ModalityLUTType = [256, 0, 16], "US"
    away.add_new("LUTData", "OW", np.array([0] * 32 + [65_535] * 224, "<u2").tobytes())
    made.ModalityLUTSequence, made.VOILUTSequence = [away], [lut(256, bytes(2))]
    for changed in (made, clean(made)[0]):
        assert apply_voi_lut(changed.pixel_array, changed).ravel().tolist() == [0, 192, 384, 576, 0]


def test_a_frames_voi_table_keeps_what_its_rescale_reaches() -> None:
    made = image(1, NumberOfFrames=2, Rows=1, Columns=5)
    made.PixelData = np.array([0, 10, 20, 30, 40] * 2, "<u2").tobytes()
    group, rescale, window = Dataset(), Dataset(), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 2, 100, "US"
    window.VOILUTSequence = [lut(256, TEXT)]
    group.PixelValueTransformationSequence, group.FrameVOILUTSequence = [rescale], [window]
    made.SharedFunctionalGroupsSequence = [group]
    found, data = clean(made)
    item = found.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence[0].VOILUTSequence[0]
    assert np.frombuffer(item.LUTData, "<u2")[100:181:20].tolist() == [300, 360, 420, 480, 540]
    assert b"ZQUAS" not in data


def test_tables_that_cannot_be_read_go() -> None:
    made = image(1)
    broken = lut(256, TEXT)
    broken.LUTDescriptor = [4096, 0, 16]
    made.VOILUTSequence = [broken]
    found, data = clean(made)
    assert b"ZQUAS" not in data and "VOILUTSequence" not in found


@pytest.mark.parametrize(
    ("written", "slope", "intercept", "centre"),
    [
        ({"RescaleIntercept": "-1024,0", "WindowCenter": "40,5"}, 1, -1024, 40.5),
        ({"RescaleIntercept": "-1024 HU"}, 1, None, 40),
        ({"RescaleSlope": "1,5", "WindowCenter": "ZQUAS"}, 1.5, -1024, None),
        ({"RescaleSlope": "ZQUAS", "RescaleIntercept": ""}, None, None, 40),
        ({"WindowCenter": "-1,024"}, 1, -1024, None),
    ],
)
def test_numbers_are_given_out_as_they_are_meant_or_without_a_value(
    written: dict[str, str], slope: float | None, intercept: float | None, centre: float | None
) -> None:
    """Left out, an intercept is 0 to whoever reads the clean object."""
    made = image(1, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400, NumberOfFrames=1)
    for keyword, text in {"NumberOfFrames": "1,0", **written}.items():
        value = text.encode().ljust(len(text) + len(text) % 2)
        made._dict[Tag(keyword)] = RawDataElement(Tag(keyword), made[keyword].VR, len(value), value, 0, False, True)
    found, data = clean(made)
    assert b"ZQUAS" not in data
    assert all(name in found for name in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"))
    assert (found.RescaleSlope, found.RescaleIntercept, found.WindowCenter) == (slope, intercept, centre)
    assert found.NumberOfFrames == 1 and found.WindowWidth == 400


def test_long_lists_of_numbers_go() -> None:
    made = image(1)
    made.add_new(0x00189074, "FD", list(np.frombuffer(TEXT * 80, "<f8")[:200]))  # any number there is
    made.add_new(0x00280034, "IS", [1, 1])
    _, data = clean(made)
    assert b"ZQUAS" not in data


def test_a_profile_is_made_anew_without_its_texts() -> None:
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert clean_profile(plain) == plain
    (count,) = struct.unpack_from(">I", plain, 128)
    # A text tag of somebody's name, one between the parts, one in the header.
    for number in range(count):
        name, at, size = struct.unpack_from(">4sII", plain, 132 + 12 * number)
        if name == b"desc":
            named = plain[: at + 28] + "ZQUASTEL IDA!".encode("utf-16-be")[: size - 28] + plain[at + size :]
    for held in (named, plain[:100] + b"ZQUASTEL" + plain[108:], plain + b"ZQUASTEL"):
        made = clean_profile(held)
        assert made is not None and b"ZQUASTEL" not in made and "ZQUAS".encode("utf-16-be") not in made
        import io

        from PIL import Image

        colours = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8))
        srgb = ImageCms.createProfile("sRGB")
        turned = [ImageCms.profileToProfile(colours, io.BytesIO(each), srgb) for each in (plain, made)]
        assert np.abs(np.asarray(turned[0]).astype(int) - np.asarray(turned[1])).max() <= 1
    for junk in (b"", b"ZQUASTEL" * 40, plain[:200]):
        assert clean_profile(junk) is None
