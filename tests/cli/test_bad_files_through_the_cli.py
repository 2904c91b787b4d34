"""Files that are not what they say, through every command that reads one: one line each, and the others go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import bad_files
from films import filmlike
from scripted_backend import ScriptedBackend

Aris = Callable[..., Any]
Scripted = Callable[..., ScriptedBackend]

BAD: dict[str, Callable[[Path], Path]] = {
    **{kind: make for kind, (make, _) in bad_files.BAD.items()},
    "no such file": lambda folder: folder / "none.png",
    "a folder": lambda folder: folder,
}


def inverted_film(folder: Path, age: str) -> Path:
    """A child's or an adult's film, 12 bits, MONOCHROME1, to be shown by its VOI LUT Sequence."""
    table = pydicom.Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    table.add_new("LUTData", "US", (np.arange(4096) // 16).tolist())
    return bad_files.dicom(
        folder,
        (4095 - filmlike().astype(np.uint16) * 16).astype(np.uint16),
        PhotometricInterpretation="MONOCHROME1",
        VOILUTSequence=pydicom.Sequence([table]),
        BodyPartExamined="CHEST",
        ViewPosition="AP",
        PatientAge=age,
    )


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_line_without_patient_data(
    kind: str, aris: Aris, scripted: Scripted, film_png: Path, tmp_path: Path
) -> None:
    scripted()
    path = BAD[kind](tmp_path)

    result = aris("findings", film_png, path, film_png, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1 and len(lines) == 3
    assert set(lines[1]) == {"file", "error"} and lines[1]["file"] == str(path)
    assert lines[0]["findings"] == lines[2]["findings"] != []

    every = (("draft", path), ("draft", path, "--json"), ("findings", path), ("ask", "-i", path, "What?"))
    # All commands for one kind; of the others each has two, in turn: the reading is one code, and `findings` had all.
    number = list(BAD).index(kind)
    for args in every if number == 0 else (every[number % 4], every[(number + 1) % 4]):
        result = aris(*args)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ") and len(result.stderr.splitlines()) == 1
        assert str(path) in result.stderr and "defect" not in result.stderr
        assert "Secret" not in result.output and "4711" not in result.output and "Monday" not in result.output
        if args != ("draft", path, "--json"):
            assert result.stdout == ""


def test_an_inverted_12_bit_film_with_a_voi_lut_is_read_as_a_film(
    aris: Aris, scripted: Scripted, tmp_path: Path
) -> None:
    model = scripted()
    result = aris("draft", inverted_film(tmp_path, "003Y"), "--json")
    assert result.exit_code == 0, result.stderr
    data = json.loads(result.stdout)
    assert data["findings"][0]["probability"] is not None and data["sections"]["impression"]
    pixels = model.prompts[0][0].content[0].pixels  # type: ignore[union-attr]
    expected = filmlike()
    assert pixels.shape == expected.shape
    assert np.corrcoef(pixels.ravel().astype(float), expected.ravel().astype(float))[0, 1] > 0.99


def test_an_adults_film_is_not_assessed_and_the_age_is_not_told(
    aris: Aris, scripted: Scripted, tmp_path: Path
) -> None:
    scripted()
    path = inverted_film(tmp_path, "071Y")
    data = json.loads(aris("findings", path, "--json").stdout)
    (finding,) = data["findings"]
    assert finding["probability"] is None and "age is outside" in finding["note"]
    assert "71" not in finding["note"] + " ".join(data["warnings"])
    draft = json.loads(aris("draft", path, "--json").stdout)
    assert not any(draft["sections"].values())
