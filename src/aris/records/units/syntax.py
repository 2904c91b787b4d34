"""Syntax of UCUM units, by the atoms and the grammar alone: quick, where pint would take a second to load."""

from __future__ import annotations

import re
from functools import lru_cache

from aris.records.units.tables import atoms

_TOKEN = re.compile(r"\{[\x21-\x7a|~]*\}|[./()]|[^./(){}]+")
_PARTS = re.compile(r"(10[*^]|.*?[^\d+-]|)([+-]?\d+)?")
_LENGTH, _DEPTH = 200, 20


@lru_cache(maxsize=4096)
def is_unit(text: str) -> bool:
    """Return whether a text is a UCUM unit, case-sensitive (UCUM 2.1, section 2.3)."""
    if not text or len(text) > _LENGTH or not text.isascii() or any(c.isspace() for c in text):
        return False
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text:
        return False
    if tokens[0] == "/":
        tokens = tokens[1:]
    end = _term(tokens, 0, 0)
    return end == len(tokens)


def _term(tokens: list[str], at: int, depth: int) -> int:
    """Return the end of a term that begins at a token; -1 where it is none."""
    if depth > _DEPTH:
        return -1
    while True:
        at = _component(tokens, at, depth)
        if at < 0 or at >= len(tokens) or tokens[at] not in "./":
            return at
        at += 1


def _component(tokens: list[str], at: int, depth: int) -> int:
    if at >= len(tokens):
        return -1
    token = tokens[at]
    if token == "(":
        end = _term(tokens, at + 1, depth + 1)
        return end + 1 if 0 <= end < len(tokens) and tokens[end] == ")" else -1
    if token.startswith("{"):
        return at + 1
    if token in (".", "/", ")") or not _simple(token):
        return -1
    at += 1
    return at + 1 if at < len(tokens) and tokens[at].startswith("{") else at


def _simple(token: str) -> bool:
    """Return whether a token is a number, or an atom with perhaps a prefix and an exponent."""
    if token.isdigit():
        return True
    found = _PARTS.fullmatch(token)
    if found is None or not found[1]:
        return False
    prefixes, metric, others = atoms()
    # Brackets may hold digits ("[in_i'H2O]", "m[H2O]"), so the whole is tried before an exponent is split off.
    for name in (token, found[1]):
        if name in metric or name in others:
            return True
        if any(name.startswith(p) and name[len(p) :] in metric for p in prefixes):
            return True
    return False
