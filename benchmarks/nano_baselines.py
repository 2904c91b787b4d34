"""Pixel baselines for normal against pneumonia on `chest_pediatric`, and the intervals that compare scores.

Three classical models on the pixels alone, fitted on the training split; what `aris-nano` must beat.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from aris.prompting.normalize import equalize_histogram
from aris.tuning.nano.films import FilmBank, load_films

Floats = npt.NDArray[np.float64]


def pixels(bank: FilmBank, side: int, equalized: bool) -> Floats:
    """Reduce films to (N, side * side) in 0..1."""
    rows = []
    for film in bank.images.numpy():
        film = equalize_histogram(film) if equalized else film
        small = Image.fromarray(film).resize((side, side), Image.Resampling.BOX)
        rows.append(np.asarray(small, dtype=np.float64).ravel() / 255)
    return np.stack(rows)


def baseline_scores(data: Path) -> dict[str, Floats]:
    """Score the test films by each baseline, fitted on the training split."""
    train = load_films(data / "chest_pediatric", "train")
    test = load_films(data / "chest_pediatric", "test")
    target = (train.classes > 0).numpy()
    scores = {}
    for name, side, equalized in (
        ("logistic regression, 32 px", 32, False),
        ("logistic regression, 32 px equalized", 32, True),
    ):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        model.fit(pixels(train, side, equalized), target)
        scores[name] = model.decision_function(pixels(test, side, equalized))
    machine = make_pipeline(StandardScaler(), PCA(100, random_state=0), SVC(C=3.0, class_weight="balanced"))
    machine.fit(pixels(train, 48, True), target)
    scores["support vectors, 48 px equalized"] = machine.decision_function(pixels(test, 48, True))
    return scores


def bootstrap_auc(
    scores: dict[str, Floats], positive: npt.NDArray[np.bool_], patients: list[str], draws: int = 2000, seed: int = 0
) -> dict[str, Floats]:
    """Compute the AUC of every score on the same resamples of patients, (draws,) each: the paired bootstrap.

    Films of one patient stay together, since they are not independent.
    """
    random = np.random.default_rng(seed)
    names = sorted(set(patients))
    films = {name: [i for i, p in enumerate(patients) if p == name] for name in names}
    result: dict[str, list[float]] = {name: [] for name in scores}
    while len(next(iter(result.values()))) < draws:
        chosen = random.choice(len(names), len(names))
        index = np.array([i for k in chosen for i in films[names[k]]])
        if positive[index].all() or not positive[index].any():
            continue
        for name, values in scores.items():
            result[name].append(float(roc_auc_score(positive[index], values[index])))
    return {name: np.array(values) for name, values in result.items()}


def interval(values: Floats) -> str:
    """Return the central 95 % of bootstrap draws."""
    low, high = np.percentile(values, [2.5, 97.5])
    return f"{low:.3f} to {high:.3f}"
