"""One film from every format: pixel values against the standard's formulas, header facts, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bad_files
from aris.errors import ImageError
from aris.imaging import HeldFile, read_film

RAMP = np.linspace(0, 4095, 60 * 50).reshape(60, 50).astype(np.uint16)


def by_hand(values: np.ndarray, function: str, centre: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, pixel by pixel, to 0..255."""
    out = np.zeros(values.shape)
    for index, x in np.ndenumerate(values.astype(np.float64)):
        if function == "LINEAR":
            if x <= centre - 0.5 - (width - 1) / 2:
                y = 0.0
            elif x > centre - 0.5 + (width - 1) / 2:
                y = 255.0
            else:
                y = ((x - (centre - 0.5)) / (width - 1) + 0.5) * 255
        elif function == "LINEAR_EXACT":
            inside = ((x - centre) / width + 0.5) * 255
            y = 0.0 if x <= centre - width / 2 else 255.0 if x > centre + width / 2 else inside
        else:
            y = 255 / (1 + np.exp(min(700, -4 * (x - centre) / width)))
        out[index] = y
    return np.rint(out).astype(np.uint8)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(2048, 4096), (1200, 700), (3000.5, 1)])
def test_defect_4_windows_follow_the_standard(function: str, centre: float, width: float, tmp_path: Path) -> None:
    path = bad_files.dicom(tmp_path, RAMP, WindowCenter=centre, WindowWidth=width, VOILUTFunction=function)
    if function == "LINEAR" and width == 1:
        wanted = np.where(centre - 0.5 < RAMP, 255, 0)
    else:
        wanted = by_hand(RAMP, function, centre, width)
    assert np.array_equal(read_film(path).pixels, wanted)


def test_defect_4_voi_lut_sequence_wins_and_monochrome1_inverts_last(tmp_path: Path) -> None:
    path, wanted = bad_files.monochrome1_with_voi_lut(tmp_path)
    assert np.array_equal(read_film(path).pixels, wanted)


def test_defect_4_of_several_windows_the_first_is_used(tmp_path: Path) -> None:
    path = bad_files.dicom(tmp_path, RAMP, WindowCenter=[1000, 3000], WindowWidth=[500, 2000])
    film = read_film(path)
    assert np.array_equal(film.pixels, by_hand(RAMP, "LINEAR", 1000, 500))
    assert any("2 windows" in warning for warning in film.warnings)
    assert film.windows == ((1000, 500), (3000, 2000))


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_every_depth_sign_and_window_follows_the_standard(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bits = data.draw(st.sampled_from([8, 10, 12, 14, 16]), "bits stored")
    signed = data.draw(st.booleans(), "signed")
    low = -(1 << (bits - 1)) if signed else 0
    stored = np.array(
        data.draw(st.lists(st.integers(low, low + (1 << bits) - 1), min_size=6, max_size=6), "values")
    ).reshape(2, 3)
    slope = data.draw(st.sampled_from([1, 0.5, 2.25, -1]), "slope")
    intercept = data.draw(st.sampled_from([0, -1024, 37.5]), "intercept")
    function = data.draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]), "function")
    centre = data.draw(st.integers(-5000, 70000), "centre") / 2
    width = data.draw(st.integers(4, 40000), "width") / 2
    inverted = data.draw(st.booleans(), "MONOCHROME1")
    cells = np.dtype(("i" if signed else "u") + str(1 if bits == 8 else 2))
    path = bad_files.dicom(
        tmp_path_factory.mktemp("film"), stored.astype(cells), BitsStored=bits, RescaleSlope=slope,
        RescaleIntercept=intercept, WindowCenter=centre, WindowWidth=width, VOILUTFunction=function,
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
    )  # fmt: skip
    wanted = by_hand(stored * slope + intercept, function, centre, width)
    # Two orders of the same float operations may fall to either side of a half.
    difference = read_film(path).pixels.astype(int) - (255 - wanted if inverted else wanted)
    assert np.abs(difference).max() <= 1 and np.count_nonzero(difference) <= 1


def test_defect_5_a_large_film_keeps_its_resolution(tmp_path: Path) -> None:
    film = np.random.default_rng(0).integers(0, 4096, (2500, 2048), dtype=np.uint16)
    assert read_film(bad_files.dicom(tmp_path, film)).pixels.shape == (2500, 2048)
    Image.fromarray((film >> 4).astype(np.uint8)).save(tmp_path / "film.png")
    assert np.array_equal(read_film(tmp_path / "film.png").pixels, film >> 4)


def test_slope_and_intercept_come_before_the_window_in_a_signed_type(tmp_path: Path) -> None:
    stored = np.arange(-1000, 2000, dtype=np.int16).reshape(60, 50)
    path = bad_files.dicom(
        tmp_path, stored, BitsStored=16, RescaleSlope=2, RescaleIntercept=-500, WindowCenter=40, WindowWidth=400
    )
    assert np.array_equal(read_film(path).pixels, by_hand(stored * 2.0 - 500, "LINEAR", 40, 400))


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 1000, "WindowWidth": 1800}])
def test_padding_of_an_inverted_film_is_dark(tmp_path: Path, window: dict[str, int]) -> None:
    stored = np.full((4, 6), 0, dtype=np.uint16)
    stored[:, 1:5] = [[100, 500, 1500, 1900]] * 4
    film = read_film(
        bad_files.dicom(tmp_path, stored, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0, **window)
    )
    assert (film.pixels[:, [0, 5]] == 0).all()
    assert (np.diff(film.pixels[:, 1:5].astype(int), axis=1) < 0).all() and film.pixels[0, 1] > 200


def test_without_a_window_padding_does_not_count(tmp_path: Path) -> None:
    stored = np.full((40, 40), 1000, dtype=np.uint16)
    stored[10:30, 10:30] = np.linspace(1200, 2200, 400).reshape(20, 20).astype(np.uint16)
    stored[:5] = 4095
    stored[5:10] = 4000
    film = read_film(bad_files.dicom(tmp_path, stored, PixelPaddingValue=4095, PixelPaddingRangeLimit=4000))
    assert film.pixels[20, 5] == 0 and film.pixels[29, 29] == 255
    assert any("no usable window" in warning for warning in film.warnings)


def test_colour_stills_are_shown_in_their_colours(tmp_path: Path) -> None:
    rgb = np.zeros((20, 30, 3), dtype=np.uint8)
    rgb[..., 0], rgb[:, :15, 2] = 200, 90
    path = bad_files.dicom(
        tmp_path, rgb[..., 0], Modality="OT", SamplesPerPixel=3, PhotometricInterpretation="RGB",
        PlanarConfiguration=0, PixelData=rgb.tobytes(),
    )  # fmt: skip
    film = read_film(path)
    assert np.array_equal(film.pixels, rgb)
    assert "secondary image" in film.warnings[0]


def test_pydicoms_ybr_and_palette_stills_equal_its_rgb_one() -> None:
    wanted = read_film(pydicom.data.get_testdata_file("SC_rgb_dcmtk_+eb+cr.dcm")).pixels.astype(int)  # type: ignore[arg-type]
    for name in ("SC_ybr_full_422_uncompressed.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle.dcm"):
        path = pydicom.data.get_testdata_file(name)
        assert path is not None
        pixels = read_film(path).pixels.astype(int)
        assert np.abs(pixels - wanted).mean() < 4, name


def test_planes_palettes_and_ybr_become_rgb(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    still = {"Modality": "OT", "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    planes = np.ascontiguousarray(np.moveaxis(rgb, 2, 0))
    path = bad_files.dicom(tmp_path, rgb[..., 0], PlanarConfiguration=1, **still | {"PixelData": planes.tobytes()})
    assert np.array_equal(read_film(path).pixels, rgb)

    r, g, b = np.moveaxis(rgb.astype(np.float64), 2, 0)  # PS3.3 C.7.6.3.1.2
    ybr = [0.299 * r + 0.587 * g + 0.114 * b, -0.1687 * r - 0.3313 * g + 0.5 * b + 128,
           0.5 * r - 0.4187 * g - 0.0813 * b + 128]  # fmt: skip
    stored = np.rint(np.clip(np.stack(ybr, 2), 0, 255)).astype(np.uint8)
    still |= {"PhotometricInterpretation": "YBR_FULL", "PixelData": stored.tobytes()}
    path = bad_files.dicom(tmp_path, rgb[..., 0], PlanarConfiguration=0, **still)
    assert np.abs(read_film(path).pixels.astype(int) - rgb).max() <= 2

    colours = np.random.default_rng(1).integers(0, 256, (256, 3), dtype=np.uint16)
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "Modality": "OT"}
    for at, name in enumerate(("Red", "Green", "Blue")):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"{name}PaletteColorLookupTableData"] = (colours[:, at] * 257).tobytes()
    path = bad_files.dicom(tmp_path, rgb[..., 0], **palette)
    assert np.array_equal(read_film(path).pixels, colours[rgb[..., 0]])


@pytest.mark.parametrize(
    ("elements", "worth"),
    [
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.14, 0.14]}, "PixelSpacing"),
        ({"PixelSpacing": [0.14, 0.14], "ImagerPixelSpacing": [0.14, 0.14]}, "ImagerPixelSpacing"),
        ({"PixelSpacing": [0.14, 0.14], "ImagerPixelSpacing": [0.14, 0.14], "PixelSpacingCalibrationType": "FIDUCIAL"},
         "PixelSpacing"),
        ({"PixelSpacing": [0.14, 0.14]}, "PixelSpacing of unknown calibration"),
        ({"PixelSpacing": [0.14, 0.14], "PixelSpacingCalibrationType": "GEOMETRY"}, "PixelSpacing"),
    ],
)  # fmt: skip
def test_what_a_spacing_is_worth(elements: dict[str, Any], worth: str, tmp_path: Path) -> None:
    film = read_film(bad_files.dicom(tmp_path, RAMP, **elements))
    assert (film.pixel_spacing_mm, film.spacing_attribute) == (tuple(elements["PixelSpacing"]), worth)


def test_header_facts_are_kept_and_identity_is_not(tmp_path: Path) -> None:
    path = bad_files.dicom(
        tmp_path, RAMP, BodyPartExamined="CHEST", ViewPosition="PA", ImageLaterality="U", PatientAge="004Y",
        PatientOrientation=["L", "F"], ImagerPixelSpacing=[0.14, 0.15], BurnedInAnnotation="YES",
    )  # fmt: skip
    film = read_film(path)
    facts = (film.modality, film.body_part, film.view_position, film.image_laterality, film.patient_age_years)
    assert facts == ("DX", "CHEST", "PA", "U", 4.0)
    assert film.patient_orientation == ("L", "F")
    assert (film.pixel_spacing_mm, film.spacing_attribute) == ((0.14, 0.15), "ImagerPixelSpacing")
    assert film.burned_in_annotation is True
    assert "Secret" not in repr(film) and "4711" not in repr(film)


@pytest.mark.parametrize(
    ("elements", "years"),
    [
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "045Y"}, 45.0),
        ({"PatientBirthDate": "20100301", "StudyDate": "20150301"}, 5.0),
        ({"PatientBirthDate": "20200301", "StudyDate": "20150301"}, None),
        ({"PatientAge": "XXXX"}, None),
    ],
)
def test_age_from_what_the_header_has(elements: dict[str, Any], years: float | None, tmp_path: Path) -> None:
    with pydicom.config.disable_value_validation():
        age = read_film(bad_files.dicom(tmp_path, RAMP, **elements)).patient_age_years
    assert age == (years if years is None else pytest.approx(years, abs=0.01))


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "LA", "RGBA", "CMYK", "I;16"])
def test_raster_modes(mode: str, tmp_path: Path) -> None:
    grey = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (32, 1))
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode in ("LA", "RGBA"):
        image = Image.fromarray(grey).convert(mode)
        image.putalpha(Image.fromarray(np.where(grey > 100, 255, 0).astype(np.uint8)))
    else:
        image = Image.fromarray(grey).convert(mode)
    path = tmp_path / ("film.tif" if mode == "CMYK" else "film.png")
    image.save(path)
    pixels = read_film(path).pixels
    grey_again = pixels if pixels.ndim == 2 else pixels.mean(2)
    wanted = np.where(grey > 100, grey, 0) if mode in ("LA", "RGBA") else grey
    if mode == "1":
        assert set(np.unique(grey_again)) == {0, 255}
    else:
        assert np.abs(grey_again.astype(int) - wanted).max() <= 2


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(np.tile(np.arange(90, dtype=np.uint8), (30, 1)))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    film = read_film(tmp_path / "photo.jpg")
    assert film.pixels.shape == (90, 30)
    assert "EXIF" in film.warnings[0]


def test_several_pages_are_refused_and_a_wrong_name_is_noted(tmp_path: Path) -> None:
    page = Image.fromarray(np.zeros((10, 10), dtype=np.uint8))
    page.save(tmp_path / "pages.tif", save_all=True, append_images=[page])
    with pytest.raises(ImageError, match="2 pages"):
        read_film(tmp_path / "pages.tif")
    page.save(tmp_path / "film.png")
    (tmp_path / "film.png").rename(tmp_path / "film.jpg")
    film = read_film(tmp_path / "film.jpg")
    assert film.format == "png" and "named .jpg but holds PNG" in film.warnings[0]


@pytest.mark.parametrize("name", bad_files.BAD)
def test_bad_files_get_one_clear_line(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make, says = bad_files.BAD[name]
    path = make(tmp_path)
    with pytest.raises(ImageError) as caught:
        read_film(path)
    message = str(caught.value)
    assert says in message and message.startswith(str(path)) and "\n" not in message
    assert "Secret" not in message and "4711" not in message
    assert capfd.readouterr() == ("", "")


def test_what_is_not_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="a folder"):
        read_film(tmp_path)
    with pytest.raises(ImageError, match="no such file"):
        read_film(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match="not a regular file"):
        read_film(tmp_path / "pipe")
    with pytest.raises(ImageError, match="not a regular file"):
        read_film("/dev/zero")


def test_what_may_not_be_read_or_does_not_fit_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(np.zeros((10, 10), dtype=np.uint8)).save(tmp_path / "film.png")

    def refuse(error: type[Exception]) -> Callable[..., None]:
        def raising(*_: object, **__: object) -> None:
            raise error

        return raising

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "load", refuse(MemoryError))
        patch.setattr("PIL.PngImagePlugin.PngImageFile.load", refuse(MemoryError))
        with pytest.raises(ImageError, match="out of memory"):
            read_film(tmp_path / "film.png")
    # The superuser may read every file.
    for name in ("film.read_regular", "sources.open_regular"):
        monkeypatch.setattr(f"aris.imaging.{name}", refuse(PermissionError))
    with pytest.raises(ImageError, match="no permission"):
        read_film(tmp_path / "film.png")
    with HeldFile(tmp_path / "film.png") as held, pytest.raises(ImageError, match="no permission"):
        read_film(held)


_PEAK = """
import resource, sys
from aris.errors import ImageError
from aris.imaging import read_film
before = None
for path in sys.argv[1:]:
    try:
        read_film(path)
    except ImageError:
        refused = True
    else:
        refused = False
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    before = before or own
    if path != sys.argv[1]:
        assert refused, path
    assert own - before < 200_000 and children < 200_000, (path, before, own, children)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is not in KiB")
def test_bad_files_take_little_memory(tmp_path: Path) -> None:
    good = bad_files.dicom(tmp_path, RAMP, name="first.dcm", WindowCenter=2048, WindowWidth=4096)
    paths = [make(tmp_path) for make, _ in bad_files.BAD.values()]
    done = subprocess.run([sys.executable, "-c", _PEAK, good, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_wide_tiffs_use_the_range_that_occurs(tmp_path: Path) -> None:
    values = np.linspace(-3, 9, 64 * 32, dtype=np.float32).reshape(32, 64)
    values[0, 0], values[5, 5] = np.nan, np.inf
    Image.fromarray(values).save(tmp_path / "film.tif")
    shown = read_film(tmp_path / "film.tif").pixels
    low = float(values[0, 1])
    wanted = np.rint((values.astype(np.float64) - low) / (9 - low) * 255)
    wanted[0, 0] = wanted[5, 5] = 0
    assert np.array_equal(shown, wanted)


def test_cells_of_32_bits(tmp_path: Path) -> None:
    stored = np.linspace(0, 3e9, 60 * 50).reshape(60, 50).astype(np.uint32)
    path = bad_files.dicom(tmp_path, stored, BitsStored=32, WindowCenter=1e9, WindowWidth=1.5e9)
    assert np.array_equal(read_film(path).pixels, by_hand(stored, "LINEAR", 1e9, 1.5e9))


def test_bare_dicom_without_preamble_is_read(tmp_path: Path) -> None:
    path = bad_files.dicom(tmp_path, RAMP, WindowCenter=2048, WindowWidth=4096)
    dataset = pydicom.dcmread(path)
    bare = tmp_path / "bare"
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian  # what a bare file is taken to be
    pydicom.dcmwrite(bare, dataset, implicit_vr=True, little_endian=True, enforce_file_format=False)
    data = bare.read_bytes()
    start = data.index(b"\x08\x00\x16\x00")  # SOP Class UID, the first element after the preamble and group 2
    bare.write_bytes(data[start:])
    assert np.array_equal(read_film(bare).pixels, read_film(path).pixels)


@pytest.mark.parametrize("kind", ["dicom", "png", "jpeg", "tiff"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_bytes_raise_nothing_but_image_errors(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    if kind == "dicom":
        path = bad_files.dicom(folder, RAMP, WindowCenter=100, WindowWidth=50, PatientAge="004Y")
    else:
        path = folder / f"film.{kind}"
        Image.fromarray((RAMP >> 4).astype(np.uint8)).save(path, format=kind.upper())
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, min(len(raw) - 1, 1500)))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw)[: data.draw(st.integers(1, len(raw)))])
    try:
        film = read_film(path)
        assert film.pixels.dtype == np.uint8
    except ImageError as error:
        assert "\n" not in str(error)
