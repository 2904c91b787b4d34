"""The map of a scored finding, or of words of a draft, on one image: what `evidence` and drafts are made of.

A map shows where on the image the model's own score came from. It is no outline of a lesion, it is no proof that the
model is right, and a score that rests on nothing in the image has a map too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.backends import Backend, Relevance, WhiteBox
from aris.errors import ImageError, ModelError, PromptError
from aris.prompting import Image, user
from aris.tasks.cases import Case
from aris.tasks.draft_prompts import draft_messages
from aris.tasks.evidence_maps.relevance_map import hot_regions, peak, source_map
from aris.tasks.evidence_maps.sides import side_of
from aris.tasks.results import Draft, Evidence, Finding, Region, Sections
from aris.tasks.scope import FORCED, Kind, evidence_warning, refusal
from aris.tasks.text.assertion import KNOWN_FINDINGS, assertions
from aris.tasks.text.prompts import ANSWERS, FINDING_QUESTION
from aris.tasks.text.report import sentences

NO_OUTLINE = "evidence of the model, no outline"
DIFFUSE = "the evidence is spread over the image: no box is drawn"
UNKNOWN_SIDE = "the file does not say how the patient lies on the image: the side of the evidence is not known"
# Sentences of a draft without scored findings that get a map, at most: each takes as long as reading the prompt anew.
MOST_SENTENCES = 4


def require_white_box(model: Backend) -> WhiteBox:
    """The model, if it can be looked into.

    Raises:
        ModelError: it runs elsewhere.
    """
    if not isinstance(model, WhiteBox):
        raise ModelError(
            f"{model.name}: an endpoint gives no gradients, so there are no evidence maps; run the model here"
        )
    return model


def may_show(model: Backend, kind: Kind, *, force: bool) -> tuple[bool, tuple[str, ...]]:
    """Return whether maps of such images are allowed, and their note; `FORCED` is, outside the model's scope."""
    reason = refusal(model, "evidence", kind)
    if reason is not None:
        return force, (*((FORCED,) if force else ()), reason)
    warning = evidence_warning(model, "evidence", kind)
    return True, () if warning is None else (warning,)


def require_one_image(case: Case) -> None:
    """Raise `ImageError` if an examination has more images than one: a map is of one."""
    if len(case.images) != 1:
        raise ImageError(f"an examination of {len(case.images)} images; evidence is shown on one, choose it")


def finding_evidence(
    model: Backend,
    case: Case,
    finding: Finding,
    *,
    mask: npt.NDArray[np.bool_] | None = None,
    forced: bool = False,
) -> Evidence:
    """Map the evidence for a finding's score: for "Yes", or for "No" where the finding is not seen.

    Args:
        model: a `WhiteBox`.
        case: a film.
        finding: as `findings.assess` scored it. One that was not assessed has no map.
        mask: (H, W) bool over the image; the share of the map inside it is told.
        forced: for the result.
    """
    about: dict[str, Any] = {
        "model": model.name, "file": case.source, "about": finding.name, "kind": "finding", "forced": forced,
    }  # fmt: skip
    if not finding.assessed:
        return Evidence(**about, assessed=False, note=finding.note or "not assessed")
    yes, no = ANSWERS
    wanted, against = (no, yes) if finding.word == "not seen" else (yes, no)
    question = FINDING_QUESTION.format(finding=finding.name)
    turn = [user(Image(case.images[0].pixels if case.film is None else case.film.pixels), question)]
    found = require_white_box(model).relevance(turn, wanted, against=against)
    return _evidence(
        case, found, mask, about | {"explains": f'the answer "{wanted}"', "probability": finding.probability},
        regions=finding.word != "not seen",
    )  # fmt: skip


def phrase_evidence(
    model: Backend,
    case: Case,
    words: Sequence[tuple[str, str]],
    text: str,
    phrase: str,
    *,
    mask: npt.NDArray[np.bool_] | None = None,
    forced: bool = False,
) -> Evidence:
    """Map the evidence for words of a draft: for their log-probability after all that stands before them.

    Args:
        words: of the draft's prompt, as `findings.Assessment.words`.
        text: of the draft.
        phrase: words in it; case and spaces count.
        model, case, mask, forced: as for `finding_evidence`.

    Raises:
        PromptError: the words do not stand in the text.
    """
    wanted = phrase.strip()
    at = text.find(wanted) if wanted else -1
    if at < 0:
        raise PromptError(f"phrase {wanted!r:.60}: it does not stand in the draft; copy words from it as they are")
    # A word's space belongs to its token.
    at -= at > 0 and text[at - 1] == " "
    found = require_white_box(model).relevance(
        draft_messages(model, case, words), text[at : text.index(wanted) + len(wanted)], before=text[:at]
    )
    about = {"model": model.name, "file": case.source, "about": wanted, "kind": "phrase", "forced": forced}
    return _evidence(case, found, mask, about | {"explains": "these words of the draft"}, regions=True)


def draft_evidence(
    model: Backend,
    case: Case,
    findings: Sequence[Finding],
    words: Sequence[tuple[str, str]],
    text: str,
    sections: Sections,
    *,
    forced: bool,
) -> tuple[Evidence, ...]:
    """The maps of a draft: of each scored finding; for a model that scores none, of sentences that state a finding."""
    if findings:
        return tuple(finding_evidence(model, case, each, forced=forced) for each in findings)
    told = list(stating_sentences(f"{sections.findings}\n{sections.impression}"))[:MOST_SENTENCES]
    return tuple(phrase_evidence(model, case, words, text, each, forced=forced) for each in told)


def stating_sentences(text: str) -> Iterable[str]:
    """The sentences of a text that state a known finding as present."""
    for sentence in dict.fromkeys(sentences(text)):
        if any("present" in assertions(sentence, name) for name in KNOWN_FINDINGS):
            yield sentence


def evidence_of(draft: Draft) -> tuple[Region, ...]:
    """The regions of a draft's maps, for its report."""
    return tuple(region for each in draft.evidence or () for region in each.regions)


def _evidence(
    case: Case, found: Relevance, mask: npt.NDArray[np.bool_] | None, about: dict[str, Any], *, regions: bool
) -> Evidence:
    image = case.images[0]
    height, width = image.pixels.shape[:2]
    shown, padding = source_map(found, 0, height, width)
    # The model saw the customary view; all that is told is of the pixels that the file stores.
    relevance = np.ascontiguousarray(image.turn.reversed(shown))
    if mask is not None and mask.shape != relevance.shape:
        rows, columns = mask.shape[:2]
        height, width = relevance.shape
        raise ImageError(f"{case.source}: the mask has {columns} x {rows} pixels, the image {width} x {height}")
    values: dict[str, Any] = {"method": found.method, "relevance": relevance, "in_padding": round(padding, 4)}
    warnings = []
    if not relevance.any():
        return Evidence.model_validate(
            {**about, **values, "assessed": False, "note": "no part of the image speaks for it: there is no map"}
        )
    hot = hot_regions(shown) if regions else ()
    if regions and not hot:
        warnings.append(DIFFUSE)
    orientation = image.orientation
    label = str(about["about"])[:200]
    if hot and orientation is None:
        warnings.append(UNKNOWN_SIDE)
    return Evidence.model_validate({
        **about,
        **values,
        "assessed": True,
        "peak": peak(relevance),
        "regions": tuple(
            Region(label=label, box=image.turn.to_stored(each.box, height, width), note=NO_OUTLINE) for each in hot
        ),
        "sides": tuple(side_of(each.box, width, orientation, whole=True) or "" for each in hot),
        "shares": tuple(round(each.share, 4) for each in hot),
        "in_mask": None if mask is None else round(float(relevance[mask.astype(bool)].sum()), 4),
        "warnings": tuple(warnings),
    })  # fmt: skip

