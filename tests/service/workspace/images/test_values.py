"""Values of a frame: their type by the header alone, their unit, padding, tables and colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from aris.imaging.dicom import frames
from aris.imaging.dicom.rescale import rescale_of
from aris.service.workspace.images.describing import describe
from aris.service.workspace.images.values import form_of, values_of
from dicom_objects import CT, image


def shown(made: Any) -> tuple[Any, np.ndarray]:
    form = form_of(made, made)
    return form, values_of(made, made, form)


@pytest.mark.parametrize(("facts", "dtype", "unit"), [
    ({}, "int16", ""),  # 12 bits
    ({"BitsStored": 16, "HighBit": 15}, "uint16", ""),
    ({"SOPClassUID": CT, "Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024}, "int16", "HU"),
    ({"SOPClassUID": CT, "Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "US"},
     "int16", ""),
    ({"SOPClassUID": CT, "Modality": "CT"}, "int16", ""),  # without a rescale nothing may be called HU
    ({"SOPClassUID": CT, "Modality": "CT", "RescaleSlope": 0, "RescaleIntercept": -1024}, "int16", ""),
    ({"SOPClassUID": CT, "Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024,
      "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "int16", ""),
    ({"Modality": "PT", "RescaleSlope": 0.37, "RescaleIntercept": 0, "Units": "BQML"}, "float32", "BQML"),
])  # fmt: skip
def test_type_and_unit_follow_from_the_header(facts: dict[str, Any], dtype: str, unit: str) -> None:
    made = image(1, **facts)
    form, values = shown(made)
    assert (form.dtype, form.unit, str(values.dtype)) == (dtype, unit, dtype)
    rescale = rescale_of(made)
    assert np.allclose(values, rescale.applied(made.pixel_array), rtol=1e-6)


def test_padding_is_dark_and_monochrome1_is_said_to_be_inverted() -> None:
    made = image(1, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    pixels = made.pixel_array.copy()
    pixels[:4] = 0
    made.PixelData = pixels.tobytes()
    form, values = shown(made)
    assert form.inverted and (values[:4] == pixels[4:].max()).all()  # shown dark once it is inverted
    scan = image(1, SOPClassUID=CT, Modality="CT", RescaleSlope=1, RescaleIntercept=-1024, PixelPaddingValue=0)
    scan.PixelData = pixels.tobytes()
    assert (shown(scan)[1][:4] == -1024).all()


def test_a_voi_lut_is_applied_to_a_film_and_not_to_hounsfield_units() -> None:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    table.LUTData = (np.arange(4096) // 16).astype(np.uint16).tobytes()
    film = image(1, VOILUTSequence=[table], WindowCenter=7, WindowWidth=3)
    form, values = shown(film)
    assert form.dtype == "uint8" and np.array_equal(values, film.pixel_array // 16)
    (told,) = describe(film, "1.2", "1.2.840.10008.1.2.1", 0)
    assert [(each.center, each.width) for each in told.info.window] == [(128, 256)] and "VOI LUT" in told.info.notes[0]
    scan = image(1, SOPClassUID=CT, Modality="CT", RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=[table])
    form, values = shown(scan)
    assert form.unit == "HU" and "not used" in form.notes[0] and values.min() < 0


def test_colours_become_rgb() -> None:
    palette = image(1, PhotometricInterpretation="PALETTE COLOR", BitsAllocated=8, BitsStored=8, HighBit=7)
    palette.PixelData = (np.arange(256) % 4).astype(np.uint8).tobytes()
    for at, name in enumerate(("Red", "Green", "Blue")):
        setattr(palette, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
        data = (np.arange(4) * 64 * (at + 1) % 256 * 257).astype(np.uint16)
        setattr(palette, f"{name}PaletteColorLookupTableData", data.tobytes())
    form, values = shown(palette)
    assert form.samples == 3 and values.shape == (16, 16, 3)
    assert values[0, :4].tolist() == [[0, 0, 0], [64, 128, 192], [128, 0, 128], [192, 128, 64]]


def test_what_cannot_be_shown_is_said(recwarn: pytest.WarningsRecorder) -> None:
    assert "bits" in form_of(made := image(1, BitsAllocated=1, BitsStored=1, HighBit=0), made).problem
    assert form_of(made := image(1, PhotometricInterpretation="ARGB"), made).problem
    assert form_of(made := image(1, Rows=60_000, Columns=60_000), made).problem
    empty = Dataset()
    assert form_of(empty, empty).problem


def test_frames_windows_may_be_sigmoid_and_unusable_ones_are_left_out() -> None:
    made = image(1, WindowCenter=[100, 5], WindowWidth=[50, 0], VOILUTFunction="SIGMOID")
    (told,) = describe(made, "1.2", "1.2.840.10008.1.2.1", 0)
    assert [(each.center, each.width, each.function) for each in told.info.window] == [(100, 50, "SIGMOID")]
    (bare,) = describe(image(1), "1.2", "1.2.840.10008.1.2.1", 0)
    assert bare.needs_window and not bare.info.window
    assert frames.count(made) == 1


def test_a_film_stored_mirrored_says_how_it_is_turned() -> None:
    (told,) = describe(image(1, PatientOrientation=["R", "F"]), "1.2", "1.2.840.10008.1.2.1", 0)
    assert told.info.turn is not None and told.info.turn.flip_columns and told.info.patient_orientation == ("R", "F")
    (straight,) = describe(image(1), "1.2", "1.2.840.10008.1.2.1", 0)
    assert straight.info.turn is None
