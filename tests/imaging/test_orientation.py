"""Slices and films that are stored turned or mirrored are shown as readers are used to see them, and boxes go back."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import bad_files
from aris.imaging import find_studies, read_film, read_volume, read_volumes, volume_images
from aris.imaging.geometry import plane
from aris.imaging.orientation import STORED, Turn, known_letters, turn_of_film, turn_of_plane
from aris.imaging.synthetic.series import Geometry, body_hu, write_enhanced, write_series
from aris.tasks import as_case, locate
from aris.tasks.cases import film_case
from aris.tasks.evidence_maps.sides import side_of
from scripted_backend import ScriptedBackend

TURNS = [Turn(*flags) for flags in itertools.product([False, True], repeat=3)]
GEOMETRY = Geometry(slices=5, rows=24, columns=32, spacing_mm=(20, 12, 12))


def restore(paths: list[Path], geometry: Geometry, turn: Turn) -> None:
    """Store the same slices turned, each saying so."""
    row, column, _ = geometry.directions
    _, down, right = geometry.spacing_mm
    for path in paths:
        dataset = pydicom.dcmread(path)
        view = dataset.pixel_array
        stored, (height, width) = turn.reversed(view), view.shape
        first = np.array([float(each) for each in dataset.ImagePositionPatient])
        # Where a stored pixel lies in the view, and so in the patient.
        places = [turn.to_shown((c, r, c + 1, r + 1), height, width)[:2] for r, c in ((0, 0), (0, 1), (1, 0))]
        origin, along, below = (first + left * right * row + top * down * column for left, top in places)
        dataset.Rows, dataset.Columns = stored.shape
        dataset.ImagePositionPatient = origin.tolist()
        step, fall = along - origin, below - origin
        lengths = np.linalg.norm(fall), np.linalg.norm(step)
        dataset.ImageOrientationPatient = [*(step / lengths[1]).tolist(), *(fall / lengths[0]).tolist()]
        dataset.PixelSpacing = list(map(float, lengths))
        dataset.PixelData = np.ascontiguousarray(stored).tobytes()
        dataset.save_as(path)


@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_slices_are_shown_alike_however_they_are_stored(turn: Turn, orientation: Any, tmp_path: Path) -> None:
    geometry = Geometry(slices=5, rows=24, columns=32, spacing_mm=(20, 12, 12), orientation=orientation)
    wanted = volume_images(read_volume(write_series(tmp_path / "plain", geometry)[0].parent))
    restore(write_series(tmp_path / "turned", geometry), geometry, turn)
    volume = read_volume(tmp_path / "turned")
    images = volume_images(volume)
    assert volume.unit == "HU" and volume.orientation == orientation and volume.missing == ()
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(images, wanted, strict=True))
    assert images[0].orientation == {"axial": ("L", "P"), "coronal": ("L", "F"), "sagittal": ("P", "F")}[orientation]
    assert bool(volume.warnings) == bool(turn) and volume.turn == turn
    # What is stored keeps its places: a voxel is where its plane says.
    assert volume.planes is not None and volume.spacing_mm is not None
    _, down, right = volume.spacing_mm
    one = volume.planes[2]
    row, column = np.array(one.row), np.array(one.column)
    point = np.array(one.position) + 3 * down * column + 5 * right * row
    assert volume.voxels[2, 3, 5] == body_hu(point[None])[0]


def test_the_issues_slices_are_upright_and_feet_first(tmp_path: Path) -> None:
    """Rows (-1, 0, 0), columns (0, -1, 0), and mirrored ones whose normal points to the feet."""
    for name, turn in (("turned", Turn(False, True, True)), ("mirrored", Turn(False, True, False))):
        restore(write_series(tmp_path / name, GEOMETRY), GEOMETRY, turn)
        volume = read_volume(tmp_path / name)
        assert volume.planes is not None
        assert [one.position[2] for one in volume.planes] == [-40, -20, 0, 20, 40]  # the head last
        image = volume_images(volume)[2].pixels[..., 1]
        spine = np.argwhere(image == image.max()).mean(axis=0)
        assert spine[0] > 12  # the back below


def test_enhanced_frames_are_turned_too(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "one.dcm", GEOMETRY)
    wanted = volume_images(read_volume(path))
    dataset = pydicom.dcmread(path)
    view = dataset.pixel_array
    facing = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    facing.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
    for item in dataset.PerFrameFunctionalGroupsSequence:
        place = item.PlanePositionSequence[0]
        x, y, z = (float(each) for each in place.ImagePositionPatient)
        place.ImagePositionPatient = [x + 31 * 12, y + 23 * 12, z]
    dataset.PixelData = np.ascontiguousarray(view[:, ::-1, ::-1]).tobytes()
    dataset.save_as(path)
    images = volume_images(read_volume(path))
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(images, wanted, strict=True))


def test_a_tilted_gantry_keeps_its_turn_and_an_oblique_plane_is_said(tmp_path: Path) -> None:
    tilt = np.deg2rad(20)
    tilted = plane([0, 0, 0], [-1, 0, 0, 0, -np.cos(tilt), -np.sin(tilt)])
    assert tilted is not None and turn_of_plane(tilted) == Turn(False, True, True)
    steep = np.deg2rad(40)
    facing = [-1.0, 0, 0, 0, -float(np.cos(steep)), -float(np.sin(steep))]
    write_series(tmp_path, Geometry(slices=1), ImageOrientationPatient=facing)
    volume = read_volume(tmp_path)
    assert volume.orientation == "oblique" and volume.turn == STORED
    assert any("oblique" in note for note in volume.warnings)


def test_slices_without_a_place_go_by_patient_orientation(tmp_path: Path) -> None:
    absent = {"ImageOrientationPatient": None, "ImagePositionPatient": None}
    write_series(tmp_path, Geometry(slices=1), PatientOrientation=["R", "A"], **absent)
    volume = read_volume(tmp_path)
    assert volume.turn == Turn(False, True, True) and volume.lying == ("L", "P")


def test_mirrored_and_plain_slices_of_one_series_are_two_volumes(tmp_path: Path) -> None:
    paths = write_series(tmp_path, GEOMETRY)
    restore(paths[:2], GEOMETRY, Turn(False, False, True))
    (series,) = find_studies(tmp_path).series
    volumes = read_volumes(series)
    assert sorted(len(volume.voxels) for volume in volumes) == [2, 3]
    assert all(any("mixes orientations" in note for note in volume.warnings) for volume in volumes)


FILM = np.arange(80 * 100, dtype=np.uint16).reshape(80, 100) % 4096
FRONTAL = {
    ("L", "F"): STORED, ("R", "F"): Turn(flip_columns=True), ("L", "H"): Turn(flip_rows=True),
    ("R", "H"): Turn(flip_rows=True, flip_columns=True), ("F", "L"): Turn(transpose=True),
    ("F", "R"): Turn(True, False, True), ("H", "L"): Turn(True, True, False), ("H", "R"): Turn(True, True, True),
    ("RH", "FA"): Turn(flip_columns=True),
}  # fmt: skip


@pytest.mark.parametrize("letters", list(FRONTAL), ids="-".join)
def test_a_frontal_film_is_shown_facing_the_reader(letters: tuple[str, str], tmp_path: Path) -> None:
    upright = read_film(bad_files.dicom(tmp_path, FILM, BodyPartExamined="CHEST"))
    turn = FRONTAL[letters]
    stored = np.ascontiguousarray(turn.reversed(FILM))
    film = read_film(
        bad_files.dicom(tmp_path, stored, PatientOrientation=list(letters), ViewPosition="PA", BodyPartExamined="CHEST")
    )
    assert film.turn == turn and np.array_equal(film.pixels, upright.pixels)
    assert film.shown_orientation is not None and known_letters(film.shown_orientation) == ("L", "F")
    assert film.patient_orientation == letters
    assert any("stored turned" in note for note in film.warnings) == bool(turn)


def test_laterals_are_turned_without_mirroring_and_hands_are_left(tmp_path: Path) -> None:
    assert turn_of_film(("A", "F"), "CHEST") == turn_of_film(("P", "F"), "CHEST") == STORED
    assert turn_of_film(("A", "H"), "CHEST") == Turn(False, True, True)
    for letters in (("F", "A"), ("F", "P"), ("H", "A"), ("H", "P")):
        turn = turn_of_film(letters, "CHEST")
        assert turn.letters(letters)[1] == "F"
        # A turn of this picture is one of its four quarter turns: none of them is its mirror image.
        picture = np.arange(6).reshape(2, 3)
        assert any(np.array_equal(turn.applied(picture), np.rot90(picture, k)) for k in range(4))
    assert turn_of_film(("R", "H"), "HAND") == turn_of_film(("L", "P"), "SKULL") == STORED
    assert turn_of_film(("L", "R"), "CHEST") == turn_of_film(("X", "F"), "CHEST") == turn_of_film(None, None) == STORED


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_box_comes_back_to_the_pixels_that_it_was_found_on(turn: Turn) -> None:
    stored = np.zeros((30, 50), dtype=np.uint8)
    stored[4:9, 10:22] = 1
    view = turn.applied(stored)
    rows, columns = np.nonzero(view)
    box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
    assert turn.to_stored(box, *view.shape) == (10, 4, 22, 9) and turn.to_shown((10, 4, 22, 9), *view.shape) == box
    assert np.array_equal(turn.reversed(view), stored)


def test_a_box_on_a_mirrored_film_is_told_on_the_right_side_and_in_stored_pixels(tmp_path: Path) -> None:
    path = bad_files.dicom(
        tmp_path, np.tile(np.arange(400, dtype=np.uint16) * 10, (400, 1)), PatientOrientation=["R", "F"],
        BodyPartExamined="CHEST", PixelSpacing=[0.5, 0.25],
    )  # fmt: skip
    model = ScriptedBackend(pieces=('[{"box_2d": [100, 50, 300, 250], "label": "right lung"}]',))
    found = locate(model, path, "right lung", force=True)
    (region,) = found.regions
    assert region.box == (300, 40, 380, 120)  # columns 20 to 100 of what is shown, 400 wide
    assert found.sides == ("right",) and not any("lies on the patient's" in note for note in found.warnings)
    assert [each.value for each in region.measurements] == [20, 40]
    case = film_case(read_film(path))
    assert side_of((20, 40, 100, 120), 400, case.images[0].orientation) == "right"
    assert as_case(str(path)).images[0].turn == Turn(flip_columns=True)
