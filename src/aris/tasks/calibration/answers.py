"""From the decoder's own answer scores to calibrated probabilities and operating points.

`calibration.json` of a model:

    {"findings": {"pneumonia": {"slope": 1.1, "intercept": -0.3, "threshold": 0.5, "uncertain": [0.4, 0.6]}},
     "gate": {"slope": 1.0, "intercept": 0.0, "threshold": 0.5}}

The logit of an answer is log p("Yes") - log p("No"), which is the logit of the softmax over the two. Its probability is
sigmoid(slope * logit + intercept) (Platt scaling), fitted on validation data. `uncertain` is optional: probabilities in
it are too close to the operating point to be called. `curve` is optional: [[logit, probability], ...], both ascending;
the probability is then interpolated along it (isotonic calibration) and slope and intercept are not used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aris.errors import CheckpointError, ModelError

Word = Literal["present", "not seen", "uncertain"]


@dataclass(frozen=True)
class ScoreCalibration:
    """Platt scaling with an operating point.

    Attributes:
        slope, intercept: of the line through the logit.
        threshold: present at this probability and above.
        uncertain: (low, high) probabilities around the threshold that are not called; None for no such band.
        curve: (logit, probability) pairs to interpolate in, in place of the line; empty for none.
    """

    slope: float = 1.0
    intercept: float = 0.0
    threshold: float = 0.5
    uncertain: tuple[float, float] | None = None
    curve: tuple[tuple[float, float], ...] = ()

    def probability(self, scores: Sequence[float]) -> float:
        """Probability of "Yes" from the log-probabilities of ("Yes", "No").

        Raises:
            ModelError: the scores are not numbers, as damaged weights give.
        """
        logit = self.slope * (scores[0] - scores[1]) + self.intercept
        if math.isnan(logit):
            raise ModelError("score: the answer scores are not numbers; the weights are damaged, get them again")
        if self.curve:
            if math.isnan(scores[0] - scores[1]):
                raise ModelError("score: the answer scores are not numbers; the weights are damaged, get them again")
            return _along(self.curve, scores[0] - scores[1])
        # Two forms, so that neither overflows.
        return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))

    def present(self, probability: float) -> bool:
        """The probability against the operating point."""
        return probability >= self.threshold

    def word(self, probability: float) -> Word:
        """Word the probability, as a draft's prompt puts it."""
        if self.uncertain is not None and self.uncertain[0] <= probability <= self.uncertain[1]:
            return "uncertain"
        return "present" if self.present(probability) else "not seen"


def _along(curve: Sequence[tuple[float, float]], x: float) -> float:
    """Linear interpolation, constant beyond the ends."""
    if x <= curve[0][0]:
        return curve[0][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(curve):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0) if x1 > x0 else y1
    return curve[-1][1]


UNCALIBRATED = ScoreCalibration()


@dataclass(frozen=True)
class Calibration:
    """A model's calibrations: by finding, and of the gate (None if the model has none)."""

    findings: Mapping[str, ScoreCalibration]
    gate: ScoreCalibration | None


def read_calibration(contents: Mapping[str, Any]) -> Calibration:
    """The contents of a `calibration.json`, {} for none.

    Raises:
        CheckpointError: it is malformed.
    """
    found = contents.get("findings", {})
    if not isinstance(found, Mapping):
        raise CheckpointError("calibration.json: findings is not an object; get the model again")
    findings = {str(name): _entry(f"findings.{name}", entry) for name, entry in found.items()}
    gate = contents.get("gate")
    return Calibration(findings, None if gate is None else _entry("gate", gate))


def _entry(name: str, entry: Any) -> ScoreCalibration:
    try:
        band = entry.get("uncertain")
        made = ScoreCalibration(
            float(entry["slope"]),
            float(entry["intercept"]),
            float(entry["threshold"]),
            None if band is None else (float(band[0]), float(band[1])),
            tuple((float(x), float(y)) for x, y in entry.get("curve") or ()),
        )
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        raise CheckpointError(
            f"calibration.json: {name} needs the numbers slope, intercept and threshold; get the model again"
        ) from None
    numbers = (made.slope, made.intercept, made.threshold, *(made.uncertain or ()))
    ordered = made.uncertain is None or 0 <= made.uncertain[0] <= made.uncertain[1] <= 1
    rising = all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(made.curve))
    if not rising or not all(math.isfinite(x) and 0 <= y <= 1 for x, y in made.curve):
        raise CheckpointError(f"calibration.json: {name} has a curve that does not rise; get the model again")
    if not all(map(math.isfinite, numbers)) or made.slope <= 0 or not 0 < made.threshold < 1 or not ordered:
        raise CheckpointError(f"calibration.json: {name} is out of range; get the model again")
    return made
