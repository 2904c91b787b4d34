"""Confidence of a model in its own words: each sentence of a draft with its tokens' log-probabilities.

This is not the probability that a sentence is right. It is low where several wordings were alike to the model, whatever
they say, and high where a model is sure and wrong; it says where the text could easily have been another one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from aris.backends import TokenLogprob
from aris.tasks.results import Sections, SentenceConfidence
from aris.tasks.text.report import sentences

# Under this mean probability of a token (geometric) a sentence is marked: as often as not the model would have written
# another word. Declared, not fitted; the least of the 30 sentences that aris-nano writes of the sample films has 0.71.
MARK_BELOW = 0.5
METHOD = "geometric mean of the tokens' probabilities; not a probability of being right"
NOT_GIVEN = "not given: the endpoint reports no log-probabilities"
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>|bytes:(?:\\x[0-9A-Fa-f]{2})+")  # as vocabularies and as OpenAI spell it
_LOOKAHEAD = 24  # characters within which a token is searched where texts do not agree


def sentence_confidence(
    text: str, sections: Sections, logprobs: Sequence[TokenLogprob]
) -> tuple[SentenceConfidence, ...]:
    """Each sentence of the findings and the impression that tokens could be found for, in the text's order.

    Args:
        text: as the model wrote it.
        sections: parsed from it.
        logprobs: of its tokens, in order; tokens that are not in the text (reasoning, markers) are passed over.
    """
    spans = list(token_spans(text, logprobs))
    found = []
    ends: dict[str, int] = {}
    for section in ("findings", "impression"):
        for sentence in sentences(getattr(sections, section)):
            start = text.find(sentence, ends.get(sentence, 0))
            if start < 0:
                continue
            end = ends[sentence] = start + len(sentence)
            values = [value for first, last, value in spans if first < end and last > start]
            if not values:
                continue
            mean = math.exp(sum(values) / len(values))
            found.append((start, SentenceConfidence(
                section=section, text=sentence, mean_probability=_rounded(mean),
                least_probability=_rounded(math.exp(min(values))), tokens=len(values), marked=mean < MARK_BELOW,
            )))  # fmt: skip
    return tuple(each for _, each in sorted(found, key=lambda pair: pair[0]))


def token_spans(text: str, logprobs: Sequence[TokenLogprob]) -> Iterator[tuple[int, int, float]]:
    """(start, end, log-probability) in the text for each token that is found in it, in order.

    Tokens are spelt as in a vocabulary ("▁is", "<0x0A>") or as text (" is"). Bytes of a character count for it.
    """
    at = 0
    bytes_left = 0
    for each in logprobs:
        if _BYTE.fullmatch(each.token) and at < len(text):
            bytes_left = bytes_left or len(text[at].encode(errors="replace"))
            bytes_left -= 1
            yield at, at + 1, each.logprob
            at += not bytes_left
            continue
        bytes_left = 0
        piece = each.token.replace("▁", " ")
        if not piece:
            continue
        start = text.find(piece, at, at + len(piece) + _LOOKAHEAD)
        if start < 0 and not text[:at].strip():  # a text may have been trimmed
            piece = piece.lstrip()
            start = text.find(piece, at, at + len(piece) + _LOOKAHEAD) if piece else -1
        if start >= 0:
            at = start + len(piece)
            yield start, at, each.logprob


def _rounded(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 4)
