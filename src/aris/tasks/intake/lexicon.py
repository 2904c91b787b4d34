"""The findings that a patient may name, and where a text names them.

A finding's phrases are in `findings/*.yaml`, one a line. A phrase is words in order; of each: alternatives parted by
"|", "*" for any ending, "=" for no misspelling, "_" between the words of an alternative, "$name" for a set of
`words.yaml`, "?" behind one that may be missing. ".." stands for up to three other words, "..." for up to eight, inside
a sentence and with no negation among them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from aris.errors import DataError
from aris.tasks.intake.data_files import load_yaml
from aris.tasks.intake.spelling import Speller, inflected, own_words

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[a-z]+(?:'[a-z]+)*|[^\w\s]|\n")
_ENDS = frozenset(".!?;\n:")
# What a gap inside a phrase never holds: the phrase would join what the speaker keeps apart.
_PARTING = frozenset(
    [
        "no",
        "not",
        "without",
        "never",
        "denies",
        "deny",
        "denied",
        "nor",
        "neither",
        "but",
        "however",
        "except",
        "although",
        "though",
        "fine",
        "normal",
        "ok",
        "okay",
        "none",
        "dont",
        "doesnt",
        "didnt",
        "isnt",
        "arent",
        "wasnt",
        "werent",
        "havent",
        "hasnt",
        "hadnt",
        "wont",
        "cant",
        "cannot",
        "couldnt",
        "wouldnt",
        "aint",
    ]
)
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2018": "'", "`": "'", "\u00b4": "'"})
_SHORT_GAP, _LONG_GAP = 3, 8
_BACK = "-"
_WINDOW, _REPEATS = 24, 8


class Token(NamedTuple):
    """A word or mark in lower case without apostrophes, and its place in the text."""

    word: str
    start: int
    end: int


class Hit(NamedTuple):
    """A finding named in a text, whether affirmed or not."""

    finding: str
    start: int
    end: int


@dataclass(frozen=True)
class Finding:
    """A symptom, sign, condition or habit that may be present or absent.

    Attributes:
        name: identifier.
        label: for a clinician.
        ask: for a checklist, in plain words; "" if nobody is asked for it.
        phrases: as they may be said.
        unless: phrases that take those that begin inside them back ("a faint line").
        lasting: a condition, medicine or habit that matters whenever it was named.
    """

    name: str
    label: str
    ask: str
    phrases: tuple[str, ...]
    unless: tuple[str, ...] = ()
    lasting: bool = False


@dataclass(frozen=True)
class _Part:
    """An element of a phrase: sequences of words, each given by the numbers of its alternatives."""

    words: frozenset[int] = frozenset()
    runs: tuple[tuple[int, ...], ...] = ()
    optional: bool = False
    gap: int = 0


def tokens(text: str) -> list[Token]:
    """The words and marks of a text, with their places."""
    low = text.translate(_APOSTROPHES).lower()
    if len(low) != len(text):  # a letter whose lower case is longer; places must hold
        low = "".join(each.lower() if len(each.lower()) == 1 else each for each in text.translate(_APOSTROPHES))
    return [Token(m[0].replace("'", ""), m.start(), m.end()) for m in _TOKEN.finditer(low)]


class Lexicon:
    """Findings with their phrases, ready to be looked for.

    Args:
        findings: by name.
        sets: of alternatives, by name.

    Raises:
        DataError: a phrase is malformed or names a set that is not there.
    """

    def __init__(self, findings: Mapping[str, Finding], sets: Mapping[str, str]) -> None:
        self.findings = dict(findings)
        self._sets = dict(sets)
        self._numbers: dict[str, int] = {}
        self._starts: dict[int, list[tuple[str, tuple[_Part, ...]]]] = defaultdict(list)
        self._parts: dict[str, _Part] = {}
        for finding in self.findings.values():
            said = [(phrase, finding.name) for phrase in finding.phrases]
            for phrase, key in said + [(phrase, _BACK + finding.name) for phrase in finding.unless]:
                parts = self._compiled(phrase, finding.name)
                for number in _first(parts):
                    self._starts[number].append((key, parts))
        self._forms: dict[str, set[int]] = defaultdict(set)
        self._prefixes: list[tuple[str, int]] = []
        fuzzy: set[str] = set()
        for literal, number in self._numbers.items():
            if literal.endswith("*"):
                self._prefixes.append((literal[:-1], number))
                if len(literal) > 5:
                    fuzzy.add(literal[:-1])
                    self._forms[literal[:-1]].add(number)
            elif literal.startswith("="):
                self._forms[literal[1:]].add(number)
            else:
                for form in inflected(literal):
                    self._forms[form].add(number)
                    fuzzy.add(form)
        self._exact = {number for literal, number in self._numbers.items() if literal.startswith("=")}
        self.speller = Speller(fuzzy, own_words())
        self._seen: dict[str, frozenset[int]] = {}

    def find(self, text: str) -> list[Hit]:
        """Find where findings are named in a text: one hit for each finding and place, the longest there, in order."""
        found = tokens(text)
        numbers = [self._of(token.word) for token in found]
        best: dict[tuple[str, int], int] = {}
        repeats: Counter[tuple[frozenset[int], ...]] = Counter()
        for at, here in enumerate(numbers):
            if not here:
                continue
            # What a text repeats again and again is looked at a few times only: a hostile text costs no more.
            ahead = tuple(numbers[at : at + _WINDOW])
            repeats[ahead] += 1
            if repeats[ahead] > _REPEATS and at + _WINDOW < len(numbers):
                continue
            for number in here:
                for name, parts in self._starts.get(number, ()):
                    for end in _ends(parts, 0, found, numbers, at):
                        key = (name, at)
                        best[key] = max(best.get(key, 0), end)
        back = [(name.removeprefix(_BACK), at, end) for (name, at), end in best.items() if name.startswith(_BACK)]
        hits = [
            Hit(name, found[at].start, found[end - 1].end)
            for (name, at), end in best.items()
            if not name.startswith(_BACK) and not any(name == other and a <= at < b for other, a, b in back)
        ]
        return sorted(hits, key=lambda hit: (hit.start, hit.end, hit.finding))

    def _of(self, word: str) -> frozenset[int]:
        """The numbers of the literals that a word of a text stands for."""
        known = self._seen.get(word)
        if known is None:
            exact = set(self._forms.get(word, ()))
            exact |= {number for prefix, number in self._prefixes if word.startswith(prefix)}
            if exact <= self._exact:  # a misspelling that one phrase lists is one for all the others
                exact |= {number for meant in self.speller.meant(word) for number in self._fuzzy(meant)}
            known = frozenset(exact)
            if len(self._seen) < 50_000:
                self._seen[word] = known
        return known

    def _fuzzy(self, form: str) -> set[int]:
        exact = {self._numbers.get("=" + form)}
        return {number for number in self._forms.get(form, ()) if number not in exact}

    def _number(self, literal: str) -> int:
        return self._numbers.setdefault(literal, len(self._numbers))

    def _compiled(self, phrase: str, name: str) -> tuple[_Part, ...]:
        parts: list[_Part] = []
        for element in phrase.split():
            if element in ("..", "..."):
                parts.append(_Part(gap=_SHORT_GAP if element == ".." else _LONG_GAP))
                continue
            part = self._parts.get(element)
            if part is None:
                part = self._parts[element] = self._part(element, name)
            parts.append(part)
        if not parts or parts[0].gap or parts[-1].gap or all(part.optional or part.gap for part in parts):
            raise DataError(f"finding {name}: the phrase {phrase!r} has no first or last word")
        return tuple(parts)

    def _part(self, element: str, name: str) -> _Part:
        optional = element.endswith("?")
        words: set[int] = set()
        runs: list[tuple[int, ...]] = []
        for alternative in self._alternatives(element.rstrip("?"), name):
            exact = "=" if alternative.startswith("=") else ""
            said = alternative.removeprefix("=").replace("_", " ")
            ending = "*" if said.endswith("*") else ""
            split = [token.word for token in tokens(said.rstrip("*"))]
            if not split:
                raise DataError(f"finding {name}: {element!r} has an empty alternative")
            numbers = [self._number(exact + word) for word in split[:-1]]
            numbers.append(self._number(exact + split[-1] + ending))
            if len(numbers) == 1:
                words.add(numbers[0])
            else:
                runs.append(tuple(numbers))
        return _Part(frozenset(words), tuple(runs), optional)

    def _alternatives(self, element: str, name: str) -> Iterator[str]:
        for alternative in element.split("|"):
            if not alternative.startswith("$"):
                yield alternative
            elif alternative[1:] in self._sets:
                yield from self._alternatives(self._sets[alternative[1:]], name)
            else:
                raise DataError(f"finding {name}: no set of words is called {alternative}")


def _first(parts: Sequence[_Part]) -> set[int]:
    found: set[int] = set()
    for part in parts:
        if part.gap:
            continue
        found |= part.words | {run[0] for run in part.runs}
        if not part.optional:
            break
    return found


def _ends(
    parts: Sequence[_Part], number: int, found: Sequence[Token], numbers: Sequence[frozenset[int]], at: int
) -> Iterator[int]:
    """Yield the ends of the parts from a number on, if they begin at a token."""
    if number == len(parts):
        yield at
        return
    part = parts[number]
    if part.gap:
        for skipped in range(part.gap + 1):
            yield from _ends(parts, number + 1, found, numbers, at + skipped)
            here = at + skipped
            if here >= len(found) or found[here].word in _ENDS or found[here].word in _PARTING:
                return
        return
    if part.optional:
        yield from _ends(parts, number + 1, found, numbers, at)
    if at >= len(found):
        return
    if part.words & numbers[at]:
        yield from _ends(parts, number + 1, found, numbers, at + 1)
    for run in part.runs:
        end = at + len(run)
        if end <= len(found) and all(run[index] in numbers[at + index] for index in range(len(run))):
            yield from _ends(parts, number + 1, found, numbers, end)


def read_findings() -> tuple[dict[str, Finding], dict[str, str]]:
    """The findings that come with Aris, and the sets of words that their phrases name.

    Raises:
        DataError: a file is malformed, or a finding is there twice.
    """
    found: dict[str, Finding] = {}
    sets: dict[str, str] = {}
    for path in sorted((files(__package__) / "findings").iterdir(), key=lambda each: each.name):
        if not path.name.endswith(".yaml"):
            continue
        content: dict[str, Any] = load_yaml(path)
        if path.name == "words.yaml":
            sets = content
            continue
        for name, entry in content.items():
            if name in found or set(entry) - {"label", "ask", "say", "unless"} or "label" not in entry:
                raise DataError(f"{path.name}: finding {name}: it is there twice, or its keys are wrong")
            said, unless = (tuple(filter(str.strip, entry.get(key, "").splitlines())) for key in ("say", "unless"))
            lasting = path.name == "background.yaml"
            found[name] = Finding(name, entry["label"], entry.get("ask", ""), said, unless, lasting)
    return found, sets


@cache
def lexicon() -> Lexicon:
    """The findings that come with Aris; read once."""
    return Lexicon(*read_findings())
