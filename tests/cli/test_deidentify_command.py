"""`aris deidentify`: what it writes holds nothing planted; what it refuses it does not write."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from aris.exchange.deidentify import burned_in
from conftest import Aris
from dicom_objects import as_bytes, image


def test_folders_in_clean_files_out(aris: Aris, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burned_in, "trouble", lambda: "no OCR library is installed")
    source = tmp_path / "in" / "deep"
    source.mkdir(parents=True)
    (source / "a.dcm").write_bytes(as_bytes(image(1, Modality="CT", InstitutionName="St. Secret")))
    (source / "b").write_bytes(as_bytes(image(2, Modality="US")))
    (source / "c.dcm").write_text("no dicom")
    key, out = tmp_path / "p.key", tmp_path / "out"
    result = aris("deidentify", tmp_path / "in", "--out", out, "--key", key, "--new-key", "--json")
    assert result.exit_code == 1 and "1 written, 2 refused" in result.stderr
    assert "no OCR library is installed" in result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["error"] is None for row in rows] == [True, False, False]
    (made,) = out.rglob("*.dcm")
    assert str(made) == rows[0]["out"]
    data = made.read_bytes()
    assert b"Secret" not in data and "Müller".encode() not in data
    assert made.parent.parent.name == pydicom.dcmread(made).PatientID
    # What lies in a folder is told once, on stdout, as its name may name a patient.
    plain = aris("deidentify", tmp_path / "in", "--out", tmp_path / "plain", "--key", key)
    assert plain.exit_code == 1 and plain.stdout.count("not written: ") == 2 and "c.dcm" in plain.stdout
    assert "error:" not in plain.stderr
    # Once more with the same key: the same file. With a wrong choice: misuse.
    again = aris("deidentify", source / "a.dcm", "--out", out, "--key", key)
    assert again.exit_code == 0 and made.read_bytes() == data and len(list(out.rglob("*.dcm"))) == 1
    assert aris("deidentify", source, "--out", out, "--key", key, "--pixels", "maybe").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none"], "no such file or folder"),
        (["."], "make one with --new-key"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(aris: Aris, tmp_path: Path, arguments: list[str], said: str) -> None:
    where = ["--out", tmp_path / "o", "--key", tmp_path / "k"]
    result = aris("deidentify", *(tmp_path / each for each in arguments), *where)
    assert result.exit_code == 1 and said in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "o").exists()


def test_without_ocr_it_fails_where_it_is_asked_for(
    aris: Aris, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(burned_in, "trouble", lambda: "no OCR library is installed")
    (tmp_path / "a.dcm").write_bytes(as_bytes(image(1)))
    result = aris("deidentify", tmp_path / "a.dcm", "--out", tmp_path / "o", "--key", tmp_path / "k", "--new-key",
                  "--pixels", "ocr")  # fmt: skip
    assert result.exit_code == 1 and "no OCR library is installed" in result.stderr
