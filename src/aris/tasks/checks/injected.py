"""Words that have no place in a report's text: orders to a program, and forged signatures, scores and priorities.

A model may repeat what it was shown: text burned into pixels, a pasted record. Rules can't tell what a model obeyed,
but they can tell what no radiologist writes in findings, and they say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aris.prompting.chat import CONTROL_TOKEN
from aris.tasks.checks.facts import Facts

_ORDERS = re.compile(
    r"\b(?:(?:ignore|disregard|forget|override|bypass)\b[^.\n]{0,30}\b(?:instruction|prompt|rule|previous|above|prior"
    r"|earlier|warning|check|guideline|finding|score|image|film)s?\b"
    r"|(?:system|developer|hidden|new|updated) (?:prompt|message|instructions?)\b"
    r"|you (?:are|must|should|will|shall) (?:now|not|always|never|only|answer|say|write|report|reply|respond|output|act"
    r"|an? (?:ai|assistant|helpful|language))\b"
    r"|(?:as an? (?:ai|language model)|jailbreak|developer mode|end of (?:prompt|instructions))\b"
    r"|(?:do not|don'?t|never) (?:mention|report|describe|flag|warn|tell|follow|look at|read)\b"
    r"|(?:answer|respond|reply|say|write|output|print|repeat|state)"
    r" (?:only|just|exactly|always|with|the (?:word|phrase))\b"
    r"|(?:set|change|lower|mark|force) (?:the )?(?:priority|probabilit\w+|score|status|draft)\b"
    r"|(?:mark|sign|approve|finali[sz]e) (?:it|this|the (?:report|draft))\b"
    r"|replace the (?:words?|text|heading|mark)\b)",
    re.IGNORECASE,
)
_FORGED = re.compile(
    r"(?:\b(?:electronically |digitally )?(?:signed|approved|finali[sz]ed|authenticated) (?:by|on|at)\b"
    r"|\bfinal report\b|\bnot a draft\b|\bpriority\s*[:=]|\bprobabilit(?:y|ies)\s*(?:is|of|[:=])?\s*[<>]?\s*\d"
    r"|\b(?:scored findings|addendum)\s*:)",
    re.IGNORECASE,
)
_SHOWN = 40  # characters of a quotation


def instruction_in(text: str) -> str | None:
    """The first words of a text that read like an order to a program, or spell a control token; None if none do."""
    found = _ORDERS.search(text) or CONTROL_TOKEN.search(text)
    return None if found is None else quoted(text[found.start() : found.start() + _SHOWN])


def quoted(text: str) -> str:
    """A piece of untrusted text for a warning: one line, printable, without what could end the quotation."""
    line = " ".join("".join(c if c.isprintable() and c != '"' else " " for c in text).split())
    return line.replace("<", "\u2039").replace(">", "\u203a")


def instruction(text: str, facts: Facts) -> Iterator[str]:
    """Orders and forgeries in the draft, and orders in what the header says."""
    if said := instruction_in(text):
        yield f'the draft has words that read like an order to a program ("{said}"): look for text in the image'
    if forged := _FORGED.search(text):
        yield f'the draft has words that only a form or a signature has ("{quoted(forged[0])}"): they are the model\'s'
    if told := instruction_in(facts.header_text):
        yield f'the header reads like an order to a program ("{told}"): it is quoted and did not reach the model'
