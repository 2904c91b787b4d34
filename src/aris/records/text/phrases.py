"""Phrases with choices as a tree of words, for finding the longest phrase at a place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from aris.records.text.tokens import Token, is_number

NUMBER, YEAR, NOT = "#", "YEAR", "n't"
_YEAR = re.compile(r"(?:19|20)\d\d\Z")
_PART = re.compile(r"\\(.)|([()|])|(\?)|([^\s()|\\?]+)")
END = "\0"  # the key of a node under which its values stand

Node = dict[str, "Node | list[int]"]


def split_phrases(text: str) -> list[str]:
    """The phrases of a group: between commas and new lines; a line that is indented further than the first goes on."""
    lines = [line for line in text.split("\n") if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    joined = ""
    for line in lines:
        goes_on = len(line) - len(line.lstrip()) > indent
        joined += (" " if goes_on else "\n") + line.strip()
    return [phrase.strip() for phrase in re.split(r"(?<!\\),|\n", joined) if phrase.strip()]


def expand(phrase: str) -> list[tuple[str, ...]]:
    """Every sequence of words that a phrase with choices stands for.

    Raises:
        ValueError: if its parentheses do not match.
    """
    parts = list(_PART.finditer(phrase))
    found, at = _choice(parts, 0)
    if at != len(parts):
        raise ValueError(f"parentheses do not match in the phrase {phrase!r}")
    return [words for words in dict.fromkeys(found) if words]


def _choice(parts: Sequence[re.Match[str]], at: int) -> tuple[list[tuple[str, ...]], int]:
    """The sequences up to the closing parenthesis or the end."""
    done: list[tuple[str, ...]] = []
    now: list[tuple[str, ...]] = [()]
    while at < len(parts):
        escaped, mark, optional, word = parts[at].groups()
        if mark == ")":
            break
        at += 1
        if mark == "|":
            done += now
            now = [()]
        elif mark == "(":
            inner, at = _choice(parts, at)
            at += 1
            if at < len(parts) and parts[at][3] and parts[at].start() == parts[at - 1].end():
                inner = [(), *inner]
                at += 1
            now = [before + after for before in now for after in inner]
        else:
            said = escaped or optional or word
            words = [("can't",), ("can", "not"), ("could", "not")] if said == "can't" else [(said,)]
            now = [before + after for before in now for after in words]
    return done + now, at


class Phrases:
    """Phrases to find in tokens, each with a number of the caller's."""

    def __init__(self, entries: Iterable[tuple[Sequence[str], int]]) -> None:
        self._root: Node = {}
        for words, value in entries:
            node = self._root
            for word in words:
                node = node.setdefault(word, {})  # type: ignore[assignment]
            node.setdefault(END, []).append(value)  # type: ignore[union-attr]

    def matches(self, tokens: Sequence[Token], at: int, end: int) -> list[tuple[int, list[int]]]:
        """The phrases that start at a token, shortest first: where each ends, with the numbers of those phrases."""
        found: list[tuple[int, list[int]]] = []
        reached: list[Node] = [self._root]
        while at < end:
            keys = list(_keys(tokens[at].word))
            reached = [node[key] for node in reached for key in keys if key in node]  # type: ignore[misc]
            if not reached:
                break
            at += 1
            values = [value for node in reached if END in node for value in node[END]]
            if values:
                found.append((at, values))  # type: ignore[arg-type]
        return found


def _keys(word: str) -> Iterator[str]:
    yield word
    if word in ("couldn't", "can't"):
        yield "can't" if word == "couldn't" else "couldn't"
    elif word == "not" or (word.endswith("n't") and word not in ("won't", "wouldn't", "shouldn't")):
        yield NOT
    if word[0].isdigit() or word[0] in "ofstnemc":
        if is_number(word):
            yield NUMBER
        if _YEAR.match(word):
            yield YEAR
