"""Metrics of answers against the examples' own, measured alike for a base and the model tuned on it.

Texts are compared as SQuAD's evaluation does (arXiv 1606.05250): lower case, without punctuation and articles.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

# Measured in any case. "exact": the share of examples whose every answer token is the argmax.
ALWAYS = ("loss", "exact")
# The same for the objective "preference"; "exact": the share of pairs whose chosen answer is preferred.
PREFERENCE = ("loss", "exact", "margin")


@dataclass(frozen=True)
class Metric:
    """A metric with its input: the example's own answer, a generated answer, or the scores of the options."""

    needs: Literal["loss", "text", "scores"]


METRICS = {
    "perplexity": Metric("loss"),
    "accuracy": Metric("text"),  # the option that a generated answer names
    "exact_match": Metric("text"),
    "token_f1": Metric("text"),
    "option_accuracy": Metric("scores"),  # the option with the highest log-probability
    "auc": Metric("scores"),  # of the log-odds of yes against no
}
_LOWER = {"loss", "perplexity"}


def is_better(measure: str, value: float, than: float) -> bool:
    """Return whether a value is better than another by this measure; a number is better than NaN."""
    if math.isnan(value) or math.isnan(than):
        return math.isnan(than) and not math.isnan(value)
    return value < than if measure in _LOWER else value > than


def normalized(text: str) -> str:
    """Normalise a text for comparison: lower case, no punctuation, no articles, single spaces."""
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(answer: str, wanted: str) -> float:
    """Return 1 if both texts are the same once normalised, else 0."""
    return float(normalized(answer) == normalized(wanted))


def token_f1(answer: str, wanted: str) -> float:
    """Compute the harmonic mean of precision and recall over words, each as often as it occurs."""
    ours, theirs = normalized(answer).split(), normalized(wanted).split()
    if not ours or not theirs:
        return float(ours == theirs)
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs))


def auc(scores: Sequence[float] | Tensor, positive: Sequence[bool] | Tensor) -> float:
    """Compute the area under the ROC curve of scores (N,); NaN if all examples are of one class."""
    from aris.tasks.calibration.reliability import auc as area  # the tasks need more packages than training does

    values = torch.as_tensor(scores, dtype=torch.float64).cpu().numpy()
    return area(values, torch.as_tensor(positive, dtype=torch.bool).cpu().numpy())
