"""What a tuned model is judged by: answers against the rows' own, measured alike for the base and what became of it.

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

from aris.tuning.evaluation.stress import auc as area

# Measured in any case. "exact": the share of rows whose every token is the likeliest after the row's own text.
ALWAYS = ("loss", "exact")
# The same for the objective "preference"; "exact": the share of pairs that are preferred the right way round.
PREFERENCE = ("loss", "exact", "margin")


@dataclass(frozen=True)
class Metric:
    """How a measure is taken: from the row's own answer, one that the model writes, or its options' scores."""

    needs: Literal["loss", "text", "scores"]


METRICS = {
    "perplexity": Metric("loss"),
    "accuracy": Metric("text"),  # the option that a written answer names
    "exact_match": Metric("text"),
    "token_f1": Metric("text"),
    "option_accuracy": Metric("scores"),  # the option with the highest log-probability
    "auc": Metric("scores"),  # of the log-odds of yes against no
}
_LOWER = {"loss", "perplexity"}


def is_better(measure: str, value: float, than: float) -> bool:
    """Whether a value is better than another by this measure; what is not a number is better than nothing."""
    if math.isnan(value) or math.isnan(than):
        return math.isnan(than) and not math.isnan(value)
    return value < than if measure in _LOWER else value > than


def normalized(text: str) -> str:
    """A text as it is compared: lower case, no punctuation, no articles, single spaces."""
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(answer: str, wanted: str) -> float:
    """1 if both say the same, else 0."""
    return float(normalized(answer) == normalized(wanted))


def token_f1(answer: str, wanted: str) -> float:
    """Harmonic mean of precision and recall over words, each as often as it stands there."""
    ours, theirs = normalized(answer).split(), normalized(wanted).split()
    if not ours or not theirs:
        return float(ours == theirs)
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs))


def yes_no_auc(odds: Sequence[float], positive: Sequence[bool]) -> float:
    """Area under the ROC curve of log-odds of yes; NaN if all rows have one answer."""
    return area(torch.tensor(odds, dtype=torch.float64), torch.tensor(positive, dtype=torch.bool))
