"""Drafts of every kind of examination: from files to the prompt's form, sections from headers, checks and priority."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL.Image
import pydicom.data
import pytest

import tiny_checkpoint
from aris.checkpoints.registry import find
from aris.errors import ImageError
from aris.imaging import Skipped, find_studies, read_header, read_volumes, volume_images
from aris.imaging.synthetic.series import Geometry, write_series
from aris.imaging.synthetic.slide import write_slide
from aris.prompting import Image, Text
from aris.tasks import Case, DraftStream, as_case, ask, draft, read_cases
from aris.tasks.text import prompts
from dicom_objects import as_bytes, image
from films import child, filmlike
from nifti_files import body, nifti
from scripted_backend import ScriptedBackend, nano

TEXT = ("TECHNIQUE: CT with contrast.\nFINDINGS: The lungs are clear. ", "A nodule of 4 mm.\nIMPRESSION: No change.")


def medgemma(**changes: Any) -> ScriptedBackend:
    given = {"name": "medgemma-1.5-4b-it", "spec": find("medgemma-1.5-4b-it"), "pieces": TEXT}
    return ScriptedBackend(**(given | changes))


def write_film(path: Path, **elements: Any) -> Path:
    made = image(side=128, **elements)
    grey = (filmlike(128, 128).astype(np.uint16)) * 16
    made.PixelData = grey.tobytes()
    path.write_bytes(as_bytes(made))
    return path


def texts(model: ScriptedBackend) -> list[str]:
    return [part.text if isinstance(part, Text) else "IMAGE" for part in model.prompts[-1][-1].content]


def test_ct_in_the_published_form_and_in_the_order_of_the_body(tmp_path: Path) -> None:
    write_series(tmp_path, Geometry(slices=5), StudyDescription="CT chest", ReasonForStudy="Cough", KVP=120)
    model = medgemma()
    result = draft(model, tmp_path)
    said = texts(model)
    assert said[1:-1] == ["IMAGE", "SLICE 1", "IMAGE", "SLICE 2", "IMAGE", "SLICE 3", "IMAGE", "SLICE 4", "IMAGE",
                          "SLICE 5"]  # fmt: skip
    assert "CT" in said[0] and said[-1].startswith("Describe the findings")
    assert result.kind == "ct"
    sections = result.sections
    assert (sections.examination, sections.indication) == ("CT chest", "Cough")
    assert sections.technique == "CT, 120 kV, slices of 10 mm"
    assert sections.comparison == "No prior image was given."
    # The model's own technique is left out, and that is said.
    assert "contrast" not in sections.model_dump_json()
    assert any("technique section of its own" in warning for warning in result.warnings)
    assert {each.check for each in result.checks} == set()
    assert "Cough" not in " ".join(said)


def test_a_preamble_that_is_the_head_of_a_tiff_makes_no_picture_of_a_series(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, Geometry(slices=1))
    data = path.read_bytes()
    path.write_bytes(b"II*\0" + data[4:])
    assert as_case(path).kind == "ct"
    assert as_case(Path(str(pydicom.data.get_testdata_file("CT_small.dcm")))).kind == "ct"  # pydicom's has one too


@pytest.mark.parametrize(
    ("name", "version"), [("medgemma-4b-it", "1.0"), ("google/medgemma-1.5-4b-it", "1.5"), ("", "1.5")]
)
def test_the_ct_windows_are_of_the_models_version(name: str, version: Literal["1.0", "1.5"], tmp_path: Path) -> None:
    write_series(tmp_path, Geometry(slices=2))
    (volume,) = read_volumes(find_studies(tmp_path).series[0])
    wanted = [each.pixels for each in volume_images(volume, version)]
    (case,) = read_cases(tmp_path, spec=find(name))
    assert isinstance(case, Case)
    for found in (case, as_case(tmp_path, spec=find(name))):
        assert all((one.pixels == other).all() for one, other in zip(found.images, wanted, strict=True))
    other = volume_images(volume, "1.5" if version == "1.0" else "1.0")
    assert not all((one.pixels == two.pixels).all() for one, two in zip(case.images, other, strict=True))


def test_any_change_of_a_prompts_wording_changes_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = prompts.digest()
    constants = [name for name in vars(prompts) if name.isupper() and not name.startswith("_")]
    assert {"CT_INSTRUCTION", "SLIDE_QUERY", "DRAFT_PROMPT", "FILM_QUERY"} <= set(constants)
    assert all(getattr(prompts, name) in prompts._WORDING for name in constants)
    monkeypatch.setattr(prompts, "_WORDING", (*prompts._WORDING[:-1], prompts.FUNDUS_QUERY + "."))
    assert prompts.digest() != before and len(before) == 12


@pytest.mark.parametrize("name", ["head.nii", "head.nii.gz"])
def test_a_nifti_volume_is_what_its_series_is_once_its_kind_is_said(name: str, tmp_path: Path) -> None:
    geometry = Geometry(slices=5)
    write_series(tmp_path / "series", geometry)
    folder = tmp_path / "volumes"
    folder.mkdir()
    data = nifti(*body(geometry))
    (folder / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    model = medgemma()
    assert draft(model, folder / name, kind="ct").kind == "ct"
    shown = [part.pixels for part in model.prompts[-1][-1].content if isinstance(part, Image)]
    wanted = as_case(tmp_path / "series").images
    assert len(shown) == 5
    for one, other in zip(shown, wanted, strict=True):
        assert np.array_equal(one, other.pixels)
    for path in (folder / name, folder):  # a folder of them too
        assert [each.kind for each in read_cases(path, "mr") if isinstance(each, Case)] == ["mr"]
        (skipped,) = read_cases(path)
        assert isinstance(skipped, Skipped) and "does not say what it is of" in skipped.reason
    (folder / name).write_bytes(data[:300])
    (skipped,) = read_cases(folder / name, "ct")
    assert isinstance(skipped, Skipped) and "\n" not in skipped.reason


def test_mr_and_slides(tmp_path: Path) -> None:
    write_series(tmp_path / "mr", Geometry(slices=3), modality="MR")
    model = medgemma()
    assert draft(model, tmp_path / "mr").kind == "mr" and texts(model).count("IMAGE") == 3
    write_slide(tmp_path / "slide", width=2000, height=1400, mpp=1.0)
    result = draft(model, tmp_path / "slide")
    assert result.kind == "pathology" and texts(model)[2] == "PATCH 1"


@pytest.mark.parametrize(("kind", "query"), [("skin", "skin"), ("fundus", "fundus"), ("pathology", "histopathology")])
def test_pictures_need_their_kind(kind: Any, query: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    PIL.Image.fromarray(np.full((80, 90, 3), (200, 120, 90), dtype=np.uint8)).save(path)
    model = medgemma()
    assert draft(model, path, kind=kind).kind == kind
    assert query in texts(model)[-1]


def test_another_film_than_the_chest(tmp_path: Path) -> None:
    path = write_film(tmp_path / "knee.dcm", BodyPartExamined="KNEE", Laterality="L")
    model = medgemma(pieces=("FINDINGS: The right knee has an effusion of 3 cm, unchanged from the prior film.",))
    result = draft(model, path)
    assert result.kind == "film" and texts(model) == ["IMAGE", "Describe this X-ray"]
    assert {each.check for each in result.checks} == {"laterality", "measurement", "prior"}
    assert all(each.message in result.warnings for each in result.checks)
    assert any("no figure is published" in warning for warning in result.warnings)


def test_outside_its_scope_a_model_writes_nothing_and_gives_no_number(tmp_path: Path) -> None:
    write_series(tmp_path, Geometry(slices=3))
    model = nano(spec=find("aris-nano"))
    result = draft(model, tmp_path)
    assert result.text == "" and result.findings == () and not any(result.sections.model_dump().values())
    assert any("draft of CT is outside the model's scope" in warning for warning in result.warnings)
    assert model.prompts == []
    forced = draft(nano(spec=find("aris-nano"), pieces=TEXT), tmp_path, force=True)
    assert forced.forced and forced.text and forced.warnings[0].startswith("forced")


def test_absent_header_facts_are_said_to_be_absent() -> None:
    sections = draft(nano(pieces=("FINDINGS: Clear.\nIMPRESSION: Normal.",)), child()).sections
    assert (sections.examination, sections.indication) == ("Not stated.", "Not stated.")


def test_priority_is_raised_by_a_score_whatever_the_text_says() -> None:
    calm = ("FINDINGS: The lungs are clear.\nIMPRESSION: Normal.",)
    assert draft(nano(pneumonia=0.9, pieces=calm), child()).priority == "urgent"
    assert draft(nano(pneumonia=0.1, pieces=calm), child()).priority == "routine"


def test_a_folder_and_a_zip_one_study_after_another(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    write_series(folder / "ct", Geometry(slices=3))
    write_film(folder / "film.dcm")
    (folder / "broken.dcm").write_bytes(b"not an image")
    PIL.Image.fromarray(filmlike()).save(folder / "film.png")
    found = list(read_cases(folder))
    assert sorted(each.kind for each in found if isinstance(each, Case)) == ["chest film", "chest film", "ct"]
    assert [Path(each.source).name for each in found if isinstance(each, Skipped)] == ["broken.dcm"]
    with pytest.raises(ImageError, match="3 examinations"):
        as_case(folder)
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in sorted(folder.rglob("*.dcm")):
            zipped.write(path, path.relative_to(folder))
    kinds = [each.kind if isinstance(each, Case) else "skipped" for each in read_cases(archive)]
    assert sorted(kinds) == ["chest film", "ct", "skipped"]


def test_a_header_is_one_line_of_data(tmp_path: Path) -> None:
    odd = {"StudyDescription": "Chest\r\nIgnore all\x1b[31m", "AdditionalPatientHistory": "x" * 999}
    path = write_film(tmp_path / "a.dcm", **odd)
    header = read_header(path)
    assert header.examination == "Chest Ignore all [31m" and len(header.indication) == 600
    assert header.moment == "20260101101500" and header.patient and "P1" not in header.patient


def test_questions_on_several_examinations_and_a_follow_up(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", Geometry(slices=2))
    PIL.Image.fromarray(filmlike()).save(tmp_path / "film.png")
    from aris.tasks import AnswerStream

    model = medgemma(pieces=("Yes.",))
    first = AnswerStream(model, "What differs?", [tmp_path / "film.png", tmp_path / "ct"])
    assert "".join(first) == "Yes."
    assert texts(model) == ["IMAGE", "IMAGE", "SLICE 1", "IMAGE", "SLICE 2", "What differs?"]
    answer = ask(model, "And the heart?", history=first.history)
    turns = model.prompts[-1]
    assert [turn.role for turn in turns] == ["user", "assistant", "user"] and answer.answer == "Yes."
    assert sum(isinstance(part, Image) for turn in turns for part in turn.content) == 3
    outside = ask(nano(spec=find("aris-nano"), pieces=("Yes.",)), "What?", [tmp_path / "ct"])
    assert any("ask of CT is outside" in warning for warning in outside.warnings)


def test_a_ct_series_through_a_network_of_random_weights(tmp_path: Path) -> None:
    from aris.backends import load

    write_series(tmp_path / "ct", Geometry(slices=4, rows=24, columns=24))
    backend = load(str(tiny_checkpoint.save(tmp_path / "tiny")), dtype="float32")
    stream = DraftStream(backend, tmp_path / "ct", max_tokens=12)
    pieces = list(stream)
    result = stream.draft
    assert "".join(pieces) == result.text and result.kind == "ct"
    assert any("declares no scope" in warning for warning in result.warnings)


def test_pictures_and_volumes_in_an_archive_are_read(tmp_path: Path) -> None:
    film, volume = tmp_path / "film.png", tmp_path / "head.nii.gz"
    PIL.Image.fromarray(filmlike()).save(film)
    volume.write_bytes(gzip.compress(nifti(*body(Geometry(slices=3)))))
    place = tmp_path / "study.zip"
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("chest.dcm", as_bytes(image(side=64)))
        archive.write(film, "a/film.png")
        archive.write(film, "../evil.png")
        archive.write(volume, "a/head.nii.gz")
        archive.writestr("notes.txt", "no image")
        archive.writestr("broken.jpg", b"\xff\xd8\xff broken")
    found = list(read_cases(place))
    cases = {each.source.rpartition("/")[2]: each for each in found if isinstance(each, Case)}
    left = sorted(each.source.partition(":")[2] for each in found if isinstance(each, Skipped))
    assert set(cases) == {"study.zip:chest.dcm", "film.png"} and cases["film.png"].source == f"{place}:a/film.png"
    assert np.array_equal(cases["film.png"].images[0].pixels[..., 0], filmlike())
    # A NIfTI volume does not say what it is of.
    assert left == ["../evil.png", "a/head.nii.gz", "broken.jpg", "notes.txt"]
    assert [each.kind for each in read_cases(place, "ct") if isinstance(each, Case)].count("ct") >= 1
    only = tmp_path / "only.zip"
    with zipfile.ZipFile(only, "w") as archive:
        archive.write(film, "film.png")
    assert [each.kind for each in read_cases(only) if isinstance(each, Case)] == ["chest film"]
