"""Names and docstrings use the field's words (`docs/glossary.md`), and a docstring opens with a verb or a noun."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import aris

SOURCES = sorted(Path(aris.__file__).parent.rglob("*.py"))
GLOSSARY = Path(__file__).resolve().parents[1] / "docs" / "glossary.md"
OPENINGS = re.compile(r"(What|Who|Whom|Whose|How|Which|Whether|Where|When|Why|Those|One)\b")
# The words that stand in a MedGemma reply itself, and in what users type.
LITERAL = re.compile(r"<unused94>thought|\"thought\\n|x-?rays\?\|films\?\|images\?\|pictures\?")


@cache
def retired() -> dict[str, tuple[re.Pattern[str], bool]]:
    """The glossary's table of retired words, each with its pattern, and whether prose may have it."""
    found = {}
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            for word in re.findall(r"`([^`]+)`", cells[0]):
                pattern = re.compile(rf"(?<![a-z]){re.escape(word)}(?![a-z])", re.IGNORECASE)
                found[word] = pattern, cells[2] == "in names"
    return found


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def test_the_glossary_retires_words() -> None:
    assert {"shelf", "guess", "likeliest", "thought", "picture", "repeatable", "way back"} <= retired().keys()
    assert retired()["guess"][0].search("best_guess") and not retired()["place"][0].search("replace")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(Path(aris.__file__).parent).as_posix())
def test_words(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wrong = []
    for line, name in names(tree):
        parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("_", " ").lower()
        told = (word for word, (found, _) in retired().items() if found.search(parts))
        wrong += [f"{line}: the name {name} has {word!r}" for word in told]
    for line, text in docstrings(tree):
        if OPENINGS.match(text):
            wrong.append(f"{line}: a docstring opens with {text.split()[0]!r}")
        prose = LITERAL.sub("", text)
        told = (word for word, (found, in_names) in retired().items() if not in_names and found.search(prose))
        wrong += [f"{line}: a docstring has {word!r}" for word in told]
    assert not wrong, "\n".join(wrong)


def test_no_two_test_modules_have_one_name() -> None:
    """Test folders are no packages, so pytest would take one for the other."""
    paths = sorted(Path(__file__).resolve().parent.rglob("test_*.py"))
    assert len({path.name for path in paths}) == len(paths)
