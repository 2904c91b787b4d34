"""Calibration on a site's own labels: recovers what generated the labels, is judged on held-out folds, is used."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from aris.errors import CheckpointError, DataError
from aris.tasks import findings, load_calibration
from aris.tasks.calibration.reliability import auc, bins, brier, ece
from aris.tasks.calibration.reliability_plot import reliability_png
from aris.tasks.calibration.site import Method, apply, fit, fit_finding, operating_point, save_calibration
from aris.tasks.label_files import read_labels
from aris.tasks.text.prompts import FINDING_QUESTION
from films import child
from imported_late import late
from scripted_backend import nano

isotonic, metrics = late("sklearn.isotonic"), late("sklearn.metrics")
RANDOM = np.random.default_rng(7)
LOGITS = RANDOM.normal(0, 2, 1500)
P = 1 / (1 + np.exp(-(0.5 * LOGITS - 1.0)))
TRUTH = RANDOM.random(1500) < P


def test_platt_recovers_the_line_and_temperature_the_slope() -> None:
    fitted = fit(LOGITS, TRUTH, "platt")
    assert fitted.slope == pytest.approx(0.5, abs=0.06) and fitted.intercept == pytest.approx(-1.0, abs=0.15)
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, 20_000)
    cooled = fit(logits, random.random(20_000) < 1 / (1 + np.exp(-0.5 * logits)), "temperature")
    assert cooled.slope == pytest.approx(0.5, abs=0.03) and cooled.intercept == 0


def test_isotonic_is_what_scikit_learn_fits() -> None:
    ours = apply(fit(LOGITS, TRUTH, "isotonic"), LOGITS)
    theirs = isotonic.IsotonicRegression().fit(LOGITS, TRUTH).predict(LOGITS)
    assert np.abs(ours - np.clip(theirs, 0.5 / 1500, 1 - 0.5 / 1500)).max() < 1e-9


def test_figures_are_the_usual_ones() -> None:
    assert auc(P, TRUTH) == pytest.approx(metrics.roc_auc_score(TRUTH, P))
    ties = np.round(P, 1)
    assert auc(ties, TRUTH) == pytest.approx(metrics.roc_auc_score(TRUTH, ties))
    assert brier(P, TRUTH) == pytest.approx(metrics.brier_score_loss(TRUTH, P))
    assert ece(np.full(10, 0.3), np.arange(10) < 8) == pytest.approx(0.5, abs=0.3)
    assert ece(P, TRUTH) < 0.05 < ece(np.clip(P + 0.3, 0, 1), TRUTH)
    assert sum(n for _, _, n in bins(P, TRUTH)) == 1500


@pytest.mark.parametrize("method", ["platt", "temperature", "isotonic"])
def test_a_fit_is_judged_on_films_that_it_has_not_seen(method: Method) -> None:
    made = fit_finding("pneumonia", LOGITS, TRUTH, method=method, samples=200)
    assert made.auc.low < made.auc.value < made.auc.high and made.better_than_chance
    if method != "temperature":
        assert made.ece.value < made.ece_before.value
    noise = fit_finding("noise", RANDOM.normal(size=400), RANDOM.random(400) < 0.5, samples=200)
    assert not noise.better_than_chance and 0.35 < noise.auc.value < 0.65


def test_films_of_one_patient_stay_together() -> None:
    """Each film five times: were copies on both sides of a fold, isotonic regression would seem to know the noise."""
    logits, truth = np.repeat(RANDOM.normal(size=60), 5), np.repeat(RANDOM.random(60) < 0.5, 5)
    patients = [str(index // 5) for index in range(300)]
    together = fit_finding("x", logits, truth, patients, method="isotonic", samples=100)
    apart = fit_finding("x", logits, truth, method="isotonic", samples=100)
    assert together.auc.value < apart.auc.value
    # Patients, not films, are drawn: the interval is wider.
    assert together.auc.high - together.auc.low > apart.auc.high - apart.auc.low


def test_operating_points_reach_what_was_asked_for() -> None:
    for wanted in (0.8, 0.95, 1.0):
        cut = operating_point(P, TRUTH, at_sensitivity=wanted)
        assert (P[TRUTH] >= cut).mean() >= wanted
        cut = operating_point(P, TRUTH, at_specificity=wanted)
        assert (P[~TRUTH] < cut).mean() >= wanted
    both = [(P[TRUTH] >= c).mean() + (P[~TRUTH] < c).mean() for c in np.linspace(0.05, 0.95, 50)]
    cut = operating_point(P, TRUTH)
    assert (P[TRUTH] >= cut).mean() + (P[~TRUTH] < cut).mean() >= max(both) - 1e-9


def test_too_few_films_are_refused() -> None:
    with pytest.raises(DataError, match="9 films with it"):
        fit_finding("x", np.arange(100.0), np.arange(100) < 9)
    with pytest.raises(DataError, match="not numbers"):
        fit_finding("x", np.full(100, math.nan), np.arange(100) < 50)


def test_a_saved_calibration_is_used_and_said(tmp_path: Path) -> None:
    good = fit_finding("pleural effusion", LOGITS, TRUTH, samples=100, at_sensitivity=0.9)
    noise = fit_finding("noise", RANDOM.normal(size=400), RANDOM.random(400) < 0.5, samples=100)
    path = tmp_path / "site.json"
    save_calibration(path, [good, noise], model="tiny", question=FINDING_QUESTION)
    saved = json.loads(path.read_text())
    assert saved["findings"]["pleural effusion"]["held_out"]["auc"]["low"] > 0.5
    site = load_calibration(path, "tiny", FINDING_QUESTION)
    assert set(site.findings) == {"pleural effusion"}  # the other is no better than chance
    model = nano(pneumonia=0.8)
    result = findings(model, child(), ["pneumonia", "pleural effusion", "noise"], calibration=site)
    own, effusion, chance = result.findings
    assert own.probability == pytest.approx(0.8) and "site" not in own.note
    wanted = good.calibration.probability((math.log(0.8), math.log(0.2)))
    assert effusion.probability == pytest.approx(wanted) and effusion.note == "calibrated on the site's own labels"
    assert effusion.present is (wanted >= good.calibration.threshold)
    assert chance.probability is None and not chance.assessed
    # The site extends names, never the kind of film.
    outside = findings(model, child(patient_age_years=50.0), ["pleural effusion"], calibration=site)
    assert outside.findings[0].probability is None
    with pytest.raises(CheckpointError, match="not with other"):
        load_calibration(path, "other", FINDING_QUESTION)
    with pytest.raises(CheckpointError, match=r"other weights \(the model's own\), not with these \(int4\)"):
        load_calibration(path, "tiny", FINDING_QUESTION, "int4")
    with pytest.raises(CheckpointError, match="wording"):
        load_calibration(path, "tiny", "Is it?")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a site's"):
        load_calibration(tmp_path / "bad.json", "tiny", FINDING_QUESTION)


def test_the_plot_is_a_picture_with_a_panel_each() -> None:
    made = fit_finding("pneumonia", LOGITS, TRUTH, samples=50)
    one, two = (PIL.Image.open(io.BytesIO(reliability_png([made] * count))) for count in (1, 2))
    assert one.format == "PNG" and two.width == 2 * one.width
    assert (np.asarray(one) != 255).any(axis=2).mean() > 0.01


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "needs a column file"),
        ("file\nx.png\n", "no column of a finding"),
        ("file,pneumonia\nx.png,1\ny.png,maybe\n", ":3: pneumonia is neither"),
        ("file,pneumonia\nx.png\n", ":2: 1 cells"),
        ("file,pneumonia\n", "no films"),
    ],
)
def test_wrong_label_files(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_labels(path)


def test_labels_as_sites_write_them(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("\ufefffile,patient,pneumonia,edema\na.png,p1,1,No\nb.png,p1,-1,\n", encoding="utf-8")
    names, films = read_labels(path)
    assert names == ("pneumonia", "edema")
    assert [film.labels for film in films] == [(True, False), (None, None)]
    assert films[0].patient == "p1" and films[0].path == tmp_path / "a.png"
