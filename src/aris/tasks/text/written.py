"""A report's text told section by section while it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aris.tasks.results import Sections
from aris.tasks.text.report import HEADINGS, parse_report

# The end of a text that may yet become a heading: the beginning of a line, or capitals in running text.
_LINE = re.compile(r"(?:\A|\n)[ \t>#*_\-\d.)]*(?P<word>[A-Za-z]?[A-Za-z ]*)[ \t*_]*\Z")
_INLINE = re.compile(r"[\s.][*_]*(?P<word>[A-Z][A-Z ]*)[*_]*\Z")


class WrittenSections:
    """Cutter of a text that arrives in pieces into the sections that `parse_report` finds in it.

    Attributes:
        told: what was given out of each section so far.
    """

    def __init__(self) -> None:
        self._text = ""
        self.told: dict[str, str] = {}

    def push(self, piece: str) -> Iterator[tuple[str, str, bool]]:
        """Take a piece of the text.

        Yields:
            section, more of its text, and whether the section begins with it: anew, if it was told before.
        """
        self._text += piece
        yield from self._more(parse_report(self._text[: len(self._text) - _held(self._text)])[0])

    def finish(self, sections: Sections | None = None) -> Iterator[tuple[str, str, bool]]:
        """End the text, and tell what was held back.

        Args:
            sections: as they are kept at last; by default as the text has them.
        """
        yield from self._more(sections or parse_report(self._text)[0])

    def _more(self, sections: Sections) -> Iterator[tuple[str, str, bool]]:
        for name in Sections.model_fields:
            text = getattr(sections, name)
            before = self.told.get(name)
            if not text or text == before:
                continue
            self.told[name] = text
            if before is None or not text.startswith(before):
                yield name, text, True
            else:
                yield name, text[len(before) :], False


def _held(text: str) -> int:
    """Count the characters at the text's end that may belong to a heading."""
    for pattern in (_LINE, _INLINE):
        found = pattern.search(text)
        if found is not None and _may_be_heading(found["word"]):
            return len(text) - found.start()
    return 0


def _may_be_heading(word: str) -> bool:
    word = word.strip().lower()
    return any(name.startswith(word) for name in HEADINGS)
