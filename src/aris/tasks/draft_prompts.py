"""What a model is asked for a draft of each kind of examination.

Chest films, films and CT have a published form (model cards and notebooks of MedGemma); it is kept. Where none is
published the wording is ours and says only what is shown. Nothing that a header says goes into a prompt: it is text
that somebody typed.
"""

from __future__ import annotations

from collections.abc import Sequence

from aris.backends import Backend
from aris.prompting import Image, Message, user
from aris.prompting.builders import chest_xray, ct
from aris.tasks.cases import Case
from aris.tasks.text.prompts import DRAFT_PROMPT

VERSION = "2"
CT_INSTRUCTION = (
    "You are a radiologist. What follows are slices of one CT series in their order along the body, each with its "
    "number. In each slice red shows a wide window, green soft tissue and blue the brain's."
)
MR_INSTRUCTION = (
    "You are a radiologist. What follows are slices of one MR series in their order, each with its number."
)
SERIES_QUERY = "Describe the findings in these slices, then give an impression."
SLIDE_INSTRUCTION = "You are a pathologist. What follows are patches of tissue from one slide, each with its number."
SLIDE_QUERY = "Describe the histopathology findings in these patches, then give an impression."
PATCH_QUERY = "Describe this histopathology image."
SKIN_QUERY = "Describe this photograph of the skin."
FUNDUS_QUERY = "Describe this photograph of the fundus."


def draft_messages(model: Backend, case: Case, words: Sequence[tuple[str, str]] = ()) -> list[Message]:
    """The prompt for a draft.

    Args:
        model: that will read it.
        case: the examination.
        words: of a chest film, scored findings and what the score says, for a model that was trained on them.
    """
    first_version = model.spec is not None and "1.5" not in model.spec.name
    if case.film is not None and case.kind in ("chest film", "film"):
        image = Image(case.film.pixels)
        if words:
            scored = ", ".join(f"{name} {word}" for name, word in words)
            return [user(image, DRAFT_PROMPT.format(scored=scored))]
        return chest_xray(image, version="1.0" if first_version else "1.5")
    if case.kind == "ct":
        return ct(CT_INSTRUCTION, [each.pixels for each in case.images], SERIES_QUERY)
    if case.kind == "mr":
        return [user(MR_INSTRUCTION, *case.parts(), SERIES_QUERY)]
    if case.kind == "pathology" and len(case.images) > 1:
        return [user(SLIDE_INSTRUCTION, *case.parts(), SLIDE_QUERY)]
    query = {"pathology": PATCH_QUERY, "skin": SKIN_QUERY, "fundus": FUNDUS_QUERY}.get(case.kind, "Describe this X-ray")
    return [user(*case.parts(), query)]
