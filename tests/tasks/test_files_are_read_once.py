"""From a path to the prompt a file is opened once and parsed once, counted by Python's own audit events."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bad_files
from aris.errors import ImageError
from aris.imaging import HeldFile, find_studies, read_film
from aris.imaging.synthetic.series import Geometry, write_series
from aris.tasks import Case, DraftStream
from aris.tasks.cases import read_cases
from films import filmlike
from nifti_files import body, nifti
from opened_files import counted
from scripted_backend import ScriptedBackend


def prompted(path: Path, kind: Any = None) -> list[Case]:
    """The cases of a path, each asked about."""
    model = ScriptedBackend(pieces=("FINDINGS: Clear.",))
    found = []
    for case in read_cases(path, kind):
        assert isinstance(case, Case), case
        for _ in DraftStream(model, case, force=True):
            pass
        found.append(case)
    assert len(model.prompts) >= len(found) > 0
    return found


def test_one_film_is_opened_once_and_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = filmlike().astype(np.uint16) * 16
    path = bad_files.dicom(tmp_path, stored, BodyPartExamined="CHEST", StudyDescription="Chest", PatientAge="003Y")
    with counted(monkeypatch, tmp_path) as (opened, parsed):
        (case,) = prompted(path)
    assert opened == {"film.dcm": 1} and len(parsed) == 1
    assert case.source == str(path) and case.header.examination == "Chest" and case.film is not None
    assert case.film.patient_age_years == 3 and case.header.patient


@pytest.mark.parametrize("kind", ["slice", "still", "png", "nifti", "no preamble"])
def test_one_file_of_any_kind_is_opened_once(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: Any = None
    if kind == "slice":
        (path,) = write_series(tmp_path, Geometry(slices=1))
    elif kind == "still":
        path, given = bad_files.dicom(tmp_path, filmlike(), Modality="XC"), "skin"
    elif kind == "png":
        path = tmp_path / "film.png"
        Image.fromarray(filmlike()).save(path)
    elif kind == "nifti":
        path, given = tmp_path / "volume.nii", "ct"
        path.write_bytes(nifti(*body(Geometry(slices=2))))
    else:
        path = bad_files.dicom(tmp_path, filmlike().astype(np.uint16))
        path.write_bytes(path.read_bytes()[132:])
    with counted(monkeypatch, tmp_path) as (opened, parsed):
        prompted(path, given)
    assert opened == {path.name: 1}
    # By its elements alone it is known for DICOM.
    assert len(parsed) == {"no preamble": 2, "png": 0, "nifti": 0}.get(kind, 1)


def test_files_of_a_folder_are_opened_for_the_header_and_for_the_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_series(tmp_path / "ct", Geometry(slices=4))
    film = bad_files.dicom(tmp_path / "ct", filmlike().astype(np.uint16))
    Image.fromarray(filmlike()).save(tmp_path / "ct" / "film.png")
    with counted(monkeypatch, tmp_path) as (opened, parsed):
        assert len(prompted(tmp_path / "ct")) == 3
    assert opened == dict.fromkeys([film.name, "film.png", *(path.name for path in paths)], 2)
    assert len(parsed) == 2 * 5


def test_a_held_file_says_what_a_path_would(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.dcm"
    os.mkfifo(fifo)
    for path in (tmp_path / "none.dcm", fifo, bad_files.zero_byte(tmp_path), bad_files.text_named_dcm(tmp_path)):
        with pytest.raises(ImageError) as one:
            read_film(path)
        with HeldFile(path) as held, pytest.raises(ImageError) as other:
            read_film(held)
        assert str(one.value) == str(other.value)
    path = bad_files.dicom(tmp_path)
    with HeldFile(path, "as given") as held:
        assert read_film(held).source == "as given"
        assert find_studies(held).series[0].instances[0].source is held
