"""Evidence maps end to end: the shipped model on the sample films, sides, scope, files, and where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import aris
from aris.backends import NativeBackend
from aris.checkpoints.registry import Scope, Use
from aris.errors import ImageError, ModelError, PromptError, ScopeError
from aris.imaging import Film, read_film
from aris.imaging.orientation import Turn
from aris.tasks import Draft, draft, evidence, findings, save_evidence
from aris.tasks.evidence_maps.maps import UNKNOWN_SIDE, evidence_of, stating_sentences
from aris.tasks.findings import FINDING_QUESTION
from films import child, film, filmlike
from scripted_backend import SIDED, nano, seeing, spec

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
SICK = SAMPLES / "child-pneumonia.jpg"


@pytest.fixture(scope="module")
def model() -> NativeBackend:
    return aris.load("aris-nano", dtype="float32")


# The shipped model.


def deletion(model: NativeBackend, found: Film, order: np.ndarray, side: int = 14) -> float:
    """The mean log-odds of "Yes" while the first cells of an order are replaced by the film's blur."""
    from PIL import Image, ImageFilter

    question = FINDING_QUESTION.format(finding="pneumonia")
    soft = np.asarray(Image.fromarray(found.pixels).filter(ImageFilter.GaussianBlur(24)))
    step = found.pixels.shape[0] // side
    scores = []
    for share in (0.05, 0.15):
        gone = np.zeros(side * side, dtype=bool)
        gone[order[: round(share * side * side)]] = True
        mask = np.kron(gone.reshape(side, side), np.ones((step, step))).astype(bool)
        pixels = np.where(mask, soft, found.pixels)
        ((yes, no),) = model.score_many([aris.user(pixels)], [(question, ("Yes", "No"))])
        scores.append(yes - no)
    return float(np.mean(scores))


def test_taking_away_the_hot_cells_costs_more_than_taking_any(model: NativeBackend) -> None:
    lost = []
    for name in ("child-pneumonia.jpg", "child-viral-pneumonia.jpg"):
        found = read_film(SAMPLES / name)
        told = evidence(model, found, finding="pneumonia")
        grid = told.relevance.reshape(14, 16, 14, 16).sum((1, 3)).ravel()
        random = np.random.default_rng(0)
        ours = deletion(model, found, np.argsort(-grid))
        others = [deletion(model, found, random.permutation(196)) for _ in range(2)]
        lost.append(np.mean(others) - ours)
    assert np.mean(lost) > 0.3, lost


def test_a_map_of_the_shipped_model(model: NativeBackend, tmp_path: Path) -> None:
    told = evidence(model, SICK, finding="pneumonia", mask=np.ones((224, 224), dtype=bool))
    assert told.assessed and told.explains == 'the answer "Yes"' and told.probability is not None
    assert told.relevance.shape == (224, 224) and told.relevance.sum() == pytest.approx(1, abs=1e-3)
    assert told.in_mask == pytest.approx(1, abs=1e-3) and told.in_padding == 0
    assert 1 <= len(told.regions) == len(told.sides) == len(told.shares) <= 3 and sum(told.shares) <= 0.6
    assert UNKNOWN_SIDE in told.warnings and set(told.sides) == {""}
    saved = save_evidence(told, read_film(SICK), tmp_path / "maps")
    assert np.array_equal(np.load(str(saved.map_file)), told.relevance)
    assert Path(str(saved.overlay_file)).name == "child-pneumonia.pneumonia.png"
    assert "relevance" not in json.loads(saved.model_dump_json())


def test_a_film_without_the_finding_is_explained_by_what_speaks_against_it(model: NativeBackend) -> None:
    told = evidence(model, SAMPLES / "child-normal.jpg", finding="pneumonia")
    assert told.explains == 'the answer "No"' and told.assessed and told.regions == ()


def test_the_map_follows_the_weights(model: NativeBackend) -> None:
    """Model randomisation (Adebayo et al., 2018): a map that stays when weights are drawn anew shows the image only."""
    before = evidence(model, SICK, finding="pneumonia", force=True).relevance
    tower = model.model.vision_tower
    assert tower is not None
    kept = {name: weight.clone() for name, weight in tower.named_parameters()}
    try:
        with torch.no_grad():
            generator = torch.Generator().manual_seed(0)
            for weight in tower.parameters():
                drawn = torch.randn(weight.shape, generator=generator) * weight.std(correction=0)
                weight.copy_(drawn + weight.mean())
        model.forget_images()
        turn = [aris.user(read_film(SICK).pixels, FINDING_QUESTION.format(finding="pneumonia"))]
        grid = model.relevance(turn, "Yes", against="No").grids[0]
    finally:
        with torch.no_grad():
            for name, weight in tower.named_parameters():
                weight.copy_(kept[name])
        model.forget_images()
    ranks = [np.argsort(np.argsort(each.ravel())) for each in (before.reshape(14, 16, 14, 16).sum((1, 3)), grid)]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 0.5


def test_words_of_a_draft_are_explained(model: NativeBackend) -> None:
    clear = SAMPLES / "child-normal.jpg"
    written = draft(model, clear)
    sentence = written.sections.findings.split(".")[0]
    told = evidence(model, clear, phrase=sentence, draft=written)
    assert told.kind == "phrase" and told.about == sentence and told.relevance.any()
    with pytest.raises(PromptError, match="does not stand in the draft"):
        evidence(model, clear, phrase="an aortic aneurysm", draft=written)


# Sides, scope, flows.


@pytest.mark.parametrize(
    ("orientation", "place", "flagged"),
    [
        (("L", "F"), (0.8, 0.5), True),  # image right is the patient's left; the draft says right
        (("L", "F"), (0.2, 0.5), False),
        (("R", "F"), (0.2, 0.5), True),
        (("L", "F"), (0.5, 0.5), False),
    ],
)
def test_a_side_that_the_evidence_does_not_lie_on_fails_the_check(
    orientation: tuple[str, str], place: tuple[float, float], flagged: bool
) -> None:
    result = draft(seeing(place=place), child(patient_orientation=orientation), evidence=True)
    failed = [each.message for each in result.checks if each.check == "laterality"]
    assert bool(failed) is flagged
    if flagged:
        assert "its evidence lies on the patient's left" in failed[0] and failed[0] in result.warnings


def test_an_unknown_orientation_is_said() -> None:
    result = draft(seeing(), child(), evidence=True)
    assert UNKNOWN_SIDE in result.warnings
    assert any("cannot be checked" in each.message for each in result.checks)


def test_places_on_a_mirrored_film_are_told_in_stored_pixels(tmp_path: Path) -> None:
    """What is seen at the left is the patient's right, and lies among the right columns of what is stored."""
    shown = child(pixels=filmlike(600, 400), patient_orientation=("R", "F"), turn=Turn(flip_columns=True))
    result = draft(seeing(place=(0.2, 0.5)), shown, evidence=True)
    assert result.evidence is not None
    (told,) = result.evidence
    assert told.sides == ("right",) and told.peak is not None and abs(told.peak[0] - 310) < 12
    left, _, right, _ = told.regions[0].box
    assert left < 310 < right and int(told.relevance.sum(axis=0).argmax()) > 200
    saved = save_evidence(told, shown, tmp_path)
    picture = np.asarray(PIL.Image.open(saved.overlay_file or "")).astype(int)
    warm = (picture[..., 0] - picture[..., 2]).clip(0)[picture.shape[0] // 3 :].sum(axis=0)
    assert int(warm.argmax()) < picture.shape[1] / 2  # over the film as it is shown


def test_regions_are_in_pixels_of_the_file_and_reach_the_report() -> None:
    shown = child(pixels=filmlike(600, 400), patient_orientation=("L", "F"))
    result = draft(seeing(place=(0.2, 0.5)), shown, evidence=True)
    assert result.evidence is not None
    (told,) = result.evidence
    assert told.sides == ("right",) and told.explains == 'the answer "Yes"'
    assert told.peak is not None and abs(told.peak[0] - 90) < 12 and abs(told.peak[1] - 315) < 16
    (region,) = evidence_of(result)
    left, top, right, bottom = region.box
    assert left < 90 < right and top < 315 < bottom and right - left < 80 and region.note and region.probability is None
    again = Draft.model_validate_json(result.model_dump_json())
    assert again.evidence == (told.model_copy(update={"relevance": None}),)
    assert "evidence" not in json.loads(draft(seeing(), child()).model_dump_json())


def test_outside_the_scope_there_is_no_map() -> None:
    old = child(patient_age_years=40.0)
    told = evidence(seeing(), old, finding="pneumonia")
    assert not told.assessed and told.relevance is None and "not assessed" in told.note
    other = evidence(seeing(), child(), finding="edema")
    assert not other.assessed and "outside the model's declared findings" in other.note
    undeclared = seeing(spec=spec())
    with pytest.raises(ScopeError, match="evidence is outside the model's scope"):
        evidence(undeclared, child(), finding="pneumonia")
    assert evidence(undeclared, child(), finding="pneumonia", force=True).forced
    result = findings(undeclared, child(), evidence=True)
    assert result.evidence == () and any("evidence is outside" in each for each in result.warnings)


def test_a_model_without_published_figures_says_so() -> None:
    scope = Scope(tasks=("draft", "evidence"), uses=(Use("draft", "chest film"), Use("evidence", "chest film")))
    model = seeing(spec=spec(scope=scope), calibration={}, scores=lambda question: (-1.0, -1.0))
    result = draft(model, child(), evidence=True)
    assert result.evidence is not None and [each.kind for each in result.evidence] == ["phrase"]
    assert result.evidence[0].about == "Right-sided pneumonia is likely."
    before, wanted, against = model.explained[0]
    assert before + wanted == "".join(SIDED) and against is None
    assert any("no figure is published" in each and "evidence" in each for each in result.warnings)


def test_an_endpoint_gives_no_maps() -> None:
    with pytest.raises(ModelError, match="an endpoint gives no gradients"):
        evidence(nano(), child(), finding="pneumonia")
    with pytest.raises(ModelError, match="an endpoint gives no gradients"):
        findings(nano(), child(), evidence=True)


def test_what_is_asked_must_be_one_thing() -> None:
    for asked in ({}, {"finding": "pneumonia", "phrase": "pneumonia"}):
        with pytest.raises(PromptError, match="a finding or a phrase"):
            evidence(seeing(), child(), **asked)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="the mask has 5 x 7 pixels"):
        evidence(seeing(), child(), finding="pneumonia", mask=np.ones((7, 5), dtype=bool))
    with pytest.raises(PromptError, match="chest films"):
        evidence(seeing(), film(), finding="pneumonia", kind="film", force=True)


def test_sentences_that_state_a_finding() -> None:
    text = "No effusion.\nThere is edema. The heart is normal.\nPossible pneumonia. There is edema."
    assert list(stating_sentences(text)) == ["There is edema."]


def test_a_map_that_fails_loses_no_draft(monkeypatch: pytest.MonkeyPatch) -> None:
    model = seeing()

    def fail(*_: object, **__: object) -> None:
        raise ModelError("memory ran out")

    monkeypatch.setattr(model, "relevance", fail)
    monkeypatch.setattr(model, "token_logprobs", fail)
    result = draft(model, child(), evidence=True)
    assert result.sections.impression and result.evidence == ()
    assert "no evidence maps: memory ran out" in result.warnings
    assert result.confidence is not None and result.confidence.note == "not given: memory ran out"
