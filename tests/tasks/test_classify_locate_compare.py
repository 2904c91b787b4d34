"""Choices, boxes and comparisons: prompts as published, scope, and what is said of the result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import tiny_checkpoint
from aris.backends import GenerationOptions
from aris.checkpoints.registry import REGISTRY, find
from aris.errors import ImageError, ModelError, PromptError, ScopeError
from aris.imaging import Header
from aris.imaging.synthetic.series import Geometry, write_series
from aris.prompting import Image, Text
from aris.tasks import Case, classify, compare, locate
from aris.tasks.cases import film_case
from aris.tasks.evidence_maps.sides import side_of
from dicom_objects import as_bytes, image
from films import child, film, filmlike
from scripted_backend import ScriptedBackend, nano

TILE = np.full((64, 64, 3), 180, dtype=np.uint8)


@pytest.fixture
def tile(tmp_path: Path) -> Path:
    path = tmp_path / "tile.png"
    PIL.Image.fromarray(TILE).save(path)
    return path


def medgemma(**changes: Any) -> ScriptedBackend:
    return ScriptedBackend(**({"name": "medgemma-1.5-4b-it", "spec": find("medgemma-1.5-4b-it")} | changes))


def test_options_are_scored_whole_and_normalised(tile: Path) -> None:
    asked: list[Sequence[str]] = []

    def choices(options: Sequence[str]) -> list[float]:
        asked.append(options)
        return [-5.0 - index for index in range(len(options))]

    model = medgemma(choices=choices)
    result = classify(model, tile)
    assert asked[0][0] == "A: adipose" and asked[0][8] == "I: colorectal adenocarcinoma epithelium"
    assert sum(math.exp(each.logprob or 0) for each in result.options) == pytest.approx(1)
    assert result.choice == "adipose" and result.scored_by == "log-probability of the whole option"
    shown, text = model.prompts[0][0].content
    assert isinstance(shown, Image) and isinstance(text, Text)
    assert text.text.splitlines()[:2] == [
        "What is the most likely tissue type shown in the histopathology image?", "A: adipose",
    ]  # fmt: skip


@pytest.mark.parametrize("modality", ["DX", "CR"])
def test_a_film_is_no_histopathology(tmp_path: Path, modality: str) -> None:
    path = tmp_path / "chest.dcm"
    path.write_bytes(as_bytes(image(Modality=modality)))
    model = medgemma(choices=lambda options: [-float(i) for i in range(len(options))])
    with pytest.raises(ImageError, match=f"modality {modality} is no histopathology"):
        classify(model, path)
    with pytest.raises(ImageError, match="no histopathology"):
        classify(model, film_case(child(modality=modality)))
    with pytest.raises(ImageError, match="no histopathology"):
        classify(model, write_series(tmp_path / "ct", Geometry(slices=3, rows=32, columns=32))[0].parent)
    assert not model.prompts
    assert classify(model, path, kind="pathology").choice == "adipose"
    assert classify(model, path, ["yes", "no"], "Is it?", force=True).choice == "yes"


def test_an_endpoint_without_log_probabilities_lets_the_model_write_and_says_so(tile: Path) -> None:
    def choices(_: Sequence[str]) -> list[float]:
        raise ModelError("endpoint: no log-probabilities")

    model = medgemma(choices=choices, pieces=("Final ", "Answer: C: debris"))
    result = classify(model, tile)
    assert (result.choice, result.scored_by) == ("debris", "generated answer")
    assert all(each.logprob is None for each in result.options)
    assert any("could not be scored" in warning for warning in result.warnings)
    with pytest.raises(ModelError):
        classify(model, tile, by="score")
    silent = classify(medgemma(pieces=("I cannot tell.",)), tile, by="answer")
    assert silent.choice is None and "names no option" in silent.warnings[-1]


def test_scores_that_are_no_numbers_and_options_twice_are_refused(tile: Path) -> None:
    with pytest.raises(ModelError, match="not numbers"):
        classify(medgemma(choices=lambda c: [float("nan")] * len(c)), tile, by="score")
    with pytest.raises(PromptError):
        classify(medgemma(), tile, ["one", "One"])


@pytest.mark.parametrize("task", [lambda m, p: classify(m, p), lambda m, p: locate(m, p, "heart"),
                                  lambda m, p: compare(m, p, p)])  # fmt: skip
def test_aris_nano_refuses_what_it_was_not_made_for(task: Any, tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    PIL.Image.fromarray(filmlike()).save(path)
    with pytest.raises(ScopeError, match="outside the model's scope"):
        task(nano(spec=find("aris-nano")), path)


def test_every_model_declares_tasks_kinds_and_evidence() -> None:
    for spec in REGISTRY:
        assert spec.scope.tasks and {use.task for use in spec.scope.uses} <= set(spec.scope.tasks)
    nano_scope = find("aris-nano").scope  # type: ignore[union-attr]
    assert {use.kind for use in nano_scope.uses} == {"chest film"}
    assert [each.name for each in nano_scope.findings] == ["pneumonia"]
    kinds = {use.kind for use in find("medgemma-1.5-4b-it").scope.uses if use.task == "draft"}  # type: ignore[union-attr]
    assert kinds == {"chest film", "film", "ct", "mr", "pathology", "skin", "fundus"}
    assert all(use.kind != "ct" for use in find("medgemma-4b-it").scope.uses)  # type: ignore[union-attr]


BOX = 'Final Answer: ```json[{"box_2d": [250, 100, 750, 400], "label": "left lung"}]```'


def test_a_box_in_pixels_and_millimetres_and_its_side() -> None:
    shown = child(
        pixels=filmlike(300, 200), patient_orientation=("L", "F"), pixel_spacing_mm=(0.5, 0.2),
        spacing_attribute="PixelSpacing",
    )  # fmt: skip
    result = locate(medgemma(pieces=(BOX,)), shown, "left lung")
    (region,) = result.regions
    # Padded from 200 to 300 columns: 50 black ones on the left.
    assert region.box == pytest.approx((0, 75, 70, 225))
    sizes = [(each.name, each.value, each.unit, each.note) for each in region.measurements]
    assert sizes == [("width", 14.0, "mm", ""), ("height", 75.0, "mm", "")]
    # Image left is the patient's right: the label is wrong, and it is said.
    assert result.sides == ("right",)
    assert any("lies on the patient's right" in warning for warning in result.warnings)


def test_the_detector_plane_and_what_is_not_known_are_told() -> None:
    imager = child(pixel_spacing_mm=(0.2, 0.2), spacing_attribute="ImagerPixelSpacing")
    result = locate(medgemma(pieces=(BOX,)), imager, "lung")
    assert {each.note for each in result.regions[0].measurements} == {"at the detector plane, uncalibrated"}
    alone = child(pixel_spacing_mm=(0.2, 0.2), spacing_attribute="PixelSpacing of unknown calibration")
    told = locate(medgemma(pieces=(BOX,)), alone, "lung")
    assert {each.note for each in told.regions[0].measurements} == {"not known to be calibrated"}
    assert any("sides of boxes are not known" in warning for warning in result.warnings) and result.sides == ("",)
    plain = locate(medgemma(pieces=(BOX,)), film(), "lung")
    assert plain.regions[0].measurements == () and any("how large a pixel" in each for each in plain.warnings)


def test_dropped_boxes_are_in_the_result() -> None:
    bad = '[{"box_2d": [0, 0, 5000, 10], "label": "x"}, {"box_2d": [0, 0, 100, 10], "label": "y"}]'
    result = locate(medgemma(pieces=(bad,)), film(filmlike(200, 300)), "x")
    assert [each.reason for each in result.dropped] == [
        "coordinates outside 0 to 1000", "it lies outside the image, in its padding",
    ]  # fmt: skip
    assert result.regions == () and "2 of 2 boxes were dropped" in result.warnings
    assert "the model gave no box" in locate(medgemma(pieces=("None.",)), film(), "x").warnings


@pytest.mark.parametrize(
    ("box", "orientation", "side"),
    [
        ((0, 0, 30, 10), ("L", "F"), "right"), ((70, 0, 100, 10), ("L", "F"), "left"),
        ((70, 0, 100, 10), ("R", "F"), "right"), ((70, 0, 100, 10), ("LA", "F"), "left"),
        ((40, 0, 60, 10), ("L", "F"), "midline"), ((0, 0, 100, 10), ("L", "F"), "midline"),
        ((0, 0, 30, 10), None, None), ((0, 0, 30, 10), ("A", "F"), None),
    ],
)  # fmt: skip
def test_sides(box: Any, orientation: Any, side: str | None) -> None:
    assert side_of(box, 100, orientation) == side


def dated(number: int, day: str, patient: str = "P") -> Case:
    return film_case(child(source=f"{number}.dcm"), None, Header(moment=day, patient=patient))


def test_the_earlier_film_comes_first_whatever_the_order_given() -> None:
    late = child(source="late.dcm", pixels=filmlike(seed=1))
    first, second = dated(1, "20260301"), film_case(late, None, Header(moment="20260401", patient="P"))
    model = medgemma(pieces=("The effusion has increased.",))
    result = compare(model, second, first)
    assert (result.prior, result.current, result.days) == ("1.dcm", "late.dcm", 31)
    one, other, text = model.prompts[0][0].content
    assert isinstance(one, Image) and isinstance(other, Image) and np.array_equal(other.pixels[..., 0], late.pixels)
    assert isinstance(text, Text) and text.text.startswith("Provide a comparison of these two images and include")
    assert result.draft and "prior" not in [each.check for each in result.checks]


def test_unknown_dates_are_told_and_other_patients_refused(tmp_path: Path) -> None:
    result = compare(medgemma(pieces=("Same.",)), film(source="a.png"), film(source="b.png"))
    assert result.prior == "a.png" and result.days is None
    assert any("no date" in warning for warning in result.warnings)
    with pytest.raises(ImageError, match="different patients"):
        compare(medgemma(), dated(1, "20260301", "P"), dated(2, "20260401", "Q"))
    for name, patient in (("a", "P1"), ("b", "P2")):
        data = as_bytes(image(side=128, PatientID=patient, StudyDate="20260301"))
        (tmp_path / f"{name}.dcm").write_bytes(data)
    with pytest.raises(ImageError, match="different patients") as caught:
        compare(medgemma(), tmp_path / "a.dcm", tmp_path / "b.dcm")
    assert "P1" not in str(caught.value)


def test_they_run_on_a_network_of_random_weights(tmp_path: Path, tile: Path) -> None:
    """No clinical quality is claimed: the whole way from files to typed results is walked."""
    from aris.backends import GenerationOptions, load

    backend = load(str(tiny_checkpoint.save(tmp_path / "tiny")), dtype="float32")
    result = classify(backend, tile, ["one", "two", "three"], "Which?")
    assert sum(math.exp(each.logprob or 0) for each in result.options) == pytest.approx(1, abs=1e-5)
    assert any("declares no scope" in warning for warning in result.warnings)
    short = GenerationOptions(max_tokens=8)
    assert locate(backend, film(), "heart", options=short).answer != ""


def test_a_comparison_takes_the_options_that_it_is_given() -> None:
    one, other = (film_case(child()) for _ in range(2))
    model = medgemma(pieces=("No change.",))
    compare(model, one, other, options=GenerationOptions(max_tokens=7))
    compare(model, one, other)
    assert [each.max_tokens for each in model.options if each] == [7, 2000]
