"""Evidence: where on one image a model's score of a finding, or the words of its draft, came from.

Judged by deletion and insertion curves on held-out films (`benchmarks/evidence.py`, `docs/evidence.md`), not by looks.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image

from aris.backends import Backend
from aris.errors import ArisError, PromptError
from aris.imaging import Film
from aris.private import write_private
from aris.tasks.calibration.answers import Calibration
from aris.tasks.cases import Case, as_case
from aris.tasks.draft import draft as write_draft
from aris.tasks.evidence_maps.maps import finding_evidence, phrase_evidence, require_one_image, require_white_box
from aris.tasks.evidence_maps.relevance_map import overlay
from aris.tasks.findings import assess, words_of
from aris.tasks.results import Draft, Evidence
from aris.tasks.scope import FORCED, Kind, permitted

CAUTION = "where the score came from; no outline, no proof"


def evidence(
    model: Backend,
    what: Case | Film | str | Path,
    *,
    finding: str | None = None,
    phrase: str | None = None,
    draft: Draft | None = None,
    mask: npt.NDArray[np.bool_] | None = None,
    kind: Kind | None = None,
    force: bool = False,
    calibration: Calibration | None = None,
) -> Evidence:
    """A relevance map over one image, from the model's own gradients.

    Args:
        model: runs on this machine and reads images.
        what: one image, or its path.
        finding: a finding's name: its score is explained. Of chest films.
        phrase: or words of the draft, as they are written there.
        draft: in which the phrase stands; None writes it.
        mask: (H, W) bool over the stored image, as of the thorax: the result tells the share of the map inside.
        kind: of image; by default as the file says.
        force: go on outside the model's scope; the result is marked.
        calibration: a site's own, of findings.

    Returns:
        `assessed` is False, with a note, for a finding or a film outside the model's scope.

    Raises:
        ScopeError: the model is not for this.
        ImageError: the file cannot be read, holds more than one image, or has another size than the mask.
        ModelError: the model reads no images, or runs at an endpoint, which gives no gradients.
        PromptError: not one of finding and phrase, or the phrase does not stand in the draft.
    """
    if (finding is None) == (phrase is None):
        raise PromptError("evidence: give a finding or a phrase, and not both")
    require_white_box(model)
    case = as_case(what, kind, model.spec)
    require_one_image(case)
    warnings = tuple(dict.fromkeys([*permitted(model, "evidence", case.kind, force=force), *case.warnings]))
    forced = FORCED in warnings
    if phrase is not None:
        if draft is None:
            draft = write_draft(model, case, force=force, calibration=calibration)
        words = () if draft.assessment is None else words_of(draft.assessment.findings)
        made = phrase_evidence(model, case, words, draft.text, phrase, mask=mask, forced=forced or draft.forced)
    else:
        if case.kind != "chest film" or case.film is None:
            raise PromptError("evidence: findings are scored on chest films; give a phrase of the draft instead")
        result = assess(model, case.film, [str(finding)], force=force, calibration=calibration).result
        warnings = tuple(dict.fromkeys([*warnings, *result.warnings]))
        (scored,) = result.findings
        made = finding_evidence(model, case, scored, mask=mask, forced=forced or result.forced)
    return made.model_copy(update={"warnings": tuple(dict.fromkeys([*warnings, *made.warnings]))})


def save_evidence(found: Evidence, what: Case | Film, folder: Path, name: str | None = None) -> Evidence:
    """Write a map as .npy and as an image over the image; the same evidence with the files' names.

    Args:
        found: evidence that has a map; one without is given back as it is.
        what: its image.
        folder: is made if it is not there.
        name: first part of the files' names; by default that of the image's file. The finding follows.

    Raises:
        ArisError: the files cannot be written.
    """
    if found.relevance is None or not found.assessed:
        return found
    image = what if isinstance(what, Film) else what.images[0]
    pixels = image.pixels
    stem = f"{name or file_stem(found.file)}.{_plain(found.about)[:40]}"
    told = found.about if len(found.about) <= 60 else f"{found.about[:57]}..."
    lines = (f"{told}: {found.explains}", CAUTION)
    boxes = [image.turn.to_shown(region.box, *pixels.shape[:2]) for region in found.regions]
    drawn = overlay(pixels, np.ascontiguousarray(image.turn.applied(found.relevance)), boxes, lines)
    array, png = io.BytesIO(), io.BytesIO()
    np.save(array, found.relevance, allow_pickle=False)
    PIL.Image.fromarray(drawn).save(png, "PNG", optimize=True)
    paths = folder / f"{stem}.npy", folder / f"{stem}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in zip(paths, (array, png), strict=True):
            write_private(path, data.getvalue())
    except OSError as error:
        raise ArisError(f"{folder}: cannot be written ({error.strerror or 'the path is not valid'})") from None
    return found.model_copy(update={"map_file": str(paths[0]), "overlay_file": str(paths[1])})


def file_stem(source: str) -> str:
    """Return the stem of a film's map files: its own name, or that of an archive's member."""
    return _plain(Path(source.rpartition(":")[2] or source).stem)


def _plain(text: str) -> str:
    """A text as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "image"
