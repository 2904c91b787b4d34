"""`--evidence DIR` of drafts and findings: files, JSON, what is printed, and the way into documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pydicom
import pytest

from aris.exchange.documents.formats import read_report
from conftest import Aris
from dicom_objects import as_bytes, image
from films import filmlike
from scripted_backend import Seeing, seeing


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Seeing]:
    def use(**changes: Any) -> Seeing:
        model = seeing(**changes)
        monkeypatch.setattr("aris.backends.load", lambda *_, **__: model)
        return model

    return use


@pytest.fixture
def film(tmp_path: Path) -> Path:
    pixels = filmlike(300, 280).astype(np.uint16) * 16
    path = tmp_path / "chest.dcm"
    made = image(side=300, PatientAge="003Y", PatientOrientation=["L", "F"])
    made.Rows, made.Columns, made.PixelData = 300, 280, pixels.tobytes()
    path.write_bytes(as_bytes(made))
    return path


def test_a_drafts_maps_are_written_and_reach_sr_gsps_and_sc(
    aris: Aris, looking: Callable[..., Seeing], film: Path, tmp_path: Path
) -> None:
    looking(place=(0.8, 0.5))
    maps = tmp_path / "maps"
    result = aris("draft", film, "--evidence", maps, "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    (told,) = data["evidence"]
    assert told["about"] == "pneumonia" and told["sides"] == ["left"] and "relevance" not in told
    assert [each["check"] for each in data["checks"]] == ["laterality"]  # the text says right
    assert np.load(told["map_file"]).shape == (300, 280)
    assert PIL.Image.open(told["overlay_file"]).size[0] == 478  # 512 pixels along the longer side
    assert (maps / "chest.pneumonia.png").stat().st_mode & 0o077 == 0
    draft = tmp_path / "draft.json"
    draft.write_text(result.stdout)
    assert aris("export", draft, "-f", "sr,gsps,sc,fhir,text", "--out", tmp_path).exit_code == 0
    reports = [read_report(tmp_path / f"draft.{name}") for name in ("sr.dcm", "fhir.json")]
    assert reports[0] == reports[1]
    (region,) = reports[0].regions
    left, top, right, bottom = region.box
    assert left < 231 < right and top < 157 < bottom and region.note == "evidence of the model, no outline"
    assert region.image == pydicom.dcmread(film).SOPInstanceUID
    assert "evidence of the model" in (tmp_path / "draft.txt").read_text()
    graphics = pydicom.dcmread(tmp_path / "draft.gsps.dcm").GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    assert min(graphics.GraphicData[::2]) == pytest.approx(left)
    assert pydicom.dcmread(tmp_path / "draft.sc.dcm").Columns == 280


def test_findings_write_maps_under_names_of_their_own(
    aris: Aris, looking: Callable[..., Seeing], film: Path, tmp_path: Path
) -> None:
    looking()
    other = tmp_path / "other"
    other.mkdir()
    (other / "chest.dcm").write_bytes(film.read_bytes())
    maps = tmp_path / "maps"
    result = aris("findings", film, other / "chest.dcm", "--evidence", maps, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(line["evidence"][0]["overlay_file"]).name for line in lines] == [
        "chest.pneumonia.png", "chest-2.pneumonia.png",
    ]  # fmt: skip
    assert len(list(maps.iterdir())) == 4
    text = aris("findings", film, "--evidence", maps).stdout
    assert 'evidence of pneumonia, for the answer "Yes" on the patient\'s right' in text
    draft = tmp_path / "found.json"
    draft.write_text(result.stdout.splitlines()[0])
    assert aris("export", draft, "-f", "sr", "--out", tmp_path).exit_code == 0
    assert len(read_report(tmp_path / "found.sr.dcm").regions) == 1


def test_a_draft_as_text_names_the_pictures(
    aris: Aris, looking: Callable[..., Seeing], film: Path, tmp_path: Path
) -> None:
    looking()
    result = aris("draft", film, "--evidence", tmp_path / "maps")
    assert result.exit_code == 0 and "chest.pneumonia.png" in result.stdout
    assert "uncertain wording" not in result.stdout


def test_what_cannot_be_had_is_one_line(
    aris: Aris, looking: Callable[..., Seeing], scripted: Callable[..., Any], film: Path, tmp_path: Path
) -> None:
    looking()
    for command in ("draft", "findings"):
        result = aris(command, film, "--evidence", tmp_path, "--backend", "http://127.0.0.1:9/v1")
        assert result.exit_code == 2 and "gradients" in result.stderr
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert aris("findings", film, "--evidence", blocked / "maps").exit_code == 1
    scripted()  # a model that cannot be looked into
    result = aris("findings", film, "--evidence", tmp_path)
    assert result.exit_code == 1 and "an endpoint gives no gradients" in result.stderr


def test_uncertain_sentences_are_marked(aris: Aris, looking: Callable[..., Seeing], film: Path) -> None:
    from aris.backends import TokenLogprob

    model = looking()
    model.token_logprobs = lambda messages, answer: (  # type: ignore[method-assign]
        TokenLogprob("Opacity", -0.1), TokenLogprob(" on the right.", -0.1),
        TokenLogprob("Right-sided pneumonia", -3.0),
    )  # fmt: skip
    result = aris("draft", film)
    marks = [line for line in result.stdout.splitlines() if line.startswith("~")]
    assert marks == ['~ uncertain wording (0.05): "Right-sided pneumonia is likely."']
