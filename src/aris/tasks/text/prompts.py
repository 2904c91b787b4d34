"""The wording of prompts, of `aris-nano` and of every kind of examination: the one home of it.

The scored questions and the draft's prompt are those that `aris-nano` was trained on: changing them costs accuracy.
Chest films, films and CT have a published form (model cards and notebooks of MedGemma), which is kept; where none is
published the wording is ours and says only what is shown.
"""

from __future__ import annotations

import hashlib

from aris.prompting.builders import RADIOLOGIST

FINDING_QUESTION = "Is there {finding} in this chest X-ray? Answer yes or no."
GATE_QUESTION = "Is this a frontal chest X-ray? Answer yes or no."
ANSWERS = ("Yes", "No")
DRAFT_PROMPT = "Describe this X-ray.\nScored findings: {scored}."

FILM_QUERY = "Describe this X-ray"
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

_WORDING = (
    RADIOLOGIST,
    FINDING_QUESTION,
    GATE_QUESTION,
    ANSWERS,
    DRAFT_PROMPT,
    FILM_QUERY,
    CT_INSTRUCTION,
    MR_INSTRUCTION,
    SERIES_QUERY,
    SLIDE_INSTRUCTION,
    SLIDE_QUERY,
    PATCH_QUERY,
    SKIN_QUERY,
    FUNDUS_QUERY,
)


def digest() -> str:
    """Return the prompts' version: 12 hexadecimal digits that any change of wording changes."""
    return hashlib.sha256(repr(_WORDING).encode()).hexdigest()[:12]
