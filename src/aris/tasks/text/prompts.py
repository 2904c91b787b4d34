"""The wording that the scored questions and the drafts of `aris-nano` were trained on. Changing it costs accuracy."""

from __future__ import annotations

FINDING_QUESTION = "Is there {finding} in this chest X-ray? Answer yes or no."
GATE_QUESTION = "Is this a frontal chest X-ray? Answer yes or no."
ANSWERS = ("Yes", "No")
DRAFT_PROMPT = "Describe this X-ray.\nScored findings: {scored}."
