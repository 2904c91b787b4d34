"""Commands of a clinician: drafts, findings, questions, comparisons."""
