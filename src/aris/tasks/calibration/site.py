"""Calibrating findings on a site's own labels: fit, judged on films that the fit has not seen, saved, used.

The judged probabilities come from cross-validation by patient; what is saved is fitted on all films. The file has the
form of a model's `calibration.json` and is read by the same code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aris.errors import CheckpointError, DataError
from aris.regular import read_regular
from aris.tasks.calibration.answers import Calibration, ScoreCalibration, read_calibration
from aris.tasks.calibration.reliability import (
    Bools,
    Figure,
    Floats,
    auc,
    bins,
    bootstrap,
    brier,
    ece,
    sensitivity,
    specificity,
)

Method = Literal["platt", "temperature", "isotonic"]
FOLDS = 5
MIN_EACH = 10  # films with and without a finding: fewer cannot be cut into folds that say anything


@dataclass(frozen=True, eq=False)
class FittedFinding:
    """A finding's calibration and what was measured of it on held-out folds.

    Attributes:
        name: of the finding.
        calibration: fitted on all films.
        method: how.
        films, positives: how many.
        auc, ece, brier: on films that the fit had not seen, with 95 % intervals.
        ece_before: with the uncalibrated probability.
        sensitivity, specificity: at the operating point, on films that the fit had not seen.
        probabilities, truth: (N,) held-out probabilities and labels.
    """

    name: str
    calibration: ScoreCalibration
    method: Method
    films: int
    positives: int
    auc: Figure
    ece: Figure
    ece_before: Figure
    brier: Figure
    sensitivity: Figure
    specificity: Figure
    probabilities: Floats
    truth: Bools

    @property
    def better_than_chance(self) -> bool:
        """Return whether the interval of the AUC lies over 0.5."""
        return self.auc.low > 0.5


def fit_finding(
    name: str,
    logits: Floats,
    truth: Bools,
    patients: Sequence[str] | None = None,
    *,
    method: Method = "platt",
    at_sensitivity: float | None = None,
    at_specificity: float | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> FittedFinding:
    """Calibrate one finding.

    Args:
        logits: (N,) log p("Yes") - log p("No") of each film.
        truth: (N,) the site's labels.
        patients: of each film; films of one patient stay in one fold. By default each film is a patient of its own.
        method: "platt" (slope and intercept), "temperature" (slope alone), "isotonic" (any rising curve; asks for more
            films).
        at_sensitivity, at_specificity: what the operating point must reach, the other as high as it goes with that;
            with neither, the point with the greatest sum of both (Youden).
        samples: bootstrap samples.

    Raises:
        DataError: too few films or patients with or without the finding, or scores that are not numbers.
    """
    positives = int(truth.sum())
    if min(positives, len(truth) - positives) < MIN_EACH:
        raise DataError(
            f"{name}: {positives} films with it and {len(truth) - positives} without; {MIN_EACH} of each are needed"
        )
    if not np.isfinite(logits).all():
        raise DataError(f"{name}: scores that are not numbers; the weights are damaged, get them again")
    names = list(patients) if patients is not None else [str(index) for index in range(len(truth))]
    groups = np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)
    fold = _folds(groups, truth, seed)
    held_out = np.empty(len(truth))
    for index in range(FOLDS):
        inside = fold != index
        if min(int(truth[inside].sum()), int((~truth[inside]).sum())) < 2:
            raise DataError(f"{name}: too few patients with or without it for {FOLDS} folds")
        held_out[~inside] = apply(fit(logits[inside], truth[inside], method), logits[~inside])
    fitted = fit(logits, truth, method)
    # The operating point is chosen on the held-out probabilities; the final fit's are a little further apart.
    threshold = operating_point(held_out, truth, at_sensitivity, at_specificity)
    entry = ScoreCalibration(fitted.slope, fitted.intercept, threshold, None, fitted.curve)
    boot = {"samples": samples, "seed": seed}
    return FittedFinding(
        name, entry, method, len(truth), positives,
        auc=bootstrap(auc, held_out, truth, groups, **boot),
        ece=bootstrap(ece, held_out, truth, groups, **boot),
        ece_before=bootstrap(ece, apply(ScoreCalibration(), logits), truth, groups, **boot),
        brier=bootstrap(brier, held_out, truth, groups, **boot),
        sensitivity=bootstrap(lambda p, t: sensitivity(p, t, threshold), held_out, truth, groups, **boot),
        specificity=bootstrap(lambda p, t: specificity(p, t, threshold), held_out, truth, groups, **boot),
        probabilities=held_out, truth=truth,
    )  # fmt: skip


def fit(logits: Floats, truth: Bools, method: Method) -> ScoreCalibration:
    """A calibration, without an operating point (0.5)."""
    if method == "isotonic":
        return ScoreCalibration(curve=_isotonic(logits, truth))
    slope, intercept = _logistic(logits, truth, with_intercept=method == "platt")
    return ScoreCalibration(slope, intercept)


def apply(calibration: ScoreCalibration, logits: Floats) -> Floats:
    """Probabilities (N,) of logits (N,)."""
    return np.array([calibration.probability((float(logit), 0.0)) for logit in logits])


def operating_point(
    p: Floats, truth: Bools, at_sensitivity: float | None = None, at_specificity: float | None = None
) -> float:
    """The threshold that reaches what was asked for; Youden's where nothing was. Kept inside (0, 1)."""
    values = np.unique(p)
    between = np.concatenate([[values[0] / 2], (values[1:] + values[:-1]) / 2, [(values[-1] + 1) / 2]])
    sens = np.array([sensitivity(p, truth, float(cut)) for cut in between])
    spec = np.array([specificity(p, truth, float(cut)) for cut in between])
    if at_sensitivity is not None:
        index = int(np.flatnonzero(sens >= at_sensitivity)[-1])
    elif at_specificity is not None:
        index = int(np.flatnonzero(spec >= at_specificity)[0])
    else:
        index = int((sens + spec).argmax())
    return float(min(max(between[index], 1e-6), 1 - 1e-6))


def _folds(groups: npt.NDArray[np.int64], truth: Bools, seed: int) -> npt.NDArray[np.int64]:
    """A fold for each film, by patient, with and without the finding spread alike."""
    random = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    has = np.zeros(count, dtype=bool)
    np.logical_or.at(has, groups, truth)
    of_group = np.empty(count, dtype=np.int64)
    for value in (True, False):
        members = random.permutation(np.flatnonzero(has == value))
        of_group[members] = np.arange(len(members)) % FOLDS
    return of_group[groups]


def _logistic(x: Floats, truth: Bools, *, with_intercept: bool) -> tuple[float, float]:
    """Slope and intercept by Newton's method, with Platt's smoothed targets (Platt 1999) against separable classes."""
    positives = int(truth.sum())
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (len(truth) - positives + 2))
    # On a standard scale, so that one weak pull (towards no slope) suits all models.
    centre = float(x.mean()) if with_intercept else 0.0
    scale = float(x.std() if with_intercept else np.abs(x).mean()) or 1.0
    columns = [(x - centre) / scale] + ([np.ones(len(x))] if with_intercept else [])
    design = np.stack(columns, axis=1)
    beta = np.zeros(design.shape[1])
    beta[0] = 1.0
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -500, 500)))
        gradient = design.T @ (p - target) + 1e-3 * beta
        curvature = (design.T * (p * (1 - p))) @ design + 1e-3 * np.eye(len(beta))
        step = np.linalg.solve(curvature, gradient)
        beta -= step * min(1.0, 2.0 / float(np.abs(step).max() or 1.0))
        if float(np.abs(step).max()) < 1e-9:
            break
    # A score that points the wrong way is no evidence; its probability is made constant in effect, and its AUC tells.
    slope = max(float(beta[0]), 1e-6) / scale
    intercept = float(beta[1]) - slope * centre if with_intercept else 0.0
    return slope, intercept


def _isotonic(x: Floats, truth: Bools) -> tuple[tuple[float, float], ...]:
    """The rising curve nearest to the labels, by pooling adjacent violators, smoothed by half a film at each end."""
    order = np.argsort(x, kind="stable")
    blocks: list[list[float]] = []  # sum of labels, films, first and last logit
    for index in order:
        blocks.append([float(truth[index]), 1.0, float(x[index]), float(x[index])])
        while len(blocks) > 1 and (
            blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1] or blocks[-2][3] == blocks[-1][2]
        ):
            top = blocks.pop()
            last = blocks[-1]
            blocks[-1] = [last[0] + top[0], last[1] + top[1], last[2], top[3]]
    curve: list[tuple[float, float]] = []
    least = 0.5 / len(x)
    for total, count, first, last_logit in blocks:
        level = min(max(total / count, least), 1 - least)
        curve += [(first, level)] + ([(last_logit, level)] if last_logit > first else [])
    return tuple(curve)


def save_calibration(
    path: str | Path,
    fitted: Sequence[FittedFinding],
    *,
    model: str,
    question: str,
    changes: str = "",
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a site's calibration, with what was measured of it.

    Args:
        model, changes: the backend that gave the scores (`Backend.name` and `Backend.changes`).
        question: the wording that it was asked with.
        extra: what to note besides.

    Raises:
        DataError: it cannot be written.
    """
    contents = {
        "site": True,
        "model": model,
        "changes": changes,
        "question": question,
        **(extra or {}),
        "findings": {each.name: _entry(each) for each in fitted},
    }
    try:
        Path(path).write_text(json.dumps(contents, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None


def _entry(each: FittedFinding) -> dict[str, Any]:
    entry = each.calibration
    figures = ("auc", "ece", "ece_before", "brier", "sensitivity", "specificity")
    return {
        "slope": entry.slope,
        "intercept": entry.intercept,
        "threshold": entry.threshold,
        **({"curve": [list(point) for point in entry.curve]} if entry.curve else {}),
        "method": each.method,
        "films": each.films,
        "positives": each.positives,
        "better_than_chance": each.better_than_chance,
        "held_out": {name: _numbers(getattr(each, name)) for name in figures},
        "reliability": [list(point) for point in bins(each.probabilities, each.truth)],
    }


def _numbers(figure: Figure) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 4) for name, value in asdict(figure).items()}


def load_calibration(path: str | Path, model: str, question: str, changes: str = "") -> Calibration:
    """A site's calibration, for the model, its weights and the question that it was made with.

    Findings that were no better than chance are left out: they are then not assessed.

    Args:
        model, changes, question: as for `save_calibration`.

    Raises:
        CheckpointError: it cannot be read, is no calibration of a site, or was made with another model, other weights
            or another wording.
    """
    try:
        contents = json.loads(read_regular(path))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); give a file of aris calibrate") from None
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: not JSON; give a file of aris calibrate") from None
    if not isinstance(contents, dict) or contents.get("site") is not True:
        raise CheckpointError(f"{path}: not a site's calibration; make one with aris calibrate")
    if contents.get("model") != model:
        made_with = contents.get("model")
        raise CheckpointError(f"{path}: made with {made_with!r:.80}, not with {model}; calibrate this model")
    if contents.get("changes", "") != changes:
        one, other = (str(each or "the model's own")[:80] for each in (contents.get("changes"), changes))
        raise CheckpointError(f"{path}: made with other weights ({one}), not with these ({other}); calibrate again")
    if contents.get("question") != question:
        raise CheckpointError(f"{path}: made with another wording of the questions; calibrate again")
    made = read_calibration(contents)
    good = {
        name: entry
        for name, entry in made.findings.items()
        if contents["findings"][name].get("better_than_chance") is True
    }
    return Calibration(good, None)
