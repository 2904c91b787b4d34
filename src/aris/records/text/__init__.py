"""Findings in clinical text and patients' words: our own ConText-style engine, without a model.

from aris.records.text import Terms, find

terms = Terms({"chest pain": "chest_pain", "short of breath": "dyspnea"}, misspellings=True)
for mention in find("I dont have chest pain but im short of breth", terms):
    print(mention.concept, mention.negated, [cue.text for cue in mention.cues])
"""

from __future__ import annotations

from aris.records.text.context import Certainty, Cue, Experiencer, Mention, Temporality, assess, find
from aris.records.text.sentences import Span, sentences
from aris.records.text.terms import Terms
from aris.records.text.tokens import Token, singular, tokens

__all__ = [
    "Certainty", "Cue", "Experiencer", "Mention", "Span", "Temporality", "Terms", "Token", "assess", "find",
    "sentences", "singular", "tokens",
]  # fmt: skip
